"""Sizes, added up by the database."""

from __future__ import annotations

from sqlalchemy import ColumnElement, func, select, true

from loma_memory.store.chain import ancestry
from loma_memory.store.records import Stats
from loma_memory.store.tables import messages, segments, sessions
from loma_memory.store.unit import Unit


def of_session(unit: Unit, head_n: int | None, turns: int) -> Stats:
    """Sizes of one conversation."""
    walk = ancestry(head_n)
    return _measure(unit, 1, turns, messages.c.n.in_(select(walk.c.n)))


def of_namespace(unit: Unit, namespace_n: int | None) -> Stats:
    """Sizes of a namespace, or of the whole database."""
    ours = true() if namespace_n is None else sessions.c.namespace_n == namespace_n
    count = select(func.count(), func.coalesce(func.sum(sessions.c.turns), 0)).where(ours)
    number, turns = unit.connection.execute(count).one()
    within = true() if namespace_n is None else messages.c.namespace_n == namespace_n
    return _measure(unit, number, turns, within)


def _measure(unit: Unit, number: int, turns: int, within: ColumnElement[bool]) -> Stats:
    length = func.coalesce(func.length(messages.c.text), func.length(messages.c.sealed))
    texts = select(func.count(), func.coalesce(func.sum(length), 0)).select_from(messages).where(within)
    rows, characters = unit.connection.execute(texts).one()
    sums = (
        select(
            func.count(),
            func.coalesce(func.sum(segments.c.slots), 0),
            func.coalesce(func.sum(func.length(segments.c.data)), 0),
        )
        .select_from(segments.join(messages, messages.c.n == segments.c.message_n))
        .where(within)
    )
    kept, slots, size = unit.connection.execute(sums).one()
    return Stats(number, int(turns), rows, int(characters), kept, int(slots), int(size))
