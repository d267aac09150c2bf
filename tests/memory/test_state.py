"""Segments and states as values."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from loma_memory.attention import MEMORY, TEXT
from loma_memory.memory import MemoryState, Segment


def segment(slots: int, text: int = 8, kind: int = MEMORY, first: int = 0, fill: float = 0.0) -> Segment:
    keys = torch.full((2, 1, slots, 4), fill)
    return Segment(keys, keys + 1, torch.arange(slots) + 3, text, kind, first)


def test_a_state_grows_by_turns_and_leaves_the_old_one_alone() -> None:
    empty = MemoryState()
    one = empty.with_turn([segment(2, 9), segment(1, 4)])
    two = one.with_turn([segment(3, 20)])
    assert (empty.turns, empty.messages, empty.text_tokens, empty.slots) == (0, 0, 0, 0)
    assert (one.turns, one.messages, one.text_tokens, one.slots) == (1, 2, 13, 3)
    assert (two.turns, two.messages, two.text_tokens, two.slots) == (2, 3, 33, 6)
    assert [(e.turn, e.message) for e in two.entries] == [(0, 0), (0, 1), (1, 2)]
    assert two.nbytes == 6 * 2 * (2 * 1 * 4) * 4
    layout = two.layout()
    assert layout.turn.tolist() == [0, 0, 0, 1, 1, 1]
    assert layout.message.tolist() == [0, 0, 1, 2, 2, 2]
    assert layout.index.tolist() == [0, 1, 0, 0, 1, 2]
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.turns = 5  # type: ignore[misc]


def test_keys_and_values_stand_in_the_order_of_the_layout() -> None:
    state = MemoryState().with_turn([segment(1, fill=1.0)]).with_turn([segment(2, fill=2.0)])
    keys, values = state.keys_values(torch.zeros(2, 1, 0, 4), torch.zeros(2, 1, 0, 4))
    assert keys.shape == values.shape == (2, 1, 3, 4)
    assert keys[0, 0, :, 0].tolist() == [1.0, 2.0, 2.0]
    assert values[0, 0, :, 0].tolist() == [2.0, 3.0, 3.0]
    nothing, _ = MemoryState().keys_values(torch.zeros(2, 1, 0, 4), torch.zeros(2, 1, 0, 4))
    assert nothing.shape == (2, 1, 0, 4)


def test_the_tail_of_kept_text_knows_where_it_began() -> None:
    whole = segment(5, 5, TEXT, first=10)
    tail = whole.tail(2)
    assert (tail.slots, tail.first_index, tail.text_tokens) == (2, 13, 5)
    assert tail.positions.tolist() == [6, 7]
    assert tail.layout(0, 0).index.tolist() == [13, 14]
    assert whole.tail(9) is whole
    assert whole.tail(0).slots == 0


def test_equality_is_of_bits() -> None:
    a = segment(2)
    assert a.equal(segment(2))
    assert not a.equal(segment(3))
    assert not a.equal(segment(2, fill=1e-7))
    assert not a.equal(dataclasses.replace(a, positions=a.positions + 1))
    assert not a.equal(dataclasses.replace(a, kind=TEXT))
