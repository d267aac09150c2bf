"""Segments: opaque bytes, each with a checksum that ties it to its message and fingerprint."""

from __future__ import annotations

import hmac
import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import and_, select, update

from loma_memory.errors import IntegrityError, UsageError
from loma_memory.store import clock
from loma_memory.store.chain import Link, ancestry
from loma_memory.store.records import NewSegment, StoredSegment
from loma_memory.store.tables import fingerprints, messages, segments
from loma_memory.store.unit import Unit

log = logging.getLogger(__name__)

MAX_BYTES = 256 * 2**20  # of one segment; PostgreSQL holds little more in one value
MAX_CODEC = 100


def check(new: Sequence[NewSegment | None], fingerprint: str, settings: Mapping[str, Any]) -> str:
    """Checks segments before anything is done with them. Returns the settings as JSON.

    Raises:
        UsageError: a segment is too large or not bytes, there is no fingerprint for it, or the settings
            are not plain JSON.
    """
    for segment in new:
        if segment is None:
            continue
        if not isinstance(segment.data, bytes) or len(segment.data) > MAX_BYTES:
            raise UsageError(f"a segment's data must be at most {MAX_BYTES} bytes")
        if not 0 <= segment.slots < 2**31 or not 0 < len(segment.codec) <= MAX_CODEC:
            raise UsageError("a segment needs a codec's name and a number of slots that is not negative")
        if not 0 < len(fingerprint) <= MAX_CODEC * 10:
            raise UsageError("segments need the fingerprint of what made them")
    try:
        return json.dumps(dict(settings), sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise UsageError(f"fingerprint settings must be plain JSON: {error}") from None


def fingerprint_n(unit: Unit, fingerprint: str, settings: str) -> int:
    """Number of a fingerprint, saved with its settings when it is new."""
    row = {"fingerprint": fingerprint, "settings": settings, "created_at": clock.now_us()}
    unit.connection.execute(unit.insert_or_ignore(fingerprints, row, ["fingerprint"]))
    query = select(fingerprints.c.n).where(fingerprints.c.fingerprint == fingerprint)
    return int(unit.connection.execute(query).scalar_one())


def write(
    unit: Unit,
    namespace: str,
    links: Sequence[Link],
    new: Sequence[NewSegment | None],
    fingerprint: str,
    settings: str,
    *,
    replace: bool = True,
) -> None:
    """Writes the segments of messages under one fingerprint; None leaves a message without.

    Args:
        unit: the transaction.
        namespace: whose messages they are.
        links: the messages.
        new: a segment for each message.
        fingerprint: of what made the segments.
        settings: JSON of what the fingerprint stands for.
        replace: whether a segment that is there already gives way. Segments from another machine do not
            replace what was computed here.
    """
    if not any(new):
        return
    number = fingerprint_n(unit, fingerprint, settings)
    for link, segment in zip(links, new, strict=True):
        if segment is None:
            continue
        row_id = unit.vault.row_id(link.id)
        made = StoredSegment(link.id, fingerprint, segment.slots, segment.codec, segment.data)
        row = {"message_n": link.n, "fingerprint_n": number} | _columns(unit, namespace, row_id, made)
        put = unit.insert_or_replace if replace else unit.insert_or_ignore
        unit.connection.execute(put(segments, row, ["message_n", "fingerprint_n"]))


def load(unit: Unit, namespace: str, head: Link, fingerprint: str) -> list[StoredSegment | None]:
    """Segments of the conversation that ends at `head`, in its order; None where there is no sound one."""
    walk = ancestry(head.n)
    number = select(fingerprints.c.n).where(fingerprints.c.fingerprint == fingerprint).scalar_subquery()
    found = and_(segments.c.message_n == walk.c.n, segments.c.fingerprint_n == number)
    query = (
        select(
            messages.c.depth,
            messages.c.id,
            messages.c.sealed,
            segments.c.slots,
            segments.c.codec,
            segments.c.checksum,
            segments.c.data,
        )
        .select_from(walk)
        .join(messages, messages.c.n == walk.c.n)
        .join(segments, found)
    )
    # Sorted here: the database's sort would copy all the blobs.
    ordered: list[StoredSegment | None] = [None] * head.depth
    for row in unit.connection.execute(query):
        if row.depth not in range(1, head.depth + 1):
            continue  # a damaged message; loading the conversation refuses it
        try:
            ordered[row.depth - 1] = open_row(unit, namespace, fingerprint, row)
        except IntegrityError as error:
            log.warning("segment of message %d in namespace %r refused: %s", row.depth, namespace, error)
    return ordered


def rewrite(unit: Unit, namespace: str, n: int, segment: StoredSegment) -> None:
    """Writes a segment's row anew, in the form of the present vault."""
    row_id = unit.vault.row_id(segment.message_id)
    unit.connection.execute(
        update(segments).where(segments.c.n == n).values(**_columns(unit, namespace, row_id, segment))
    )


def is_sound(unit: Unit, row_id: str, fingerprint: str, row: Any) -> bool:
    """Whether a row (slots, codec, checksum, data) is what was written for that message."""
    if not isinstance(row.data, bytes) or not isinstance(row.checksum, bytes):
        return False  # SQLite's columns take values of any type
    expected = _checksum(unit, row_id, fingerprint, row.slots, row.codec, row.data)
    return hmac.compare_digest(expected, row.checksum)


def open_row(unit: Unit, namespace: str, fingerprint: str, row: Any) -> StoredSegment:
    """A segment from a row with its columns and its message's `id` and `sealed`.

    Raises:
        IntegrityError: it is not what was written.
    """
    if not is_sound(unit, row.id, fingerprint, row):
        raise IntegrityError("its checksum does not match")
    id = unit.vault.open_id(namespace, row.id, row.sealed)
    data = unit.vault.open_segment(namespace, row.id, fingerprint, row.codec, row.data)
    return StoredSegment(id, fingerprint, row.slots, row.codec, data)


def _columns(unit: Unit, namespace: str, row_id: str, segment: StoredSegment) -> dict[str, Any]:
    fingerprint, slots, codec = segment.fingerprint, segment.slots, segment.codec
    stored = unit.vault.seal_segment(namespace, row_id, fingerprint, codec, segment.data)
    checksum = _checksum(unit, row_id, fingerprint, slots, codec, stored)
    return {"slots": slots, "codec": codec, "checksum": checksum, "data": stored}


def _checksum(unit: Unit, row_id: str, fingerprint: str, slots: int, codec: str, stored: bytes) -> bytes:
    return unit.vault.checksum("segment", row_id, fingerprint, slots, codec, stored)
