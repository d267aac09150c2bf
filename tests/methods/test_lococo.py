"""LoCoCo: a fixed number of slots, heavy hitters untouched, the rest mixed alike in keys and values."""

from __future__ import annotations

import random
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from families import build, loaded
from hypothesis import given, settings
from hypothesis import strategies as st
from programs import conversations, distance, reader_of, turn_by_turn
from torch import Tensor

from loma_memory.engine.reader import Reader
from loma_memory.errors import AdapterError, UsageError
from loma_memory.memory import MemoryState, Segment, codec
from loma_memory.methods import method
from loma_memory.methods.lococo import FILE, Fusion, LoCoCo
from loma_memory.training.encode import Encoded
from loma_memory.training.fusion import FusionObjective

QUICK = settings(deadline=None, max_examples=12)


@cache
def model() -> Any:
    return build("llama")


def reader(how: Any) -> Reader:
    return reader_of(loaded(model(), sink=[1, 5, 9]), how)


def shape() -> tuple[int, int]:
    config = model().config
    return config.num_hidden_layers, config.head_dim


def fusion(made: int, gate: float = 0.5) -> Fusion:
    torch.manual_seed(3)
    made_up = Fusion(*shape(), made)
    with torch.no_grad():
        made_up.gate.fill_(gate)
    return made_up.requires_grad_(False)


def segment(slots: int, seed: int) -> Segment:
    draw = torch.Generator().manual_seed(seed)
    layers, width = shape()
    keys, values = torch.randn(2, layers, 2, slots, width, generator=draw, dtype=torch.float64)
    scores = torch.rand(layers, 2, slots, generator=draw)
    return Segment(keys, values, torch.arange(slots) + 10 * seed, slots, scores=scores)


@QUICK
@given(conversations(2, 3))
def test_while_there_is_room_nothing_is_lost(talks: Any) -> None:
    full = turn_by_turn(reader(method("full")), talks)
    kept = turn_by_turn(reader(LoCoCo(500, fusion(250))), talks)
    assert distance(full.hidden, kept.hidden) <= 1e-9
    assert distance(full.slots, kept.slots) <= 1e-9


@QUICK
@given(st.lists(st.integers(1, 9), min_size=1, max_size=8), st.integers(1, 5))
def test_the_cache_never_outgrows_its_slots(sizes: list[int], made: int) -> None:
    slots = 2 * made
    how = LoCoCo(slots, fusion(made))
    state = MemoryState()
    for number, size in enumerate(sizes):
        state = how.update(state, [segment(size, number)])
        assert state.slots == min(slots, sum(sizes[: number + 1]))
        assert state.text_tokens == sum(sizes[: number + 1])
        positions = torch.cat([s.positions for s in state.segments]).tolist()
        assert positions == sorted(positions)


def condensed(how: LoCoCo, parts: list[Segment]) -> Segment:
    (kept,) = how.update(MemoryState(), parts).segments
    return kept


def test_heavy_hitters_stay_and_the_rest_is_mixed() -> None:
    parts = [segment(7, 1), segment(6, 2)]
    made = fusion(4, gate=0.3)
    found = condensed(LoCoCo(8, made), parts)
    keys, values = (torch.cat([getattr(s, n) for s in parts], 2) for n in ("keys", "values"))
    scores = torch.cat([s.scores for s in parts if s.scores is not None], 2)
    for layer in range(keys.shape[0]):
        for head in range(2):
            ranked = scores[layer, head].argsort(descending=True).tolist()
            heavy, rest = sorted(ranked[:4]), sorted(ranked[4:])
            assert torch.equal(found.keys[layer, head, :4], keys[layer, head, heavy])
            assert torch.equal(found.values[layer, head, :4], values[layer, head, heavy])
            k, v = keys[layer, head, rest].float(), values[layer, head, rest].float()
            mixed = torch.cat([k, v], 1).T[None]
            conv = torch.nn.functional.conv1d(mixed, made.weight[layer], made.bias[layer], padding=10)[0]
            picks = sorted(range(9), key=lambda i: -float(scores[layer, head, rest[i]]))[:4]
            weights = 0.7 * torch.eye(9)[sorted(picks)] + 0.3 * torch.softmax(conv.relu(), -1)
            assert torch.allclose(weights.sum(1), torch.ones(4))
            assert torch.allclose(found.keys[layer, head, 4:].float(), weights @ k, atol=1e-5)
            assert torch.allclose(found.values[layer, head, 4:].float(), weights @ v, atol=1e-5)


