"""Moving keys to other positions, with every family's own table."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from families import FAMILIES, build
from torch import Tensor
from transformers import DynamicCache

from loma_memory.attention import ATTENTION, AttentionCall, register
from loma_memory.attention.rotary import move_keys

register()
NO_ROPE = {"smollm3": [1], "cohere2": [1]}
# Tables are computed in float32, also in a float64 model.
CLOSE = 2e-5


@torch.no_grad()
def keys_at(model: Any, ids: Tensor, positions: Tensor) -> Tensor:
    """The keys that the model makes of a text at some positions, (L, Hkv, S, D)."""
    model.set_attn_implementation(ATTENTION)
    order = torch.ones(1, 1, len(ids), len(ids), dtype=torch.bool).tril()
    cache: Any = DynamicCache()
    model(
        input_ids=ids[None],
        attention_mask=order,
        position_ids=positions[None],
        past_key_values=cache,
        loma=AttentionCall(mask=order),
    )
    return torch.stack([layer.keys[0] for layer in cache.layers])


@pytest.fixture(params=list(FAMILIES))
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_moved_keys_are_those_the_model_would_have_made(family: str) -> None:
    model = build(family)
    ids = torch.tensor([5, 9, 40, 22, 61, 7])
    old = torch.arange(6)
    here, there = keys_at(model, ids, old), keys_at(model, ids, old + 93)
    moved = move_keys(model, here, old, old + 93)
    assert float((moved - there).abs().max()) < CLOSE
    changed = [bool((a - b).abs().max() > 1e-2) for a, b in zip(here, there, strict=True)]
    assert changed == [layer not in NO_ROPE.get(family, []) for layer in range(3)]
    # The first layer's keys depend on nothing but token and position: any move can be checked there.
    new = torch.tensor([30, 1, 2, 77, 4, 3])
    jumbled = move_keys(model, here, old, new)
    assert float((jumbled[0] - keys_at(model, ids, new)[0]).abs().max()) < CLOSE
    stays = old == new
    assert stays.any()
    assert torch.equal(jumbled[:, :, stays], here[:, :, stays])


def test_there_and_back(family: str) -> None:
    old, new = torch.arange(8), torch.tensor([400, 3, 2, 250, 9, 1, 6, 500])
    for dtype, close in ((torch.float64, CLOSE), (torch.float32, CLOSE)):
        model = build(family, dtype=dtype, exact=False)
        keys = torch.randn(3, 2, 8, keys_at(model, old + 3, old).shape[-1]).to(dtype)
        back = move_keys(model, move_keys(model, keys, old, new), new, old)
        assert back.dtype == dtype
        assert float((back - keys).abs().max()) < close


def test_a_slot_that_stays_is_the_same_object_or_the_same_bits(family: str) -> None:
    model = build(family, dtype=torch.bfloat16, exact=False)
    where = torch.tensor([3, 1, 2])
    width = keys_at(model, where + 3, where).shape[-1]
    keys = torch.randn(3, 2, 3, width).bfloat16()
    assert move_keys(model, keys, where, where.clone()) is keys
    before = keys.clone()
    moved = move_keys(model, keys, where, torch.tensor([3, 1, 9]))
    assert torch.equal(keys, before), "the keys that were given are left alone"
    assert torch.equal(moved[:, :, :2], keys[:, :, :2])
    assert not torch.equal(moved[:, :, 2], keys[:, :, 2])
