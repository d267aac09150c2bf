"""The store: sessions, their conversations and their memory in one SQL database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from loma_memory.errors import SessionConflict, SessionExists, SessionNotFound, UsageError
from loma_memory.store import bundle, chain, erase, heads, ids, search, transfer
from loma_memory.store import segments as segment_rows
from loma_memory.store.chain import Link
from loma_memory.store.failpoints import reach
from loma_memory.store.records import (
    Message,
    NewMessage,
    NewSegment,
    SearchHit,
    SessionHead,
    StoredSegment,
)
from loma_memory.store.unit import Unit
from loma_memory.store.upkeep import Upkeep


class Store(Upkeep):
    """Sessions in a database. One store may be used by many threads; each process opens its own.

    Every method is one transaction: it happens entirely or not at all, and what it returns has been
    committed. All methods raise StoreError, in one line, where the database fails.
    """

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
