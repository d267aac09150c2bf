"""`LomaChatMessageHistory`: the history of a session, for `RunnableWithMessageHistory`."""

from __future__ import annotations

from collections.abc import Sequence

from langchain_core.chat_history import BaseChatMessageHistory
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from langchain_loma.messages import MEMORY_ID, handle_in, text_of
from loma_memory.resolve import forget, handle_of, parse_handle, shared_store
from loma_memory.store import NewMessage, Store, canonical_text


class LomaChatMessageHistory(BaseChatMessageHistory):
    """Gives a chain the last reply of a session, whose handle stands for all before it.

    For `ChatLoma` with the same store and namespace. Messages of other makers are saved as well, and read
    when `ChatLoma` next answers.

    Attributes:
        session_id: the session.
        namespace: whose session.
    """

    def __init__(
        self, session_id: str, store: str | Store = "sqlite:///chats.db", *, namespace: str = ""
    ) -> None:
        """A session's history; the session is made when something is added."""
        self.session_id, self.namespace = session_id, namespace
        self._store = shared_store(store) if isinstance(store, str) else store

    @property
    def messages(self) -> list[BaseMessage]:  # type: ignore[override]
        """The last reply, with its handle, and what came after it."""
        whole = self.transcript()
        last = max((i for i, m in enumerate(whole) if isinstance(m, AIMessage)), default=0)
        return whole[last:]

    def transcript(self) -> list[BaseMessage]:
        """The whole conversation."""
        head = self._store.session(self.session_id, self.namespace)
        return [
            AIMessage(m.text, response_metadata={MEMORY_ID: handle_of(m.id, m.depth)})
            if m.role == "assistant"
            else HumanMessage(m.text)
            for m in self._store.path(head)
        ]

    def add_messages(self, messages: Sequence[BaseMessage]) -> None:
        """Saves messages at the session's end; those of `ChatLoma` are saved already, and are only noted."""
        head = self._store.session(self.session_id, self.namespace)
        new = [
            NewMessage("assistant" if isinstance(m, AIMessage) else "user", text_of(m.content))
            for m in messages
            if isinstance(m, AIMessage | HumanMessage)
        ]
        new = [m for m in new if canonical_text(m.text)]
        handles = [h for h in map(parse_handle, map(handle_in, messages)) if h is not None]
        if not new or any(h.message_id == head.head_id for h in handles):
            return
        # Messages are found by what they say: those that `ChatLoma` has saved keep their memory.
        self._store.append(head, new, [None] * len(new), "", {})

    def clear(self) -> None:
        """Erases the session, its branches and their memory."""
        forget(self._store, self.session_id, self.namespace)