def test_without_convolutions_or_at_gate_zero_heavy_hitters_are_kept() -> None:
    parts = [segment(9, 1), segment(8, 2)]
    bare, shut = condensed(LoCoCo(6), parts), condensed(LoCoCo(6, fusion(3, gate=0.0)), parts)
    assert torch.allclose(bare.keys, shut.keys, atol=1e-6)
    keys = torch.cat([s.keys for s in parts], 2)
    scores = torch.cat([s.scores for s in parts if s.scores is not None], 2)
    best = scores[1, 0].topk(6).indices.tolist()
    got = {tuple(row) for row in bare.keys[1, 0].float().tolist()}
    assert got == {tuple(row) for row in keys[1, 0, best].float().tolist()}


def test_memory_is_the_same_after_it_was_stored() -> None:
    source = reader(LoCoCo(6, fusion(3)))
    draw = random.Random(0)
    turns = [[[draw.randrange(3, 60) for _ in range(5)]] for _ in range(4)]
    kept, again = MemoryState(), MemoryState()
    layers, width = shape()
    for turn in turns:
        done, (kept,) = source.remember([kept], [turn])
        stored = [codec.decode(codec.encode(s), (layers, 2, width), torch.float64) for s in done.segments[0]]
        again = source.method.update(again, stored)
    assert all(a.equal(b) for a, b in zip(kept.segments, again.segments, strict=True))
    assert kept.slots == 6


def test_convolutions_learn_and_nothing_else(tmp_path: Path) -> None:
    how = LoCoCo(6, fusion(3).requires_grad_(True))
    objective = FusionObjective(loaded(model(), sink=[1, 5, 9]), how)
    draw = random.Random(1)
    rows = []
    for _ in range(3):
        turns = tuple((tuple(draw.randrange(3, 60) for _ in range(6)),) for _ in range(4))
        rows.append(Encoded(turns, (0.0,) * 6 + (1.0,) * 18))
    assert how.fusion is not None
    optimizer = torch.optim.Adam(how.fusion.parameters(), lr=0.03)
    losses = []
    for _ in range(12):
        total, count, figures = objective(rows, 0)
        assert int(count) == 3 * 3 * 5  # the first word of a turn is predicted before the turn
        assert 0.0 <= figures["agree"] <= 1.0
        optimizer.zero_grad()
        total.backward()
        grads: list[Tensor | None] = [p.grad for p in how.fusion.parameters()]
        assert all(g is not None and bool(g.abs().max() > 0) for g in grads)
        optimizer.step()
        losses.append(float(total.detach()))
    assert losses[-1] < losses[0]
    assert all(p.grad is None for p in model().parameters())
    how.fusion.save(tmp_path)
    back = Fusion.load(tmp_path, *shape())
    assert all(torch.equal(a, b) for a, b in zip(back.parameters(), how.fusion.parameters(), strict=True))
    with pytest.raises(AdapterError, match=FILE):
        Fusion.load(tmp_path, shape()[0] + 1, shape()[1])
    with pytest.raises(AdapterError, match=FILE):
        Fusion.load(tmp_path / "nowhere", *shape())


def test_answers_weigh_more_and_zones_are_taken_in_one_after_another() -> None:
    draw = random.Random(2)
    turns = tuple(tuple(tuple(draw.randrange(3, 60) for _ in range(4)) for _ in range(2)) for _ in range(4))
    how = LoCoCo(6, fusion(3))
    built = loaded(model(), sink=[1, 5, 9])

    def total(weights: tuple[float, ...], zones: bool) -> tuple[float, float]:
        loss, count, _ = FusionObjective(built, how, zones=zones)([Encoded(turns, weights)], 0)
        return float(loss.detach()), float(count)

    plain, answered = (0.0,) * 8 + (1.0,) * 24, (0.0,) * 8 + (1.0,) * 16 + (8.0,) * 8
    last = (0.0,) * 24 + (1.0,) * 8
    assert total(plain, False)[1] == 3 * 7
    assert total(answered, False)[1] == 2 * 7 + 8 * 7
    whole, end = total(plain, False)[0], total(last, False)[0]
    assert total(answered, False)[0] == pytest.approx(whole + 7 * end)
    assert total(plain, True)[0] != pytest.approx(whole)
    # Turns of one zone are the same either way.
    turns = tuple((message,) for turn in turns for message in turn)
    assert total(plain, True) == pytest.approx(total(plain, False))


def test_nonsense_is_refused() -> None:
    for slots in (0, 3):
        with pytest.raises(UsageError, match=f"even number of at least 2, got {slots}"):
            LoCoCo(slots)
    with pytest.raises(UsageError, match="no convolutions"):
        FusionObjective(loaded(model(), sink=[1]), LoCoCo())
