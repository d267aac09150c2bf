"""`LomaMemory`: the whole conversation, for the price of its last message."""

from __future__ import annotations

import uuid
from typing import Any

from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.bridge.pydantic import Field, PrivateAttr
from llama_index.core.memory.types import BaseMemory
from llama_index.llms.loma import LomaLLM
from llama_index.llms.loma.messages import role_of
from llama_index.memory.loma.log import SessionLog

from loma_memory.resolve import shared_store


class LomaMemory(BaseMemory):
    """Gives `LomaLLM` the last reply, whose handle stands for everything up to it, and what came since.

    There is no limit in tokens: old turns are in the model's memory, and the transcript is in the store.

    Attributes:
        session_id: the session.
        store: database URL, or an open store; as the LLM's.
        namespace: as the LLM's.
        open: messages of a turn that waits for its reply, with which it will be saved.
    """

    session_id: str
    store: Any = Field(default="sqlite:///chats.db")
    namespace: str = ""
    open: list[ChatMessage] = Field(default_factory=list)
    _opened: SessionLog | None = PrivateAttr(default=None)

    @classmethod
    def class_name(cls) -> str:
        """Name of the class in LlamaIndex's records."""
        return "LomaMemory"

    @classmethod
    def from_defaults(
        cls,
        session_id: str | None = None,
        *,
        llm: LomaLLM | None = None,
        store: Any = None,
        namespace: str | None = None,
        chat_history: list[ChatMessage] | None = None,
        token_limit: int | None = None,
        **kwargs: Any,
    ) -> LomaMemory:
        """A session's memory.

        Args:
            session_id: the session; None makes a new one with a random name.
            llm: the model whose store and namespace to use.
            store: database URL or open store, in place of the model's.
            namespace: in place of the model's.
            chat_history: what the session is to begin with.
            token_limit: not needed; taken so that chat engines can make this memory.
            kwargs: likewise.
        """
        opened = store if store is not None else (llm.store if llm is not None else "sqlite:///chats.db")
        owner = namespace if namespace is not None else (llm.namespace if llm is not None else "")
        made = cls(session_id=session_id or uuid.uuid4().hex, store=opened, namespace=owner)
        if chat_history:
            made.set(chat_history)
        return made

    def get(self, input: str | None = None, **kwargs: Any) -> list[ChatMessage]:
        """The last reply, with its handle, and what came after it."""
        return [*self._log().handle_and_tail(), *map(self._log().mark, self.open)]

    def get_all(self) -> list[ChatMessage]:
        """The whole transcript."""
        return [*self._log().whole(), *self.open]

    def put(self, message: ChatMessage) -> None:
        """Add a message."""
        self.put_messages([message])

    def put_messages(self, messages: list[ChatMessage]) -> None:
        """Add messages; up to the last reply they are saved, in one transaction."""
        whole = [*self.open, *messages]
        replied = max((i + 1 for i, m in enumerate(whole) if role_of(m) == "assistant"), default=0)
        self._log().add(whole[:replied])
        self.open = whole[replied:]

    def set(self, messages: list[ChatMessage]) -> None:
        """Make these the conversation."""
        self.open = []
        self._log().replace(messages)

    def reset(self) -> None:
        """Erase the conversation and its memory."""
        self.open = []
        self._log().forget()

    def _log(self) -> SessionLog:
        if self._opened is None:
            store = shared_store(self.store) if isinstance(self.store, str) else self.store
            self._opened = SessionLog(store, self.session_id, self.namespace)
        return self._opened
