"""Damaged rows: every flipped bit is refused, whatever part of the row it is in."""

from __future__ import annotations

import contextlib
import logging
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, update

from loma_memory.errors import IntegrityError, LomaError, UsageError
from loma_memory.store import NewMessage, NewSegment, Store
from loma_memory.store.tables import messages, segments, sessions
from loma_memory.testing.base import FINGERPRINT, SETTINGS, exchange, say, talk

Figure = Callable[[str], None]


@pytest.fixture
def store() -> Iterator[Store]:
    with Store.open("sqlite://") as store:
        yield store


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Damage is reported thousands of times here; the level is set back after each test."""
    caplog.set_level(logging.CRITICAL, "loma_memory")


def flip(rng: random.Random, value: str | bytes | int) -> str | bytes | int:
    """The value with one bit flipped."""
    if isinstance(value, int):
        return value ^ (1 << rng.randrange(20))
    raw = bytearray(value.encode() if isinstance(value, str) else value)
    raw[rng.randrange(len(raw))] ^= 1 << rng.randrange(7 if isinstance(value, str) else 8)
    return raw.decode("utf-8", "replace") if isinstance(value, str) else bytes(raw)


@pytest.mark.parametrize("count", [1000, pytest.param(50_000, marks=pytest.mark.long)])
def test_every_flipped_bit_of_a_segment_is_refused(store: Store, count: int, figure: Figure) -> None:
    rng = random.Random(3)
    kv = [NewSegment(4, "int8", os.urandom(2000)) for _ in range(2)]
    head = store.append(store.session("ada"), exchange(1), kv, FINGERPRINT, SETTINGS)
    columns = [segments.c.slots, segments.c.codec, segments.c.checksum, segments.c.data]
    refused = rebuilt = 0
    with store.database.read() as connection:
        sound = connection.execute(select(segments).order_by(segments.c.n)).all()[1]
    for number in range(count):
        column = columns[number % len(columns)]
        damaged = {column.name: flip(rng, sound._mapping[column.name])}
        with store.database.write() as connection:
            connection.execute(update(segments).where(segments.c.n == sound.n).values(**damaged))
        first, second = store.segments(head, FINGERPRINT)
        refused += second is None and first is not None
        store.put_segments(head, {head.head_id: kv[1]}, FINGERPRINT, SETTINGS)
        rebuilt += [segment and segment.data for segment in store.segments(head, FINGERPRINT)] == [
            segment.data for segment in kv
        ]
    figure(f"single-bit flips in segments: {refused} of {count} refused, {rebuilt} rebuilt")
    assert (refused, rebuilt) == (count, count)


@pytest.mark.parametrize("count", [600, pytest.param(20_000, marks=pytest.mark.long)])
def test_every_flipped_bit_of_a_conversation_is_refused(store: Store, count: int, figure: Figure) -> None:
    rng = random.Random(4)
    head = talk(store, store.session("ada"), 3)
    columns = [
        messages.c.id,
        messages.c.depth,
        messages.c.turn,
        messages.c.role,
        messages.c.text,
        messages.c.parent_n,
    ]
    with store.database.read() as connection:
        sound = connection.execute(select(messages).where(messages.c.depth == 3)).one()
    refused = 0
    for number in range(count):
        column = columns[number % len(columns)]
        with store.database.outside() as connection:
            connection.exec_driver_sql("PRAGMA foreign_keys=OFF")
            change = {column.name: flip(rng, sound._mapping[column.name])}
            connection.execute(update(messages).where(messages.c.n == sound.n).values(**change))
        try:
            store.path(head)
        except IntegrityError:
            refused += 1
        with store.database.outside() as connection:
            connection.execute(update(messages).where(messages.c.n == sound.n).values(**sound._mapping))
    assert len(store.path(head)) == 6
    figure(f"single-bit flips in messages: {refused} of {count} refused")
    assert refused == count


def test_every_flipped_bit_of_a_session_is_refused(store: Store) -> None:
    rng = random.Random(5)
    talk(store, store.session("ada"), 3)
    columns = [
        sessions.c.head_n,
        sessions.c.version,
        sessions.c.turns,
        sessions.c.messages,
        sessions.c.checksum,
    ]
    with store.database.read() as connection:
        sound = connection.execute(select(sessions)).one()
    for number in range(300):
        column = columns[number % len(columns)]
        with store.database.outside() as connection:
            connection.exec_driver_sql("PRAGMA foreign_keys=OFF")
            connection.execute(
                update(sessions).values(**{column.name: flip(rng, sound._mapping[column.name])})
            )
        with pytest.raises(IntegrityError):
            store.session("ada")
    assert not store.verify().ok


@pytest.mark.parametrize("count", [300, pytest.param(20_000, marks=pytest.mark.long)])
def test_a_damaged_file_is_refused_or_right(
    sqlite_url: str, tmp_path: Path, count: int, figure: Figure
) -> None:
    """Any bit of the file, also those of SQLite's own."""
    path, rng = tmp_path / "chats.db", random.Random(8)
    with Store.open(sqlite_url) as store:
        head = talk(store, store.session("ada"), 6, "some words " * 20)
        said, kept = store.path(head), store.segments(head, FINGERPRINT)
    sound = path.read_bytes()
    used = [at for at, byte in enumerate(sound) if byte]
    refused = unnoticed = partly = quoted = 0
    for _ in range(count):
        damaged = bytearray(sound)
        for _ in range(rng.choice([1, 1, 1, 8])):
            damaged[rng.choice(used)] ^= 1 << rng.randrange(8)
        for name in ("chats.db-wal", "chats.db-shm"):
            (tmp_path / name).unlink(missing_ok=True)
        path.write_bytes(damaged)
        try:
            with Store.open(sqlite_url) as store:
                found = store.session("ada", create=False)
                path_found, kept_found = store.path(found), store.segments(found, FINGERPRINT)
        except LomaError as error:
            refused += 1
            quoted += "some words" in str(error)
            continue
        assert [(m.id, m.role, m.text) for m in path_found] == [(m.id, m.role, m.text) for m in said]
        assert all(segment in (None, right) for segment, right in zip(kept_found, kept, strict=True))
        partly += None in kept_found
        unnoticed += None not in kept_found
    figure(
        f"{count} damaged SQLite files: {refused} refused, {partly} read without some memory, "
        f"{unnoticed} read whole, 0 wrong accepts, 0 crashes"
    )
    assert refused > 0
    assert partly > 0
    assert quoted == 0


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(), min_size=1, max_size=5))
def test_any_words_can_be_said(store: Store, said: list[str]) -> None:
    store.session("ada")
    store.delete_session("ada")
    path = store.path(say(store, store.session("ada"), *said))
    assert [message.text for message in path] == [text.replace("\x00", "\ufffd").strip() for text in said]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text())
def test_no_query_breaks_the_search(store: Store, query: str) -> None:
    if store.session("ada").turns < 20:
        say(store, store.session("ada"), query)
    with contextlib.suppress(UsageError):  # it has no word
        store.search(query)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text())
def test_no_query_breaks_the_search_of_postgresql(pg_store: Store, query: str) -> None:
    with contextlib.suppress(UsageError):
        pg_store.search(query)


@pytest.fixture
def pg_store(pg_url: str) -> Iterator[Store]:
    with Store.open(pg_url) as store:
        store.append(store.session("ada"), [NewMessage("user", "hello")], [None], "", {})
        yield store
