"""Tokens of a slot's part from its first layer: the right ones, whatever the guess, or none."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from families import PROMISED, VOCABULARY, build, loaded, with_adapter
from hypothesis import given, settings
from hypothesis import strategies as st
from programs import reader_of

from loma_memory.engine.reader import Reader
from loma_memory.engine.restating import bags as room
from loma_memory.memory import MemoryState, Segment
from loma_memory.memory.positions import parts
from loma_memory.methods import method

FIRST = [[5, 6, 7, 8, 9, 10, 11], [12, 13]]
SECOND = [[14, 15, 16, 17, 18], [9, 9, 8, 7, 30, 31, 32]]


def reader(family: str = "llama", ratio: float = 3, **settings: Any) -> Reader:
    adapter = with_adapter(loaded(build(family)).model, repeat_rows=4, **settings)
    return reader_of(loaded(adapter.model), method("loma", ratio=ratio), adapter.tokens)


def bags(source: Reader, segments: Any, likely: list[torch.Tensor]) -> list[list[int] | None]:
    found, stored = room.bags(source, segments, likely)
    assert stored < 1e-5  # nothing was lost on the way
    return found


def parted(message: list[int], segment: Segment) -> list[list[int]]:
    """The tokens of each slot's part."""
    of = parts([1.0] * segment.text_tokens, segment.slots)
    return [[t for t, p in zip(message, of, strict=True) if p == j] for j in range(segment.slots)]


def guessed(rows: list[list[int]]) -> list[torch.Tensor]:
    return [torch.tensor(row)[:, None] for row in rows]


@pytest.mark.parametrize("family", [*PROMISED, "phi", "granite", "cohere2"])
def test_whatever_the_guess_the_tokens_are_found(family: str) -> None:
    source = reader(family)
    _, [before] = source.remember([MemoryState()], [FIRST])
    _, [after] = source.remember([before], [SECOND])
    segments = after.segments[2:]
    told = [row for m, s in zip(SECOND, segments, strict=True) for row in parted(m, s)]
    wanted = [sorted(row) for row in told]
    assert bags(source, segments, guessed(told)) == wanted
    one_wrong = [[40, *row[1:]] for row in told]
    assert bags(source, segments, guessed(one_wrong)) == wanted
    two_wrong = [[40, 41, *row[2:]][: len(row)] for row in told]
    assert bags(source, segments, guessed(two_wrong)) == wanted


def test_a_layer_that_no_line_foretells_is_left_alone() -> None:
    """OLMo 2 has no norm before its keys and values: guesses that are right are seen to be, and no more."""
    source = reader("olmo2")
    _, [after] = source.remember([MemoryState()], [SECOND])
    told = [row for m, s in zip(SECOND, after.segments, strict=True) for row in parted(m, s)]
    found = bags(source, after.segments, guessed([[40, *told[0][1:]], *told[1:]]))
    assert found == [None, *map(sorted, told[1:])]


_SOURCE = reader(ratio=4)


@given(
    message=st.lists(st.integers(3, VOCABULARY - 1), min_size=1, max_size=12),
    draw=st.randoms(use_true_random=False),
    wrong=st.floats(0, 1),
)
@settings(max_examples=40, deadline=None)
def test_what_is_found_is_right(message: list[int], draw: Any, wrong: float) -> None:
    _, [after] = _SOURCE.remember([MemoryState()], [[message]])
    told = parted(message, after.segments[0])
    guess = [[draw.randrange(3, VOCABULARY) if draw.random() < wrong else t for t in row] for row in told]
    found = bags(_SOURCE, after.segments, guessed(guess))
    for bag, row, first in zip(found, told, guess, strict=True):
        assert bag in (None, sorted(row))
        if sum(a != b for a, b in zip(first, row, strict=True)) < 2:
            assert bag == sorted(row)


def test_the_right_tokens_are_looked_for_among_the_likely_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """A search has no other tokens than its own."""
    _, [after] = _SOURCE.remember([MemoryState()], [SECOND])
    told = [row for m, s in zip(SECOND, after.segments, strict=True) for row in parted(m, s)]
    likely = [torch.tensor([[40, t] for t in row]) for row in told]
    monkeypatch.setattr(room, "SEARCHES", ((1, 8),))
    assert bags(_SOURCE, after.segments, likely) == [None] * len(told)
    monkeypatch.setattr(room, "SEARCHES", ((1, 8), (2, 8)))
    assert bags(_SOURCE, after.segments, likely) == [sorted(row) for row in told]
