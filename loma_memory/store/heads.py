"""Sessions: rows that point at the last message of a conversation and move by compare-and-swap."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import Enum
from typing import Any

from sqlalchemy import Select, select, update

from loma_memory.errors import IntegrityError, SessionConflict, SessionExists, SessionNotFound
from loma_memory.store import clock, ids
from loma_memory.store.chain import Link
from loma_memory.store.records import SessionHead
from loma_memory.store.tables import messages, namespaces, sessions
from loma_memory.store.unit import Unit

log = logging.getLogger(__name__)

Row = Any  # a row of `_query`; its columns are known by name only


class Lock(Enum):
    """What a transaction is going to do with a session."""

    NONE = "only read it"
    MOVE = "move its head"
    ERASE = "erase what its head, once moved, no longer reaches"


@dataclass(frozen=True)
class Loaded:
    """A session with the numbers of its rows, valid within one transaction."""

    n: int
    namespace_n: int
    link: Link
    head: SessionHead


def load(unit: Unit, namespace: str, name: str, lock: Lock = Lock.NONE) -> Loaded:
    """Reads a session; with a lock, nobody else moves it until the transaction ends.

    Raises:
        SessionNotFound: there is none of that name, or it has expired.
        IntegrityError: its row is not what was written.
    """
    if lock is not Lock.NONE and not unit.sqlite:
        # Two statements: one that waits for a lock reads the locked row anew, but the rows joined to it
        # as they were when it began to wait.
        namespace_n = unit.namespace_n(namespace)
        unit.lock_namespace(namespace_n, exclusive=lock is Lock.ERASE)
        ours = (sessions.c.namespace_n == namespace_n) & (sessions.c.name == name)
        unit.connection.execute(select(sessions.c.n).where(ours).with_for_update())
    query = _query().where(namespaces.c.name == namespace, sessions.c.name == name)
    row = unit.connection.execute(query).one_or_none()
    if row is None or _expired(row):
        raise SessionNotFound(f"there is no session {name!r} in the namespace {namespace!r}")
    return from_row(unit, row)


def claim(unit: Unit, head: SessionHead, lock: Lock = Lock.MOVE) -> Loaded:
    """Locks a session that is still as `head` says.

    Raises:
        SessionConflict: it has moved.
        SessionNotFound, IntegrityError: as in `load`.
    """
    now = load(unit, head.namespace, head.name, lock)
    if (now.head.version, now.head.head_id) != (head.version, head.head_id):
        raise SessionConflict(
            f"session {head.name!r} is at version {now.head.version}, not {head.version}: "
            "another writer came first, and nothing was saved"
        )
    return now


def create(unit: Unit, namespace: str, name: str, at: Link) -> SessionHead:
    """Makes a session that points at a message.

    Raises:
        SessionExists: there is one of that name.
    """
    namespace_n = unit.namespace_n(namespace, create=True)
    now = clock.now_us()
    row = {
        "namespace_n": namespace_n,
        "name": name,
        "head_n": at.n,
        "version": 0,
        "turns": at.turn,
        "messages": at.depth,
        "created_at": now,
        "updated_at": now,
        "expires_at": None,
        "checksum": _checksum(unit, namespace, name, at, 0, None),
    }
    new = unit.insert_or_ignore(sessions, row, ["namespace_n", "name"]).returning(sessions.c.n)
    unit.lock_namespace(namespace_n, exclusive=False)
    if unit.connection.execute(new).scalar_one_or_none() is None:
        raise SessionExists(f"a session {name!r} already exists in the namespace {namespace!r}")
    return load(unit, namespace, name).head


def move(unit: Unit, session: Loaded, to: Link) -> SessionHead:
    """Points a session, locked by `claim`, at another message; its version grows by one.

    Raises:
        SessionConflict: it has moved all the same.
    """
    head = session.head
    updated_at = max(clock.now_us(), clock.to_us(head.updated_at))
    version = head.version + 1
    expires_at = None if head.expires_at is None else clock.to_us(head.expires_at)
    moved = unit.connection.execute(
        update(sessions)
        .where(sessions.c.n == session.n, sessions.c.version == head.version)
        .values(
            head_n=to.n,
            version=version,
            turns=to.turn,
            messages=to.depth,
            updated_at=updated_at,
            checksum=_checksum(unit, head.namespace, head.name, to, version, expires_at),
        )
    )
    if moved.rowcount != 1:
        raise SessionConflict(f"session {head.name!r} was moved by another writer; nothing was saved")
    return SessionHead(
        head.namespace,
        head.name,
        to.id,
        version,
        to.turn,
        to.depth,
        head.created_at,
        clock.from_us(updated_at),
        head.expires_at,
    )


def set_expiry(unit: Unit, session: Loaded, at: datetime | None) -> SessionHead:
    """Sets when a session, locked by `claim`, expires. Its version stays."""
    expires_at = None if at is None else clock.to_us(at)
    head = session.head
    unit.connection.execute(
        update(sessions)
        .where(sessions.c.n == session.n)
        .values(
            expires_at=expires_at,
            checksum=_checksum(unit, head.namespace, head.name, session.link, head.version, expires_at),
        )
    )
    return replace(head, expires_at=at and at.astimezone(UTC))


def page(unit: Unit, namespace: str, like: str | None, limit: int, offset: int) -> list[SessionHead]:
    """Sessions of a namespace, the most recently used first. A damaged one is logged, not listed."""
    query = _query().where(namespaces.c.name == namespace)
    query = query.where(sessions.c.expires_at.is_(None) | (sessions.c.expires_at > clock.now_us()))
    if like is not None:
        query = query.where(sessions.c.name.icontains(like, autoescape=True))
    query = query.order_by(sessions.c.updated_at.desc(), sessions.c.n.desc()).limit(limit).offset(offset)
    found = []
    for row in unit.connection.execute(query):
        try:
            found.append(from_row(unit, row).head)
        except IntegrityError as error:
            log.warning("a session of namespace %r is not listed: %s", namespace, error)
    return found


def rows(unit: Unit) -> list[Row]:
    """Rows of all sessions of all namespaces, for checks of the whole database."""
    return list(unit.connection.execute(_query().order_by(sessions.c.n)))


def reseal(unit: Unit, session: Loaded) -> None:
    """Writes a session's checksum anew, after its message's id in the database has changed."""
    set_expiry(unit, session, session.head.expires_at)


def _query() -> Select[Any]:
    return (
        select(
            sessions,
            namespaces.c.name.label("namespace"),
            messages.c.id.label("row_id"),
            messages.c.sealed,
            messages.c.namespace_n.label("message_namespace_n"),
        )
        .join(namespaces, namespaces.c.n == sessions.c.namespace_n)
        .join(messages, messages.c.n == sessions.c.head_n, isouter=True)
    )


def from_row(unit: Unit, row: Row) -> Loaded:
    """A session from its row.

    Raises:
        IntegrityError: the row is not what was written.
    """
    try:
        return _checked(unit, row)
    except (IntegrityError, TypeError, ValueError) as error:  # SQLite's columns take values of any type
        raise IntegrityError(
            f"the row of session {row.name!r} is not what was written ({error}); it was not used"
        ) from None


def _checked(unit: Unit, row: Row) -> Loaded:
    if row.head_n is None:
        id = ids.root_id(row.namespace)
    elif row.row_id is None or row.message_namespace_n != row.namespace_n:
        raise IntegrityError("it points at a message of another namespace, or none")
    else:
        id = unit.vault.open_id(row.namespace, row.row_id, row.sealed)
    link = Link(row.head_n, id, row.messages, row.turns)
    if row.checksum != _checksum(unit, row.namespace, row.name, link, row.version, row.expires_at):
        raise IntegrityError("its checksum does not match")
    head = SessionHead(
        row.namespace,
        row.name,
        id,
        row.version,
        row.turns,
        row.messages,
        clock.from_us(row.created_at),
        clock.from_us(row.updated_at),
        None if row.expires_at is None else clock.from_us(row.expires_at),
    )
    return Loaded(row.n, row.namespace_n, link, head)


def _expired(row: Row) -> bool:
    return row.expires_at is not None and row.expires_at <= clock.now_us()


def _checksum(unit: Unit, namespace: str, name: str, at: Link, version: int, expires_at: int | None) -> bytes:
    expiry = "never" if expires_at is None else expires_at
    return unit.vault.checksum("session", namespace, name, at.id, at.turn, at.depth, version, expiry)
