"""Deleting so that nothing is left: rows, full-text index, log and free pages."""

from __future__ import annotations

import logging

from sqlalchemy import CTE, Connection, delete, func, select, text

from loma_memory.errors import SessionNotFound
from loma_memory.store import clock
from loma_memory.store.database import Database
from loma_memory.store.records import Erased
from loma_memory.store.tables import fingerprints, messages, namespaces, segments, sessions
from loma_memory.store.unit import Unit

log = logging.getLogger(__name__)

# How long erasing waits for readers of other processes before it leaves their log to the next time.
_CHECKPOINT_MS = 5000


def session(unit: Unit, namespace: str, name: str) -> Erased:
    """Deletes a session and all that no other session of its namespace holds.

    Raises:
        SessionNotFound: there is none of that name.
    """
    namespace_n = unit.namespace_n(namespace)
    unit.lock_namespace(namespace_n, exclusive=True)
    named = (sessions.c.namespace_n == namespace_n) & (sessions.c.name == name)
    if unit.connection.execute(delete(sessions).where(named)).rowcount == 0:
        raise SessionNotFound(f"there is no session {name!r} in the namespace {namespace!r}")
    pruned = prune(unit, namespace_n)
    return Erased(1, pruned.messages, pruned.segments)


def any_expired(unit: Unit) -> bool:
    """Whether `expired` would delete anything."""
    due = select(sessions.c.n).where(sessions.c.expires_at <= clock.now_us()).limit(1)
    return unit.connection.execute(due).first() is not None


def expired(unit: Unit) -> Erased:
    """Deletes all sessions, of all namespaces, whose time has come."""
    due = sessions.c.expires_at <= clock.now_us()
    total = Erased(0, 0, 0)
    touched = select(sessions.c.namespace_n).where(due).distinct().order_by(sessions.c.namespace_n)
    for namespace_n in unit.connection.execute(touched).scalars().all():
        unit.lock_namespace(namespace_n, exclusive=True)
        here = sessions.c.namespace_n == namespace_n
        gone = unit.connection.execute(delete(sessions).where(here, due)).rowcount
        total = _add(total, prune(unit, namespace_n), sessions=gone)
    return total


def namespace(unit: Unit, name: str) -> Erased:
    """Deletes a namespace with everything in it.

    Raises:
        SessionNotFound: nothing was ever saved in it.
    """
    namespace_n = unit.namespace_n(name)
    unit.lock_namespace(namespace_n, exclusive=True)
    gone = unit.connection.execute(delete(sessions).where(sessions.c.namespace_n == namespace_n)).rowcount
    pruned = prune(unit, namespace_n)
    unit.connection.execute(delete(namespaces).where(namespaces.c.n == namespace_n))
    unused_fingerprints(unit)
    return Erased(gone, pruned.messages, pruned.segments)


def prune(unit: Unit, namespace_n: int) -> Erased:
    """Deletes the messages of a namespace that no session reaches. The namespace must be locked."""
    reach = _reachable(namespace_n)
    doomed = (messages.c.namespace_n == namespace_n) & messages.c.n.not_in(select(reach.c.n))
    count = select(func.count()).select_from(segments.join(messages, messages.c.n == segments.c.message_n))
    lost = unit.connection.execute(count.where(doomed)).scalar_one()
    gone = unit.connection.execute(delete(messages).where(doomed)).rowcount
    if gone and unit.sqlite:
        # Deleting leaves the words in the index, marked as deleted; merging all of it drops them.
        unit.connection.execute(text("INSERT INTO loma_search(loma_search) VALUES ('optimize')"))
    return Erased(0, gone, lost)


def everywhere(unit: Unit) -> Erased:
    """Deletes, in all namespaces, what no session reaches."""
    total = Erased(0, 0, 0)
    for namespace_n in (
        unit.connection.execute(select(namespaces.c.n).order_by(namespaces.c.n)).scalars().all()
    ):
        unit.lock_namespace(namespace_n, exclusive=True)
        total = _add(total, prune(unit, namespace_n))
    unused_fingerprints(unit)
    return total


def unused_fingerprints(unit: Unit) -> None:
    """Deletes fingerprints that no segment carries."""
    used = select(segments.c.fingerprint_n).where(segments.c.fingerprint_n == fingerprints.c.n)
    unit.connection.execute(delete(fingerprints).where(~used.exists()))


def scrub(database: Database) -> bool:
    """Empties SQLite's log, which still holds what was deleted. Returns whether nothing is left of it."""
    if not database.sqlite:
        return False
    if database.memory:
        return True
    with database.outside() as connection:
        return _empty_log(connection)


def compact(database: Database) -> bool:
    """Rewrites the database without its free space. Returns as `scrub` does."""
    with database.outside() as connection:
        if database.sqlite:
            connection.execute(text("VACUUM"))
            return database.memory or _empty_log(connection)
        for table in (messages, segments, sessions, fingerprints, namespaces):
            connection.execute(text(f"VACUUM (FULL, ANALYZE) {table.name}"))
        return True


def _empty_log(connection: Connection) -> bool:
    waited = connection.execute(text("PRAGMA busy_timeout")).scalar_one()
    connection.execute(text(f"PRAGMA busy_timeout={_CHECKPOINT_MS}"))
    try:
        busy = connection.execute(text("PRAGMA wal_checkpoint(TRUNCATE)")).one()[0]
    finally:
        connection.execute(text(f"PRAGMA busy_timeout={waited}"))
    if busy:
        log.warning("deleted rows are still in SQLite's log: another process is reading; vacuum later")
    return not busy


def _reachable(namespace_n: int) -> CTE:
    held = select(sessions.c.head_n).where(
        sessions.c.namespace_n == namespace_n, sessions.c.head_n.is_not(None)
    )
    start = select(messages.c.n, messages.c.parent_n).where(messages.c.n.in_(held))
    reach = start.cte("reach", recursive=True, nesting=True)
    step = select(messages.c.n, messages.c.parent_n).join(reach, messages.c.n == reach.c.parent_n)
    return reach.union(step)


def _add(total: Erased, more: Erased, sessions: int = 0) -> Erased:
    return Erased(total.sessions + sessions, total.messages + more.messages, total.segments + more.segments)
