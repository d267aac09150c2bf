"""Methods that choose or average the text's own keys: against full context, and against plain sums."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch
from families import build, loaded
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from programs import conversations, distance, reader_of, turn_by_turn
from torch import Tensor

from loma_memory.engine.onepass import lay_out
from loma_memory.engine.reader import Reader
from loma_memory.errors import UsageError
from loma_memory.memory import MemoryState, Segment
from loma_memory.methods import Method, method
from loma_memory.methods.heavy_hitter import HeavyHitter
from loma_memory.methods.mean_pool import MeanPool

BOTH = [MeanPool, HeavyHitter]
QUICK = settings(deadline=None, suppress_health_check=list(HealthCheck), max_examples=8)
TURN = [[5, 9, 12, 30, 31, 7, 22, 40, 41], [8, 6, 50, 51, 52]]


@cache
def model(family: str = "llama") -> Any:
    return build(family)


def reader(how: Method, family: str = "llama") -> Reader:
    return reader_of(loaded(model(family), sink=[1, 5, 9]), how)


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("family", ["llama", "qwen3", "smollm3"])  # windows spare slots, but not text
def test_at_a_ratio_of_one_nothing_is_lost(kind: Any, family: str) -> None:
    @QUICK
    @given(conversations(2, 3))
    def check(talks: Any) -> None:
        full = turn_by_turn(reader(method("full"), family), talks)
        kept = turn_by_turn(reader(kind(1), family), talks)
        assert distance(full.hidden, kept.hidden) <= 1e-9
        assert distance(full.slots, kept.slots) <= 1e-9

    check()


@pytest.mark.parametrize("kind", BOTH)
@given(ratio=st.floats(1, 20), length=st.integers(1, 40))
@QUICK
def test_slots_follow_the_ratio(kind: Any, ratio: float, length: int) -> None:
    r = reader(kind(ratio))
    _, (state,) = r.remember([MemoryState()], [[[3 + i % 60 for i in range(length)]]])
    assert state.slots == max(1, int(length / ratio + 0.5))
    positions = state.segments[0].positions.tolist()
    assert positions == sorted(positions)
    assert all(3 <= p < 3 + length for p in positions)
    assert state.text_tokens == length


def raw() -> list[Segment]:
    """The keys and values of both messages of TURN, as they are."""
    _, (state,) = reader(method("full")).remember([MemoryState()], [TURN])
    return list(state.segments)


def test_pooled_values_are_means_of_equal_parts() -> None:
    _, (state,) = reader(MeanPool(3)).remember([MemoryState()], [TURN])
    first, text = state.segments[0], raw()[0]
    for slot in range(3):
        mean = text.values[:, :, 3 * slot : 3 * slot + 3].mean(2)
        assert torch.allclose(first.values[:, :, slot], mean, atol=1e-12)
    assert first.positions.tolist() == [4, 7, 10], "the middle of each part"


def test_keys_are_brought_to_one_position_before_they_are_averaged() -> None:
    """Equal tokens far apart have equal bare keys in the first layer, so their mean is no shorter."""
    turn = [[5] * 6]
    _, (state,) = reader(MeanPool(6)).remember([MemoryState()], [turn])
    _, (text,) = reader(method("full")).remember([MemoryState()], [turn])
    pooled = state.segments[0].keys[0, :, 0].norm(dim=-1)
    assert torch.allclose(pooled, text.segments[0].keys[0, :, 0].norm(dim=-1), atol=1e-9)


def attention(text: list[list[int]]) -> Tensor:
    """Attention weights of a plain causal pass, (L, Hkv, Q, K), summed over the heads that share a key."""
    net = model()
    before = net.config._attn_implementation
    net.set_attn_implementation("eager")
    try:
        flat = torch.tensor([[1, 5, 9, *(i for m in text for i in m)]])
        weights = net(input_ids=flat, output_attentions=True).attentions
    finally:
        net.set_attn_implementation(before)
    stacked = torch.stack([w[0] for w in weights])
    layers, heads, queries, keys = stacked.shape
    shared = net.config.num_key_value_heads
    return stacked.view(layers, shared, heads // shared, queries, keys).sum(2)


def test_the_tokens_kept_are_those_attended_to_most() -> None:
    _, (state,) = reader(HeavyHitter(3)).remember([MemoryState()], [TURN])
    weights = attention(TURN)[:, :, 3:]  # queries of the turn
    for segment, text, start in zip(state.segments, raw(), (3, 3 + len(TURN[0])), strict=True):
        received = weights[..., start : start + text.slots].sum(2)
        for layer in range(received.shape[0]):
            for head in range(received.shape[1]):
                best = sorted(received[layer, head].topk(segment.slots).indices.tolist())
                assert torch.allclose(segment.keys[layer, head], text.keys[layer, head, best], atol=1e-9)
                assert torch.allclose(segment.values[layer, head], text.values[layer, head, best], atol=1e-9)


@pytest.mark.parametrize("kind", BOTH)
def test_memory_does_not_depend_on_what_shares_the_batch(kind: Any) -> None:
    r = reader(kind(3))
    _, (alone,) = r.remember([MemoryState()], [TURN])
    _, (beside, _) = r.remember([MemoryState()] * 2, [TURN, [[9] * 30]])
    slots = [torch.stack([s.keys, s.values]) for s in alone.segments]
    others = [torch.stack([s.keys, s.values]) for s in beside.segments]
    assert distance(slots, others) <= 1e-9


@pytest.mark.parametrize("kind", BOTH)
def test_there_is_no_one_pass_form(kind: Any) -> None:
    with pytest.raises(UsageError, match="turn by turn only"):
        lay_out(kind(2), [1], [[[[3, 4]]]])


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("ratio", [0.5, float("nan"), -1])
def test_ratios_below_one_are_refused(kind: Any, ratio: float) -> None:
    with pytest.raises(UsageError, match="at least 1"):
        kind(ratio)
