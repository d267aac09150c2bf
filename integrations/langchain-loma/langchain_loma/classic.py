"""For chains of `langchain_classic`: a memory that keeps nothing, because the model remembers."""

from __future__ import annotations

from typing import Any

try:
    from langchain_classic.base_memory import BaseMemory
except ImportError as error:
    raise ImportError(
        "langchain_loma.classic needs langchain-classic: pip install 'loma-memory[langchain-classic]'"
    ) from error
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder

from loma_memory.resolve import forget, shared_store

PROMPT = ChatPromptTemplate([MessagesPlaceholder("history"), ("human", "{input}")])
"""The prompt for `ConversationChain`: its own glues the whole conversation into one message."""


class LomaMemory(BaseMemory):
    """Memory of a chain whose model is `ChatLoma(...).with_session(session_id)`.

    Attributes:
        session_id: the session of the model.
        store: database URL, or an open store; as the model's.
        namespace: as the model's.
        memory_key: the prompt's variable for the history; it stays empty.
    """

    session_id: str
    store: Any = "sqlite:///chats.db"
    namespace: str = ""
    memory_key: str = "history"

    @property
    def memory_variables(self) -> list[str]:
        """Variables that it gives to the prompt."""
        return [self.memory_key]

    def load_memory_variables(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """No messages: the model has them in its memory."""
        return {self.memory_key: []}

    def save_context(self, inputs: dict[str, Any], outputs: dict[str, str]) -> None:
        """Nothing: the model has saved the turn."""

    def clear(self) -> None:
        """Erases the session, its branches and their memory."""
        opened = shared_store(self.store) if isinstance(self.store, str) else self.store
        forget(opened, self.session_id, self.namespace)
