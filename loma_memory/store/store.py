"""The store: sessions, their conversations and their memory in one SQL database."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

from loma_memory.errors import SessionConflict, SessionExists, SessionNotFound, UsageError
from loma_memory.store import chain, heads, ids
from loma_memory.store import segments as segment_rows
from loma_memory.store.chain import Link
from loma_memory.store.database import Database
from loma_memory.store.failpoints import reach
from loma_memory.store.records import Message, NewMessage, NewSegment, SessionHead, StoredSegment
from loma_memory.store.schema import prepare
from loma_memory.store.unit import Unit
from loma_memory.store.vault import Vault


class Store:
    """Sessions in a database. One store may be used by many threads; each process opens its own.

    Every method is one transaction: it happens entirely or not at all, and what it returns has been
    committed. All methods raise StoreError, in one line, where the database fails.
    """

    def __init__(self, database: Database, vault: Vault) -> None:
        """Use `Store.open`."""
        self.database = database
        self._vault = vault

    @classmethod
    def open(cls, url: str, *, key: str | None = None) -> Store:
        """Opens a database, and creates or upgrades its tables where needed.

        Args:
            url: `sqlite:///chats.db`, `sqlite://` (in memory, gone when closed) or
                `postgresql://user@host/database`.
            key: for encryption at rest.

        Raises:
            UsageError: the URL is not one of these.
            SchemaError: a newer version of this library wrote the database; it was left untouched.
            StoreError: it cannot be opened, or is no database.
        """
        database = Database(url)
        try:
            prepare(database)
        except BaseException:
            database.close()
            raise
        return cls(database, Vault())

    def close(self) -> None:
        """Closes the connections. Later calls raise StoreError."""
        self.database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def session(self, name: str, namespace: str = "", create: bool = True) -> SessionHead:
        """A session by its name; a new, empty one if there is none and `create` is set.

        Raises:
            SessionNotFound: there is none, and `create` is not set.
            UsageError: the name or the namespace is not allowed.
            IntegrityError: its row is not what was written.
        """
        ids.check_name("session", name)
        ids.check_name("namespace", namespace)
        try:
            with self._read() as unit:
                return heads.load(unit, namespace, name).head
        except SessionNotFound:
            if not create:
                raise
        try:
            with self._write() as unit:
                return heads.create(unit, namespace, name, Link(None, ids.root_id(namespace), 0, 0))
        except SessionExists:  # another writer was quicker
            return self.session(name, namespace, create=False)

    def append(
        self,
        head: SessionHead,
        messages: Sequence[NewMessage],
        segments: Sequence[NewSegment | None],
        fingerprint: str,
        fingerprint_settings: Mapping[str, Any],
    ) -> SessionHead:
        """Saves messages with their segments after `head`, and moves the session there.

        Args:
            head: the session as the caller knows it.
            messages: at least one.
            segments: the memory of each message, or None for a message that has none.
            fingerprint: of what made the segments.
            fingerprint_settings: what the fingerprint stands for, as plain JSON.

        Returns:
            The session's new head.

        Raises:
            SessionConflict: the session has moved since; nothing was saved.
            SessionNotFound: the session has been deleted.
            UsageError: an argument breaks a rule.
        """
        chain.check(messages)
        settings = segment_rows.check(segments, fingerprint, fingerprint_settings)
        if not messages or len(messages) != len(segments):
            raise UsageError(
                f"appending needs a segment or None for each of at least one message: "
                f"{len(messages)} messages, {len(segments)} segments"
            )
        with self._write() as unit:
            session = heads.claim(unit, head)
            reach("append.begun")
            links = chain.extend(unit, head.namespace, session.namespace_n, session.link, messages)
            reach("append.messages")
            segment_rows.write(unit, head.namespace, links, segments, fingerprint, settings)
            reach("append.segments")
            moved = heads.move(unit, session, links[-1])
            reach("append.moved")
        reach("append.committed")
        return moved

    def path(self, head: SessionHead | str, namespace: str = "") -> list[Message]:
        """The conversation that ends at a head, from its first message; every link is checked.

        Args:
            head: a session's head, or a message's id.
            namespace: where to look for an id; a head knows its own.

        Raises:
            IntegrityError: a message is not what was saved.
            SessionNotFound: there is no such message in the namespace.
        """
        with self._read() as unit:
            namespace, link = _resolve(unit, head, namespace)
            return chain.load(unit, namespace, link)

    def segments(
        self, head: SessionHead | str, fingerprint: str, namespace: str = ""
    ) -> list[StoredSegment | None]:
        """The memory of a conversation under one fingerprint, in the order of its messages.

        None stands where there is no segment, and where there is one that is not what was written; the
        latter is logged. Either is to be rebuilt from the transcript (`put_segments`).

        Raises:
            SessionNotFound: there is no such message in the namespace.
        """
        with self._read() as unit:
            namespace, link = _resolve(unit, head, namespace)
            return segment_rows.load(unit, namespace, link, fingerprint)

    def put_segments(
        self,
        head: SessionHead,
        new: Mapping[str, NewSegment],
        fingerprint: str,
        fingerprint_settings: Mapping[str, Any],
    ) -> None:
        """Saves rebuilt segments of messages, by message id, in place of what is there.

        Raises:
            SessionConflict: a message is no longer in the namespace; nothing was saved.
            UsageError: an argument breaks a rule.
        """
        values = list(new.values())
        settings = segment_rows.check(values, fingerprint, fingerprint_settings)
        with self._write() as unit:
            namespace_n = unit.namespace_n(head.namespace)
            unit.lock_namespace(namespace_n, exclusive=False)
            links = [chain.find(unit, head.namespace, namespace_n, id) for id in new]
            if not all(link and link.n for link in links):
                raise SessionConflict(
                    f"session {head.name!r} has changed: a rebuilt message is not in it; nothing was saved"
                )
            segment_rows.write(unit, head.namespace, [x for x in links if x], values, fingerprint, settings)

    def sessions(
        self, namespace: str = "", *, like: str | None = None, limit: int = 50, offset: int = 0
    ) -> list[SessionHead]:
        """Sessions of a namespace, the most recently used first.

        Args:
            namespace: whose sessions.
            like: only those whose name contains this, in upper or lower case.
            limit: how many at most.
            offset: how many to skip.

        Raises:
            UsageError: `limit` or `offset` is negative.
        """
        if limit < 0 or offset < 0:
            raise UsageError(f"limit and offset must not be negative: {limit}, {offset}")
        with self._read() as unit:
            return heads.page(unit, namespace, like, limit, offset)

    @contextmanager
    def _read(self) -> Iterator[Unit]:
        with self.database.read() as connection:
            yield Unit(connection, self._vault)

    @contextmanager
    def _write(self) -> Iterator[Unit]:
        with self.database.write() as connection:
            yield Unit(connection, self._vault)


def _resolve(unit: Unit, head: SessionHead | str, namespace: str) -> tuple[str, Link]:
    id = head if isinstance(head, str) else head.head_id
    namespace = namespace if isinstance(head, str) else head.namespace
    link = chain.find(unit, namespace, unit.namespace_n(namespace), id)
    if link is None:
        raise SessionNotFound(f"no message {id} in the namespace {namespace!r}")
    return namespace, link
