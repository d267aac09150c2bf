"""Checking a whole database: every message, every segment, every session."""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlalchemy import select, text

from loma_memory.errors import IntegrityError
from loma_memory.store import heads, ids, segments
from loma_memory.store.chain import Link, check_row
from loma_memory.store.records import SessionReport, VerifyReport
from loma_memory.store.tables import fingerprints, messages, namespaces
from loma_memory.store.tables import segments as segment_table
from loma_memory.store.unit import Unit


@dataclass
class _Checked:
    """What is remembered of a message: neither text nor tensors, so a whole database fits in memory."""

    parent_n: int | None
    link: Link
    sound: bool
    segments: int = 0
    bad_segments: list[str] = field(default_factory=list)


def verify(unit: Unit) -> VerifyReport:
    """Checks everything and says, session by session, what is not as it was saved."""
    checked = _check_messages(unit)
    _check_segments(unit, checked)
    reports = tuple(_check_session(unit, row, checked) for row in heads.rows(unit))
    return VerifyReport(reports, tuple(_check_file(unit)))


def _check_messages(unit: Unit) -> dict[int, _Checked]:
    checked: dict[int, _Checked] = {}
    query = (
        select(messages, namespaces.c.name.label("namespace"))
        .join(namespaces, namespaces.c.n == messages.c.namespace_n)
        .order_by(messages.c.depth)
        .execution_options(yield_per=500)
    )
    for row in unit.connection.execute(query):
        parent = checked.get(row.parent_n)
        before = parent.link if parent else Link(None, ids.root_id(row.namespace), 0, 0)
        link, sound = Link(row.n, "", row.depth, row.turn), True
        try:
            message = check_row(unit, row.namespace, before, row)
            link = Link(row.n, message.id, message.depth, message.turn)
        except IntegrityError:
            sound = False
        checked[row.n] = _Checked(row.parent_n, link, sound)
    return checked


def _check_segments(unit: Unit, checked: dict[int, _Checked]) -> None:
    query = (
        select(
            segment_table,
            messages.c.id.label("row_id"),
            fingerprints.c.fingerprint,
            namespaces.c.name.label("namespace"),
        )
        .join(messages, messages.c.n == segment_table.c.message_n)
        .join(fingerprints, fingerprints.c.n == segment_table.c.fingerprint_n)
        .join(namespaces, namespaces.c.n == messages.c.namespace_n)
        .execution_options(yield_per=20)
    )
    for row in unit.connection.execute(query):
        message = checked.get(row.message_n)
        if message is None:
            continue
        message.segments += 1
        sound = segments.is_sound(unit, row.row_id, row.fingerprint, row)
        if sound:
            try:
                unit.vault.open_segment(row.namespace, row.row_id, row.fingerprint, row.codec, row.data)
            except IntegrityError:
                sound = False
        if not sound:
            message.bad_segments.append(row.fingerprint)


def _check_session(unit: Unit, row: heads.Row, checked: dict[int, _Checked]) -> SessionReport:
    problem = None
    try:
        heads.from_row(unit, row)
    except IntegrityError as error:
        problem = str(error)
    bad_messages, bad_segments, count, kept = [], [], 0, 0
    n, seen = row.head_n, set[int]()
    while n is not None and n not in seen:
        seen.add(n)
        message = checked.get(n)
        if message is None:
            problem = problem or "its conversation has a gap"
            break
        count += 1
        kept += message.segments
        if not message.sound:
            bad_messages.append(message.link.depth)
        bad_segments += [(message.link.depth, fingerprint) for fingerprint in message.bad_segments]
        n = message.parent_n
    if problem is None and count != row.messages:
        problem = f"its conversation has {count} messages, and should have {row.messages}"
    return SessionReport(
        row.namespace,
        row.name,
        count,
        kept,
        tuple(sorted(bad_messages)),
        tuple(sorted(bad_segments)),
        problem,
    )


def _check_file(unit: Unit) -> list[str]:
    if not unit.sqlite:
        return []
    said = [str(row[0]) for row in unit.connection.execute(text("PRAGMA integrity_check(20)"))]
    dangling = unit.connection.execute(text("PRAGMA foreign_key_check")).all()
    problems = [] if said == ["ok"] else said
    return problems + [f"a row of {row[0]} refers to a row that does not exist" for row in dangling[:20]]
