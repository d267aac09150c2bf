"""Times as the database holds them: whole microseconds since 1970, UTC."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

from loma_memory.errors import UsageError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def now_us() -> int:
    """The clock, in microseconds. It may go back; nothing but expiry relies on it."""
    return time.time_ns() // 1000


def to_us(moment: datetime) -> int:
    """An aware datetime in microseconds.

    Raises:
        UsageError: it has no time zone.
    """
    if moment.tzinfo is None:
        raise UsageError(f"a time needs a time zone: {moment.isoformat()} has none")
    return (moment - _EPOCH) // timedelta(microseconds=1)


def from_us(moment: int) -> datetime:
    """Microseconds as a UTC datetime, clamped to the years that datetime knows."""
    try:
        return _EPOCH + timedelta(microseconds=moment)
    except OverflowError:  # only a damaged row has such a time; it is no reason to lose the message
        return _EPOCH
