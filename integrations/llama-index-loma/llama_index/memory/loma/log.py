"""A session's transcript in the store, as LlamaIndex's messages."""

from __future__ import annotations

from collections.abc import Sequence

from llama_index.core.base.llms.types import ChatMessage
from llama_index.llms.loma.messages import HANDLE, role_of, text_of

from loma_memory.errors import SessionConflict, SessionNotFound
from loma_memory.resolve import Plan, commit, forget, handle_of
from loma_memory.store import Message, NewMessage, SessionHead, Store, canonical_text, root_id

_RETRIES = 8


class SessionLog:
    """What was said in a session.

    What `LomaLLM` has answered is found by what it says: it lies in the same place, memory and all.
    """

    def __init__(self, store: Store, session: str, namespace: str = "") -> None:
        """A session of a store; it is made when something is added."""
        self._store, self._session, self._namespace = store, session, namespace
        self._seen: SessionHead | None = None  # appending goes on from here: it fails where that is past
        self._last: tuple[str, str] | None = None  # a head that is a reply, and its text: saves a look

    def path(self) -> list[Message]:
        """All messages as saved; none where the session does not exist."""
        head = self._head()
        return [] if head is None else self._store.path(head)

    def add(self, messages: Sequence[ChatMessage]) -> None:
        """Save messages at the end; system messages and empty ones are left out."""
        new = _new(messages)
        for left in reversed(range(_RETRIES)):
            if not new:
                return
            head = self._seen or self._store.session(self._session, self._namespace)
            try:
                head = self._seen = self._store.append(head, new, [None] * len(new), "", {})
                self._last = (head.head_id, new[-1].text) if new[-1].role == "assistant" else None
                return
            except (SessionConflict, SessionNotFound):
                self._seen = None
                if left == 0:
                    raise

    def replace(self, messages: Sequence[ChatMessage]) -> None:
        """Make these the whole conversation; memory of what they share with the old one is kept."""
        new = _new(messages)
        if not new:
            self.forget()
            return
        self._seen = None
        plan = Plan(self._namespace, root_id(self._namespace), 0, tuple(new), "fresh")
        commit(self._store, plan, new, [None] * len(new), "", {}, session=self._session, explicit=True)

    def forget(self) -> None:
        """Erase the session, its branches and their memory."""
        self._seen = None
        forget(self._store, self._session, self._namespace)

    def handle_and_tail(self) -> list[ChatMessage]:
        """The last reply, with the handle that stands for everything up to it, and what came after it.

        Where there is no reply yet, an empty message says at least whose conversation begins. It is the
        system's; agents drop those, which is why the handle goes with the reply.
        """
        about: dict[str, str] = {"session_id": self._session}
        head = self._head()
        path: list[Message] = []
        if head is not None and self._last is not None and head.head_id == self._last[0]:
            last: tuple[str, int, str] | None = (head.head_id, head.messages, self._last[1])
        else:
            path = [] if head is None else self._store.path(head)
            replies = [m for m in path if m.role == "assistant"]
            last = (replies[-1].id, replies[-1].depth, replies[-1].text) if replies else None
        if last is None:
            first = ChatMessage(role="system", content="", additional_kwargs={HANDLE: about})
            return [first, *(self._chat_message(m) for m in path)]
        about["memory_id"] = handle_of(last[0], last[1])
        first = ChatMessage(role="assistant", content=last[2], additional_kwargs={HANDLE: about})
        return [first, *(self._chat_message(m) for m in path[last[1] :])]

    def mark(self, message: ChatMessage) -> ChatMessage:
        """The same message, saying which session it belongs to."""
        about = {**message.additional_kwargs, HANDLE: {"session_id": self._session}}
        return message.model_copy(update={"additional_kwargs": about})

    def whole(self) -> list[ChatMessage]:
        """All messages."""
        return [self._chat_message(m) for m in self.path()]

    def _chat_message(self, message: Message) -> ChatMessage:
        role = "assistant" if message.role == "assistant" else "user"
        return self.mark(ChatMessage(role=role, content=message.text))

    def _head(self) -> SessionHead | None:
        try:
            self._seen = self._store.session(self._session, self._namespace, create=False)
        except SessionNotFound:
            self._seen = None
        return self._seen


def _new(messages: Sequence[ChatMessage]) -> list[NewMessage]:
    said = [NewMessage(role_of(m), text_of(m)) for m in messages]
    return [m for m in said if m.role != "system" and canonical_text(m.text)]
