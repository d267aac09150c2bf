"""Mask rules on a conversation small enough to write the masks down."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from programs import conversations, methods

from loma_memory.attention import MEMORY, SINK, TEXT, TokenLayout
from loma_memory.attention.layout import PAD
from loma_memory.engine.onepass import lay_out
from loma_memory.methods import Method
from loma_memory.methods.ccm_concat import CCMConcat
from loma_memory.methods.full import Full
from loma_memory.methods.none import NoMemory
from loma_memory.methods.window import Window

# Sink s, two turns: (a b | c) and (d), one memory token a message: A B and C.
TALK = [[[11, 12], [13]], [[14]]]


def mask_of(how: Method, memory: bool) -> list[str]:
    one = lay_out(how, [1], [TALK])
    assert one.call.mask is not None
    rows = one.call.mask[0, 0].int().tolist()
    names = "sabcdABC" if memory else "sabcd"
    return [f"{n} {''.join(str(x) for x in row)}" for n, row in zip(names, rows, strict=True)]


@pytest.mark.parametrize(
    ("how", "memory", "expected"),
    [
        (Full(), False, ["s 10000", "a 11000", "b 11100", "c 11110", "d 11111"]),
        (NoMemory(), False, ["s 10000", "a 11000", "b 11100", "c 11110", "d 10001"]),
        (Window(2), False, ["s 10000", "a 11000", "b 11100", "c 11110", "d 10011"]),
        (
            CCMConcat(8),
            True,
            #      sabcdABC
            [
                "s 10000000",
                "a 11000000",
                "b 11100000",
                "c 11110000",
                "d 10001110",  # own text and the memory of the first turn, not its text
                "A 11100100",  # its message and itself
                "B 11110110",  # also what came before it in its turn
                "C 10001111",
            ],
        ),
    ],
    ids=["full", "none", "window", "ccm-concat"],
)
def test_masks(how: Method, memory: bool, expected: list[str]) -> None:
    assert mask_of(how, memory) == expected


@settings(deadline=None, max_examples=40)
@given(methods(), conversations(), st.integers(1, 4), st.sampled_from([1, 8]))
def test_laws_of_every_rule(how: Method, talks: Any, sink: int, multiple: int) -> None:
    one = lay_out(how, list(range(sink)), talks, multiple)
    assert one.call.mask is not None
    for row, whole in zip(one.layouts, one.call.mask[:, 0], strict=True):
        kind, mask = row.kind, whole[:, : len(row)]  # means of memory stand behind the row's own columns
        assert mask.any(-1).all(), "a row that sees nothing"
        pads = kind == PAD
        assert not mask[pads][:, ~pads].any()
        assert not mask[~pads][:, pads].any()
        text, memory = kind == TEXT, kind == MEMORY
        later_text = row.index[text][:, None] < row.index[text][None, :]
        assert not (mask[text][:, text] & later_text).any(), "text that sees the future"
        same_turn = row.turn[text][:, None] == row.turn[memory][None, :]
        future = row.turn[text][:, None] < row.turn[memory][None, :]
        assert not (mask[text][:, memory] & (same_turn | future)).any(), "text that sees its own memory"
        own = row.turn[text][:, None] == row.turn[text][None, :]
        assert mask[text][:, text][own & ~later_text].all(), "a turn sees itself whole"
        assert mask[~pads & (kind != SINK)][:, kind == SINK].all(), "everybody sees the sink"
        assert mask.diagonal().all(), "everybody sees itself"
        across = row.turn[memory][:, None] != row.turn[text][None, :]
        assert not (mask[memory][:, text] & across).any(), "memory reads its own turn only"


def test_a_window_counts_tokens_of_text() -> None:
    rows = TokenLayout.cat([TokenLayout.of(TEXT, 0, 0, range(5)), TokenLayout.of(TEXT, 1, 1, range(5, 8), 5)])
    mask = Window(3).visible(rows, rows)
    assert mask[5].tolist() == [False] * 3 + [True] * 3 + [False] * 2
    assert mask[7].tolist() == [False] * 5 + [True] * 3


def test_layouts_pad_slice_and_join() -> None:
    row = TokenLayout.cat([TokenLayout.sink(2), TokenLayout.of(MEMORY, 0, 0, [4, 6])])
    assert len(row) == 4
    assert row.position.tolist() == [0, 1, 4, 6]
    assert row.exempt.all()
    assert row[1:3].kind.tolist() == [SINK, MEMORY]
    assert row.padded(6).kind.tolist() == [SINK, SINK, MEMORY, MEMORY, PAD, PAD]
    left = row.padded(6, left=True)
    assert left.kind.tolist() == [PAD, PAD, SINK, SINK, MEMORY, MEMORY]
    assert not left.exempt[:2].any()
    assert torch.equal(row.padded(4).position, row.position)
