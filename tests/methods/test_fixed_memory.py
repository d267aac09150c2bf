"""Merge, replace, gist and what is compressed apart: what is kept after a turn, and what training shows."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch
from families import build, loaded, with_adapter
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from programs import reader_of
from torch import Tensor

from loma_memory.attention import MEMORY, TEXT, TokenLayout
from loma_memory.engine.reader import Reader
from loma_memory.memory import MemoryState, Segment
from loma_memory.methods import Method
from loma_memory.methods.apart import CCMConcatApart, CCMMergeApart
from loma_memory.methods.ccm_concat import CCMConcat
from loma_memory.methods.ccm_merge import CCMMerge, CCMMergeEMA
from loma_memory.methods.gist import Gist
from loma_memory.methods.gist_online import GistOnline
from loma_memory.methods.replace import Replace


def segment(seed: int, slots: int = 2) -> Segment:
    torch.manual_seed(seed)
    shape = (2, 1, slots, 4)
    values = [torch.randn(shape, dtype=torch.float64) for _ in range(2)]
    return Segment(values[0], values[1], torch.arange(slots) + 10 * seed, 5)


def grown(how: Method, sizes: list[int]) -> tuple[MemoryState, list[list[Segment]]]:
    state, turns, seed = MemoryState(), [], 0
    for size in sizes:
        made = [segment(seed := seed + 1) for _ in range(size)]
        turns.append(made)
        state = how.update(state, made)
    return state, turns


@given(st.lists(st.integers(1, 3), min_size=1, max_size=7))
@settings(deadline=None)
def test_merged_slots_are_the_mean_of_all_that_came(sizes: list[int]) -> None:
    state, turns = grown(CCMMerge(2), sizes)
    users = [t[0] for t in turns]
    replies = [s for t in turns for s in t[1:]]
    groups = [users, replies] if replies else [users]
    assert len(state.entries) == len(groups)
    for entry, group in zip(state.entries, groups, strict=True):
        assert torch.allclose(entry.segment.keys, torch.stack([s.keys for s in group]).mean(0), atol=1e-12)
        assert torch.allclose(
            entry.segment.values, torch.stack([s.values for s in group]).mean(0), atol=1e-12
        )
        assert entry.segment.merged == len(group)
    assert state.slots == 2 * len(groups)
    assert (state.turns, state.messages) == (len(sizes), sum(sizes))
    assert state.text_tokens == 5 * sum(sizes)


def test_the_exponential_mean_halves_what_is_old() -> None:
    state, turns = grown(CCMMergeEMA(2), [1, 1, 1])
    a, b, c = (t[0].values for t in turns)
    assert torch.allclose(state.segments[0].values, a / 4 + b / 4 + c / 2, atol=1e-12)


@given(st.lists(st.integers(1, 3), min_size=1, max_size=5))
@settings(deadline=None)
def test_replace_keeps_the_last_turn(sizes: list[int]) -> None:
    state, turns = grown(Replace(2), sizes)
    assert list(state.segments) == turns[-1]
    assert [e.turn for e in state.entries] == [len(sizes) - 1] * sizes[-1]
    assert (state.turns, state.messages, state.text_tokens) == (len(sizes), sum(sizes), 5 * sum(sizes))


@pytest.mark.parametrize("how", [CCMMerge(4), CCMMergeEMA(4), Replace(4)], ids=lambda m: m.name)
def test_memory_does_not_grow(how: Any) -> None:
    state, _ = grown(how, [2])
    later, _ = grown(how, [2] * 9)
    assert state.nbytes == later.nbytes


# --- gist-online ---------------------------------------------------------------------------------------


@cache
def reader(how: str) -> Reader:
    adapter = with_adapter(loaded(build("llama")).model)
    made = {
        "gist-online": GistOnline(3),
        "ccm-concat-apart": CCMConcatApart(3),
        "ccm-merge-apart": CCMMergeApart(3),
        "ccm-concat": CCMConcat(3),
    }[how]
    return reader_of(loaded(adapter.model, sink=[1, 5, 9]), made, adapter.tokens)


@pytest.mark.parametrize(
    ("how", "same"), [("gist-online", True), ("ccm-concat-apart", True), ("ccm-concat", False)]
)
@given(before=st.lists(st.integers(3, 66), min_size=6, max_size=6))
@settings(deadline=None, max_examples=10, suppress_health_check=list(HealthCheck))
def test_only_recurrent_memory_depends_on_earlier_turns(how: str, same: bool, before: list[int]) -> None:
    r, turn = reader(how), [[7, 8, 9, 30, 31]]
    slots = []
    for first in ([3] * 6, before):
        _, (state,) = r.remember([MemoryState()], [[first]])
        _, (state,) = r.remember([state], [turn])
        slots.append(state.segments[-1].values)
    if same:
        assert torch.allclose(slots[0], slots[1], atol=1e-12)
    elif before != [3] * 6:
        assert not torch.allclose(slots[0], slots[1], atol=1e-6)


def test_a_mean_of_turns_compressed_apart_is_that_of_their_slots_alone() -> None:
    r, turns = reader("ccm-merge-apart"), [[[7, 8, 9, 30, 31]], [[11, 12, 40]], [[50, 51, 52, 53]]]
    state, places, sums = MemoryState(), 0, 0.0
    for turn in turns:
        alone = MemoryState(text_tokens=places, turns=state.turns, messages=state.messages)
        _, (one,) = r.remember([alone], [turn])
        sums = sums + one.segments[-1].values
        _, (state,) = r.remember([state], [turn])
        places += sum(map(len, turn))
    assert torch.allclose(state.segments[0].values, sums / 3, atol=1e-12)


@pytest.mark.parametrize("how", [CCMConcatApart(3), CCMMergeApart(2)], ids=lambda m: m.name)
def test_training_compresses_every_second_turn_and_reads_the_others(how: Any) -> None:
    row = TokenLayout.cat(
        [
            TokenLayout.of(kind, turn, turn, [0] * count)
            for turn in range(6)
            for kind, count in ((TEXT, 1), (MEMORY, 2))
        ]
    )
    taught = how.taught()
    made = taught.derived(row)
    keys = row if made is None else TokenLayout.cat([row, made[0]])
    seen = taught.visible(row, keys)
    weights = torch.eye(len(row)).double() if made is None else torch.cat([torch.eye(len(row)), made[1]])
    reached = (seen.double() @ weights) > 0  # through means as well
    for q in range(len(row)):
        for k in range(len(row)):
            turn, other = int(row.turn[q]), int(row.turn[k])
            if other == turn or (row.kind[q] == MEMORY and turn % 2):
                continue
            wanted = MEMORY if other % 2 == 0 else TEXT
            text = row.kind[q] == TEXT
            expected = text and turn % 2 == 1 and other < turn and int(row.kind[k]) == wanted
            assert bool(reached[q, k]) == expected, (turn, int(row.kind[q]), other, int(row.kind[k]))
    assert taught.settings() == how.settings()


def test_a_gist_stands_for_the_first_turn_alone() -> None:
    adapter = with_adapter(loaded(build("llama")).model)
    r = reader_of(loaded(adapter.model, sink=[1, 5, 9]), Gist(3), adapter.tokens)
    state, first = MemoryState(), [7, 8, 9, 30, 31, 32]
    for turn in ([first], [[11, 12, 40]], [[50, 51]]):
        _, (state,) = r.remember([state], [turn])
    assert [s.kind for s in state.segments] == [MEMORY, TEXT, TEXT]
    slots = len(r.method.memory_positions(0, r.loaded.format.weigh(first)))
    assert slots < len(first)
    assert [s.slots for s in state.segments] == [slots, 3, 2]


def test_training_shows_gist_online_one_context_at_a_time() -> None:
    how = GistOnline(3)
    row = TokenLayout.cat(
        [TokenLayout.of(kind, turn, turn, [0]) for turn in range(4) for kind in (TEXT, MEMORY)]
    )

    def memory_seen(m: Method) -> Tensor:
        seen = m.visible(row, row)
        return seen[row.kind == TEXT][:, row.kind == MEMORY]

    assert memory_seen(how).tolist() == torch.ones(4, 4).tril(-1).bool().tolist()
    pairs = torch.zeros(4, 4, dtype=torch.bool)
    pairs[1, 0] = pairs[3, 2] = True
    assert memory_seen(how.taught()).tolist() == pairs.tolist()
    assert how.taught().settings() == how.settings()
    assert CCMConcat(3).taught().settings() == CCMConcat(3).settings()
