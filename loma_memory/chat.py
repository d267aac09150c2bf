"""The front door: a chatbot gives out sessions."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from loma_memory.engine.aliases import DEFAULT_MODEL
from loma_memory.engine.engine import Engine
from loma_memory.engine.replies import ReplySettings
from loma_memory.session import ChatSession
from loma_memory.store import SessionHead, Store

DEFAULT_STORE = "sqlite:///chats.db"
"""Where sessions are kept when nothing else is said: a file in the current folder."""


class Chatbot:
    """A model and a database: gives out sessions.

    Sessions of one chatbot may be used from many threads.
    """

    def __init__(
        self,
        model: str = DEFAULT_MODEL,
        *,
        store: str | Store = DEFAULT_STORE,
        namespace: str = "",
        system: str | None = None,
        adapter: str | Path | None = None,
        method: str | None = None,
        ratio: float | None = None,
        settings: ReplySettings | None = None,
        device: str | None = None,
        dtype: str | None = None,
        codec: str = "raw",
        engine: Engine | None = None,
        progress: Callable[[str], None] | None = None,
    ) -> None:
        """Open the store and load the model.

        Args:
            model: alias, folder or Hugging Face id.
            store: database URL, or an open store.
            namespace: whose sessions; nothing crosses namespaces.
            system: system prompt; it is shown to the model at every turn and never becomes memory.
            adapter: folder or hub id of a memory adapter; None for the bundled one.
            method: how to remember (`loma_memory.methods.METHODS`).
            ratio: tokens of text per slot.
            settings: sampling, longest reply, stop strings.
            device: cpu, cuda, mps; None picks.
            dtype: None picks.
            codec: how segments are stored: raw (bit-exact), int8, int4.
            engine: an engine to share, instead of loading one.
            progress: told about downloads and conversions.

        Raises:
            LomaError: what is wrong, in one line.
        """
        self.store = store if isinstance(store, Store) else Store.open(store)
        self._owns_store = not isinstance(store, Store)
        self.namespace, self.system = namespace, system
        self.settings = settings or ReplySettings()
        try:
            self.engine = engine or Engine.load(
                model,
                adapter=adapter,
                method_name=method,
                ratio=ratio,
                device=device,
                dtype=dtype,
                codec_name=codec,
                progress=progress,
            )
        except BaseException:
            self.close()
            raise
        self._sessions: dict[tuple[str, str], ChatSession] = {}
        self._lock = threading.Lock()

    def session(
        self, name: str, *, namespace: str | None = None, system: str | None = None, create: bool = True
    ) -> ChatSession:
        """A session by name: resumed from the database, or new.

        Args:
            name: its name, unique in its namespace.
            namespace: whose session; None for the chatbot's own.
            system: system prompt of this session; None for the chatbot's.
            create: whether a new one may be made.

        Raises:
            SessionNotFound: there is none, and `create` is not set.
        """
        owner = self.namespace if namespace is None else namespace
        head = self.store.session(name, owner, create=create)
        with self._lock:
            key = (owner, name)
            if key not in self._sessions:
                self._sessions[key] = ChatSession(self, head, self.system)
            found = self._sessions[key]
        if system is not None:
            found.system = system
        return found

    def sessions(self, *, like: str | None = None, limit: int = 50, offset: int = 0) -> list[SessionHead]:
        """Sessions of the chatbot's namespace, the most recently used first."""
        return self.store.sessions(self.namespace, like=like, limit=limit, offset=offset)

    def close(self) -> None:
        """Close the store, if this chatbot opened it."""
        if self._owns_store:
            self.store.close()

    def __enter__(self) -> Self:
        """The chatbot itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()
