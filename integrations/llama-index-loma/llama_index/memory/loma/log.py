"""A session's transcript in the store, as LlamaIndex's messages."""

from __future__ import annotations

from collections.abc import Sequence

from llama_index.core.base.llms.types import ChatMessage
from llama_index.llms.loma.messages import HANDLE, role_of, text_of

from loma_memory.errors import SessionConflict, SessionNotFound
from loma_memory.resolve import Plan, commit, forget, handle_of
from loma_memory.store import Message, NewMessage, Store, canonical_text, root_id

_RETRIES = 8


class SessionLog:
    """What was said in a session.

    What `LomaLLM` has answered is found by what it says: it lies in the same place, memory and all.
    """

    def __init__(self, store: Store, session: str, namespace: str = "") -> None:
        """A session of a store; it is made when something is added."""
        self._store, self._session, self._namespace = store, session, namespace

    def path(self) -> list[Message]:
        """All messages as saved; none where the session does not exist."""
        try:
            head = self._store.session(self._session, self._namespace, create=False)
        except SessionNotFound:
            return []
        return self._store.path(head)

    def add(self, messages: Sequence[ChatMessage]) -> None:
        """Save messages at the end; system messages and empty ones are left out."""
        new = _new(messages)
        for left in reversed(range(_RETRIES)):
            if not new:
                return
            head = self._store.session(self._session, self._namespace)
            try:
                self._store.append(head, new, [None] * len(new), "", {})
                return
            except SessionConflict:
                if left == 0:
                    raise

    def replace(self, messages: Sequence[ChatMessage]) -> None:
        """Make these the whole conversation; memory of what they share with the old one is kept."""
        new = _new(messages)
        if not new:
            self.forget()
            return
        plan = Plan(self._namespace, root_id(self._namespace), 0, tuple(new), "fresh")
        commit(self._store, plan, new, [None] * len(new), "", {}, session=self._session, explicit=True)

    def forget(self) -> None:
        """Erase the session, its branches and their memory."""
        forget(self._store, self._session, self._namespace)

    def handle_and_tail(self, note: str = "") -> list[ChatMessage]:
        """A message that stands for everything up to the last reply, and what came after it.

        Args:
            note: what the first one says to a model that knows nothing of handles.
        """
        path = self.path()
        known = max((i for i, m in enumerate(path) if m.role == "assistant"), default=-1)
        # Even where nothing is known yet the message is there: it says whose conversation begins.
        about: dict[str, str] = {"session_id": self._session}
        if known >= 0:
            about["memory_id"] = handle_of(path[known].id, path[known].depth)
        first = ChatMessage(role="system", content=note, additional_kwargs={HANDLE: about})
        return [first, *(_chat_message(m) for m in path[known + 1 :])]

    def whole(self) -> list[ChatMessage]:
        """All messages."""
        return [_chat_message(m) for m in self.path()]


def _new(messages: Sequence[ChatMessage]) -> list[NewMessage]:
    said = [NewMessage(role_of(m), text_of(m)) for m in messages]
    return [m for m in said if m.role != "system" and canonical_text(m.text)]


def _chat_message(message: Message) -> ChatMessage:
    return ChatMessage(role="assistant" if message.role == "assistant" else "user", content=message.text)
