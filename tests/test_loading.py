"""How long a long session takes to load: rows, checks, and tensors."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import pytest
import torch

from loma_memory.memory import MemoryState, Segment, codec
from loma_memory.store import NewMessage, NewSegment, Store

SHAPE = (30, 3, 64)  # SmolLM2-135M: layers, key/value heads, channels
TURNS = 1000


@pytest.mark.slow
@pytest.mark.parametrize("name", ["raw", "int8"])
def test_a_thousand_turns_are_loaded(database: str, name: str, figure: Callable[[str], None]) -> None:
    def drawn(seed: int) -> bytes:
        draw = torch.Generator().manual_seed(seed)
        keys, values = torch.randn(2, 30, 3, 2, 64, generator=draw).bfloat16()
        return codec.encode(Segment(keys, values, torch.arange(2), 15), name)

    some = [drawn(seed) for seed in range(8)]
    with Store.open(database) as store:
        head = store.session("ada")
        for turn in range(TURNS):
            said = [NewMessage("user", f"question {turn}"), NewMessage("assistant", f"answer {turn}")]
            kept = [NewSegment(2, name, some[(turn + i) % 8]) for i in range(2)]
            head = store.append(head, said, kept, "f", {})
    read, made = [], []
    for _ in range(3):
        with Store.open(database) as store:
            head = store.session("ada")
            began = time.perf_counter()
            stored = [s for s in store.segments(head, "f") if s is not None]
            read.append(time.perf_counter() - began)
            began = time.perf_counter()
            segments = [codec.decode(s.data, SHAPE, torch.bfloat16) for s in stored]
            state = MemoryState()
            for turn in range(TURNS):
                state = state.with_turn(segments[2 * turn : 2 * turn + 2])
            made.append(time.perf_counter() - began)
    assert (state.turns, state.slots) == (TURNS, 4 * TURNS)
    times = [1000 * statistics.median(t) for t in (read, made)]
    figure(
        f"{TURNS} turns of 30 tokens, {name}, {sum(map(len, some)) * 2 * TURNS / 8 / 2**20:.0f} MiB: "
        f"read and checked in {times[0]:.0f} ms, made into tensors in {times[1]:.0f} ms"
    )
    assert sum(times) < 3000  # a bound for busy machines; the figure is what counts
