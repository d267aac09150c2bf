"""The store: sessions, their conversations and their memory in one SQL database."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Self

from sqlalchemy import select

from loma_memory.errors import SessionConflict, SessionExists, SessionNotFound, StoreError, UsageError
from loma_memory.store import bundle, chain, erase, heads, ids, search, stats, tables, transfer, verify
from loma_memory.store import segments as segment_rows
from loma_memory.store.chain import Link
from loma_memory.store.database import Database
from loma_memory.store.failpoints import reach
from loma_memory.store.keys import Key, parse_keys
from loma_memory.store.records import (
    Erased,
    Message,
    NewMessage,
    NewSegment,
    SearchHit,
    SessionHead,
    Stats,
    StoredSegment,
    VerifyReport,
)
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
    def open(cls, url: str, *, key: Key | None = None) -> Store:
        """Opens a database, and creates or upgrades its tables where needed.

        Args:
            url: `sqlite:///chats.db`, `sqlite://` (in memory, gone when closed) or
                `postgresql://user@host/database`.
            key: for encryption at rest: 32 random bytes in base64 or hexadecimal digits (`new_key`), or a
                function that gives them. None takes the environment's LOMA_KEY, and without that there
                is no encryption. Of several keys with commas between, the first encrypts and all decrypt.

        Raises:
            UsageError: the URL is not one of these, or the key is none.
            SchemaError: a newer version of this library wrote the database; it was left untouched.
            StoreError: it cannot be opened, is no database, is encrypted under another key or without
                one being given, or is in plain text although one is.
        """
        database = Database(url)
        try:
            prepare(database)
            database.log_ahead()
            vault = _vault(database, key)
        except BaseException:
            database.close()
            raise
        return cls(database, vault)

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
        self.expire()  # one of that name may still be there, its time over
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
        if not messages:
            raise UsageError("appending needs at least one message")
        settings = _check_new(messages, segments, fingerprint, fingerprint_settings)
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
        _check_page(limit, offset)
        with self._read() as unit:
            return heads.page(unit, namespace, like, limit, offset)

    def known(self, messages: Sequence[NewMessage], namespace: str = "") -> list[str]:
        """Ids of the longest beginning of a conversation that has been saved in the namespace.

        For hosts that send the whole history each time: the last id can be given to `path` and
        `segments`, and `holders` names the sessions that go on from there.
        """
        chain.check(messages)
        with self._read() as unit:
            try:
                namespace_n = unit.namespace_n(namespace)
            except SessionNotFound:
                return []
            return [link.id for link in chain.known(unit, namespace, namespace_n, messages)]

    def holders(self, message_id: str, namespace: str = "") -> list[str]:
        """Names of the sessions whose conversation a message is part of, in alphabetical order."""
        with self._read() as unit:
            try:
                namespace_n = unit.namespace_n(namespace)
            except SessionNotFound:
                return []
            link = chain.find(unit, namespace, namespace_n, message_id)
            if link is None or link.n is None:
                return []
            return sorted(search.holders(unit, namespace_n, [link.n]).get(link.n, []))

    def search(self, query: str, namespace: str = "", limit: int = 20) -> list[SearchHit]:
        """Messages of a namespace's sessions with all words of the query, the newest first.

        A word also finds longer words that it begins. Anything else in the query is ignored.

        Raises:
            UsageError: the query has no word, or more than 32.
            StoreError: the database is encrypted.
        """
        _check_page(limit)
        with self._read() as unit:
            try:
                return search.search(unit, namespace, query, limit)
            except SessionNotFound:
                return []

    def stats(self, head: SessionHead | None = None, *, namespace: str | None = None) -> Stats:
        """Sizes of one session, of a namespace, or (with neither given) of the whole database."""
        with self._read() as unit:
            if head is not None:
                session = heads.load(unit, head.namespace, head.name)
                return stats.of_session(unit, session.link.n, session.link.turn)
            try:
                return stats.of_namespace(unit, None if namespace is None else unit.namespace_n(namespace))
            except SessionNotFound:
                return Stats(0, 0, 0, 0, 0, 0, 0)

    def namespaces(self) -> list[str]:
        """All namespaces in which something was saved, in alphabetical order."""
        with self._read() as unit:
            query = select(tables.namespaces.c.name).order_by(tables.namespaces.c.name)
            return list(unit.connection.execute(query).scalars())

    def fork(self, head: SessionHead, new_name: str, *, turn: int | None = None) -> SessionHead:
        """A new session with the same conversation, or its first `turn` turns. Nothing is copied.

        Raises:
            SessionExists: the new name is taken.
            SessionConflict: what `head` points at has been erased.
            UsageError: the name is not allowed, or there is no such turn.
        """
        ids.check_name("session", new_name)
        _check_turn(head, turn if turn is not None else head.turns)
        self.expire()
        with self._write() as unit:
            namespace_n = unit.namespace_n(head.namespace)
            unit.lock_namespace(namespace_n, exclusive=False)
            link = chain.find(unit, head.namespace, namespace_n, head.head_id)
            if link is None:
                raise SessionConflict(f"session {head.name!r} has changed: what was to be forked is erased")
            if turn is not None:
                link = chain.at_turn(unit, head.namespace, link, turn)
            return heads.create(unit, head.namespace, new_name, link)

    def rollback(self, head: SessionHead, to_turn: int) -> SessionHead:
        """Moves a session back to the end of a turn (0: before the first).

        The later turns stay in the database until `gc` or another erasing verb comes by.

        Raises:
            SessionConflict: the session has moved since.
            UsageError: there is no such turn.
        """
        _check_turn(head, to_turn)
        with self._write() as unit:
            session = heads.claim(unit, head)
            return heads.move(unit, session, chain.at_turn(unit, head.namespace, session.link, to_turn))

    def replace_after(
        self,
        head: SessionHead,
        turn: int,
        messages: Sequence[NewMessage],
        segments: Sequence[NewSegment | None],
        fingerprint: str,
        fingerprint_settings: Mapping[str, Any],
    ) -> SessionHead:
        """Replaces all that follows a turn, and erases what no session holds any more.

        This is what forgetting and editing are made of: to forget turn k, keep k - 1 turns and give the
        turns after k, with segments computed as if k had never been. What other sessions (forks) share
        of the old turns stays theirs; `holders` names them.

        Args:
            head: the session as the caller knows it.
            turn: the last turn to keep, 0 for none.
            messages: what follows it now; may be empty.
            segments: the memory of each of these messages, or None.
            fingerprint: of what made the segments.
            fingerprint_settings: what the fingerprint stands for, as plain JSON.

        Raises:
            SessionConflict: the session has moved since; nothing was changed.
            UsageError: an argument breaks a rule.
        """
        _check_turn(head, turn)
        settings = _check_new(messages, segments, fingerprint, fingerprint_settings)
        with self._write() as unit:
            session = heads.claim(unit, head, heads.Lock.ERASE)
            link = chain.at_turn(unit, head.namespace, session.link, turn)
            links = chain.extend(unit, head.namespace, session.namespace_n, link, messages)
            segment_rows.write(unit, head.namespace, links, segments, fingerprint, settings)
            moved = heads.move(unit, session, links[-1] if links else link)
            reach("replace.moved")
            erase.prune(unit, session.namespace_n)
            reach("replace.erased")
        reach("replace.committed")
        erase.scrub(self.database)
        return moved

    def delete_session(self, name: str, namespace: str = "") -> Erased:
        """Deletes a session and all that no other session of its namespace holds.

        Raises:
            SessionNotFound: there is none of that name.
        """
        with self._write() as unit:
            erased = erase.session(unit, namespace, name)
            reach("erase.deleted")
        reach("erase.committed")
        return replace(erased, complete=erase.scrub(self.database))

    def erase_namespace(self, namespace: str) -> Erased:
        """Deletes a namespace with everything in it, and rewrites the database so that no byte is left.

        Raises:
            SessionNotFound: nothing was ever saved in it.
        """
        with self._write() as unit:
            erased = erase.namespace(unit, namespace)
            reach("erase.deleted")
        reach("erase.committed")
        return replace(erased, complete=erase.compact(self.database))

    def set_expiry(self, head: SessionHead, at: datetime | timedelta | None) -> SessionHead:
        """Sets when a session expires: a time, a while from now, or None for never.

        An expired session is no longer found; `expire` deletes it, as does the making of any session.

        Raises:
            SessionNotFound: it has been deleted.
            UsageError: the time has no time zone.
        """
        moment = datetime.now(UTC) + at if isinstance(at, timedelta) else at
        with self._write() as unit:
            session = heads.load(unit, head.namespace, head.name, heads.Lock.MOVE)
            return heads.set_expiry(unit, session, moment)

    def expire(self) -> Erased:
        """Deletes the sessions of all namespaces whose time has come."""
        with self._read() as unit:
            if not erase.any_expired(unit):
                return Erased(0, 0, 0)
        with self._write() as unit:
            erased = erase.expired(unit)
        return self._scrubbed(erased)

    def gc(self) -> Erased:
        """Deletes, in all namespaces, what no session holds: mostly what rollbacks left."""
        with self._write() as unit:
            erased = erase.everywhere(unit)
        return self._scrubbed(erased)

    def vacuum(self) -> None:
        """Rewrites the database without its free space, and with it the last traces of deleted rows."""
        erase.compact(self.database)

    def verify(self) -> VerifyReport:
        """Checks every message, segment and session of the database, and reports by session."""
        with self._read() as unit:
            return verify.verify(unit)

    def export_session(self, head: SessionHead) -> bytes:
        """A file with the conversation that ends at `head`, its memory, fingerprints and checksums.

        It is not encrypted, even where the database is.

        Raises:
            IntegrityError: a message is not what was saved.
            SessionNotFound: the conversation has been erased.
        """
        with self._read() as unit:
            _, link = _resolve(unit, head, head.namespace)
            return transfer.export(unit, head.namespace, head.name, link)

    def import_session(self, data: bytes, name: str | None = None, namespace: str = "") -> SessionHead:
        """Saves a file made by `export_session` as a new session, entirely or not at all.

        Its messages are hashed anew. Its segments are taken on trust, as whoever made the file is; they
        never replace any that are here.

        Args:
            data: the file.
            name: the session's name; None takes the one in the file.
            namespace: where to put it.

        Raises:
            IntegrityError: it is no such file, or is damaged.
            SessionExists: the name is taken.
            UsageError: the name or the namespace is not allowed.
        """
        packed = bundle.unpack(data)
        name = ids.check_name("session", packed.name if name is None else name)
        ids.check_name("namespace", namespace)
        self.expire()
        with self._write() as unit:
            return transfer.restore(unit, namespace, name, packed)

    def rotate_key(self, new_key: Key) -> int:
        """Encrypts everything under a new key, and forgets the others. Returns how many rows it rewrote.

        Others can read and write meanwhile, and have to open the store again with the new key when it is
        done. Stopped half-way, it is repeated on a store that was opened with both keys, "new,old".

        Raises:
            UsageError: the store is not encrypted, or the key is none.
        """
        from loma_memory.store import encryption, rotation

        if not isinstance(self._vault, encryption.EncryptedVault):
            raise UsageError("only an encrypted store has a key to rotate; `encrypt_database` makes one")
        self._vault = self._vault.with_first(parse_keys(new_key)[0])
        done = rotation.rotate(self.database, self._vault)
        erase.scrub(self.database)
        return done

    def _scrubbed(self, erased: Erased) -> Erased:
        if erased.messages or erased.sessions:
            return replace(erased, complete=erase.scrub(self.database))
        return erased

    @contextmanager
    def _read(self) -> Iterator[Unit]:
        with self.database.read() as connection:
            yield Unit(connection, self._vault)

    @contextmanager
    def _write(self) -> Iterator[Unit]:
        with self.database.write() as connection:
            unit = Unit(connection, self._vault)
            self._vault.check_writable(unit.connection)
            yield unit


def _vault(database: Database, key: Key | None) -> Vault:
    key = key or os.environ.get("LOMA_KEY") or None
    # Imported here: few use it, and it needs a library that need not be installed.
    if key is not None:
        from loma_memory.store import encryption

        return encryption.open_vault(database, key)
    with database.read() as connection:
        ids = connection.execute(select(tables.keys.c.key_id).order_by(tables.keys.c.key_id)).scalars().all()
    if ids:
        raise StoreError(
            f"{database.url.render_as_string()} is encrypted under key {', '.join(ids)}: "
            "give the key, or set LOMA_KEY"
        )
    return Vault()


def _resolve(unit: Unit, head: SessionHead | str, namespace: str) -> tuple[str, Link]:
    id = head if isinstance(head, str) else head.head_id
    namespace = namespace if isinstance(head, str) else head.namespace
    link = chain.find(unit, namespace, unit.namespace_n(namespace), id)
    if link is None:
        raise SessionNotFound(f"no message {id} in the namespace {namespace!r}")
    return namespace, link


def _check_new(
    messages: Sequence[NewMessage],
    segments: Sequence[NewSegment | None],
    fingerprint: str,
    settings: Mapping[str, Any],
) -> str:
    chain.check(messages)
    if len(messages) != len(segments):
        raise UsageError(
            f"each message needs a segment or None: {len(messages)} messages, {len(segments)} segments"
        )
    return segment_rows.check(segments, fingerprint, settings)


def _check_turn(head: SessionHead, turn: int) -> None:
    if not 0 <= turn <= head.turns:
        raise UsageError(f"session {head.name!r} has turns 1 to {head.turns}; {turn} is none of them")


def _check_page(*numbers: int) -> None:
    if min(numbers) < 0:
        raise UsageError(f"limit and offset must not be negative: {min(numbers)}")
