"""Texts without end: bounded keys, and the same words as reading the zones one by one."""

from __future__ import annotations

from dataclasses import replace

import pytest
from programs import reader_of
from speaking import served

from loma_memory.engine.decode import decode
from loma_memory.engine.longform import write_on
from loma_memory.engine.models import LoadedModel
from loma_memory.engine.reader import Reader
from loma_memory.engine.sampling import Sampling
from loma_memory.errors import UsageError
from loma_memory.memory import MemoryState
from loma_memory.methods import method

GREEDY = Sampling()
PROMPT = list(b"Once upon a time there was")


def reader(stops: tuple[int, ...] = ()) -> Reader:
    known, tokens = served()
    form = replace(known.format, stop_ids=stops)
    unstopped = LoadedModel(known.name, known.model, form, known.digest, known.limit)
    return reader_of(unstopped, method("loma", ratio=4), tokens)


def test_slots_grow_and_text_does_not() -> None:
    seen = list(write_on(reader(), MemoryState(), PROMPT, GREEDY, max_tokens=90, zone=20))
    assert len(seen) == 90
    for number, (_, state) in enumerate(seen, 1):
        behind = len(PROMPT) + number
        assert behind - state.text_tokens <= 21  # never more than a zone of text in view
        assert state.text_tokens % 20 == 0
        assert state.slots == state.text_tokens // 4


def test_the_words_are_those_of_zones_read_one_by_one() -> None:
    source = reader()
    said = [t for t, _ in write_on(source, MemoryState(), PROMPT, GREEDY, max_tokens=40, zone=20)]
    text = [*PROMPT, *said]
    state = MemoryState()
    for start in range(0, 60, 20):
        rest = text[start : start + 21]
        done = source.run([state], [[rest[:-1]]])
        if start >= len(PROMPT):
            begun = source.run([state], [[rest[:1]]], reserve=20)
            again = [s[0] for s in decode(source, begun, [rest[:1]], GREEDY, len(rest) - 1)]
            assert again == rest[1:]
        assert done.hidden.shape[1] == len(rest) - 1
        _, (state,) = source.remember([state], [[text[start : start + 20]]])


def test_it_ends_where_the_model_does() -> None:
    free = [t for t, _ in write_on(reader(), MemoryState(), PROMPT, GREEDY, max_tokens=60, zone=16)]
    stop = free[24]
    first = free.index(stop)
    told = [t for t, _ in write_on(reader((stop,)), MemoryState(), PROMPT, GREEDY, max_tokens=60, zone=16)]
    assert told == free[:first]


def test_nonsense_is_refused() -> None:
    with pytest.raises(UsageError, match="at least one token"):
        next(write_on(reader(), MemoryState(), [], GREEDY, max_tokens=5, zone=8))
    with pytest.raises(UsageError, match="at least 2 tokens, got 1"):
        next(write_on(reader(), MemoryState(), PROMPT, GREEDY, max_tokens=5, zone=1))
