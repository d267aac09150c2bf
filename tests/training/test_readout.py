"""Readout alignment: nothing where memory reads as the text does, and the plain formula elsewhere."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from families import build, loaded, with_adapter
from torch import Tensor, nn

from loma_memory.attention import MEMORY, TEXT, AttentionCall, Reading, TokenLayout
from loma_memory.engine.onepass import OnePass
from loma_memory.methods import method
from loma_memory.methods.ccm_concat import CCMConcat
from loma_memory.training.encode import Encoded
from loma_memory.training.objectives import MemoryObjective
from loma_memory.training.readout import readout_gap, spread_layers


@pytest.mark.parametrize(
    ("layers", "chosen"), [(30, [7, 14, 21, 29]), (4, [0, 1, 2, 3]), (2, [0, 1]), (1, [0])]
)
def test_layers_are_spread_in_depth(layers: int, chosen: list[int]) -> None:
    found = spread_layers(layers)
    assert found[-1] == layers - 1
    assert [abs(a - b) <= 1 for a, b in zip(found, chosen, strict=True)] == [True] * len(chosen)


def two_turns() -> tuple[OnePass, Tensor, Tensor]:
    """Turn 1 has 4 tokens and 4 slots, turn 2 has 3 tokens and a slot; keys and values are random."""
    row = TokenLayout.cat(
        [
            TokenLayout.of(TEXT, 0, 0, range(4)),
            TokenLayout.of(TEXT, 1, 1, range(4, 7), 4),
            TokenLayout.of(MEMORY, 0, 0, range(4)),
            TokenLayout.of(MEMORY, 1, 1, [6]),
        ]
    )
    torch.manual_seed(1)
    keys, values = torch.randn(2, 1, 2, len(row), 8)
    one = OnePass(torch.zeros(1, 7, dtype=torch.int64), AttentionCall(), [row], 7)
    return one, keys, values


def gap(one: OnePass, memory: tuple[Tensor, Tensor], text: tuple[Tensor, Tensor], query: Tensor) -> float:
    readings = [{3: Reading(query, k, v, 0.4)} for k, v in (memory, text)]
    found = readout_gap(CCMConcat(1), one, readings[0], readings[1], torch.Generator().manual_seed(0))
    return float(found)


def test_slots_that_read_like_the_text_have_no_gap() -> None:
    one, keys, values = two_turns()
    query = torch.randn(1, 4, 12, 8)
    same_keys, same_values = keys.clone(), values.clone()
    same_keys[:, :, 7:11], same_values[:, :, 7:11] = keys[:, :, :4], values[:, :, :4]
    assert gap(one, (same_keys, same_values), (keys, values), query) == pytest.approx(0.0, abs=1e-9)
    # What stands in the own turn, and its slot, is not read.
    same_keys[:, :, 4:7] += 5
    same_keys[:, :, 11] += 5
    assert gap(one, (same_keys, same_values), (keys, values), query) == pytest.approx(0.0, abs=1e-9)


def test_the_gap_is_the_papers() -> None:
    one, keys, values = two_turns()
    query = torch.randn(1, 4, 12, 8)
    total = norm = 0.0
    for head in range(4):
        for q in range(4, 7):
            reads = []
            for columns in (slice(7, 11), slice(0, 4)):
                k, v = keys[0, head // 2, columns], values[0, head // 2, columns]
                reads.append(torch.softmax(k @ query[0, head, q] * 0.4, 0) @ v)
            total += float(((reads[0] - reads[1]) ** 2).sum())
            norm += float((reads[1] ** 2).sum())
    assert gap(one, (keys, values), (keys, values), query) == pytest.approx(total / norm, rel=1e-5)


def test_one_turn_alone_has_nothing_to_align() -> None:
    one, keys, values = two_turns()
    alone = OnePass(one.ids, one.call, [one.layouts[0][:4]], 4)
    assert gap(alone, (keys, values), (keys, values), torch.randn(1, 4, 12, 8)) == 0.0


def test_training_replace_aligns_and_others_do_not() -> None:
    adapter: Any = with_adapter(loaded(build("llama")).model)
    talk = Encoded((((5, 6, 7, 8), (9, 10)), ((11, 12, 13), (14, 15))), (0.0,) * 6 + (1.0,) * 5)
    for name in ("replace", "ccm-concat"):
        objective = MemoryObjective(adapter.model, adapter.tokens, [method(name)], [1, 5, 9])
        total, _, figures = objective([talk], 0)
        assert ("readout" in figures) == (name == "replace")
        total.backward()
        weights: list[nn.Parameter] = list(adapter.parameters())
        assert all(p.grad is not None and bool(torch.isfinite(p.grad).all()) for p in weights)
