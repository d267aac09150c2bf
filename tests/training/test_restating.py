"""Restating alone, against the repetition zone of the one-pass form and what `restate` says."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch
from families import build, loaded, with_adapter
from programs import reader_of

from loma_memory.engine.restating.restate import restate
from loma_memory.memory import MemoryState
from loma_memory.methods import method
from loma_memory.training.encode import Encoded
from loma_memory.training.objectives import MemoryObjective
from loma_memory.training.restating import RestatingObjective

SINK = [1, 5, 9]


def rows(lengths: list[list[int]]) -> list[Encoded]:
    """Conversations of a turn each, and a second one that is not asked for."""
    draw = random.Random(4)
    made = []
    for messages in lengths:
        first = tuple(tuple(draw.randrange(3, 67) for _ in range(n)) for n in messages)
        made.append(Encoded((first, ((7, 8, 9),)), (0.0,) * sum(messages) + (1.0,) * 3))
    return made


@pytest.mark.parametrize("family", ["llama", "qwen3", "gemma3"])
@pytest.mark.parametrize("name", ["loma", "loma-retell"])
def test_it_is_the_restating_of_the_one_pass_form(family: str, name: str) -> None:
    adapter = with_adapter(loaded(build(family)).model, repeat_rows=4)
    how, batch = method(name, ratio=3), rows([[7, 4], [11], [2, 5]])
    total, count, figures = RestatingObjective(adapter.model, adapter.tokens, [how], SINK)(batch, 1)
    assert int(count) == sum(len(m) for e in batch for m in e.turns[0])
    both = MemoryObjective(adapter.model, adapter.tokens, [how], SINK, positions=10_000)
    alone = [Encoded(e.turns[:1], tuple(1.0 for m in e.turns[0] for _ in m)) for e in batch]
    with_text, weight, known = both(alone, 1)
    # Of a first turn nothing is lost, so what is left of the loss is restating.
    assert float(total.detach() / count) == pytest.approx(float(with_text.detach() / weight), abs=1e-4)
    called = "retold" if name == "loma-retell" else "restated"
    assert figures[called] == pytest.approx(known[called])


def test_what_it_counts_right_is_what_restate_says() -> None:
    adapter = with_adapter(loaded(build("llama")).model, repeat_rows=4)
    how, batch = method("loma", ratio=2), rows([[9], [5], [12]])
    reader = reader_of(loaded(adapter.model, sink=SINK), how, adapter.tokens)
    _, states = reader.remember([MemoryState()] * 3, [e.turns[0] for e in batch])
    told = restate(reader, [s.segments[0] for s in states])
    right = sum(
        a == b for t, e in zip(told, batch, strict=True) for a, b in zip(t, e.turns[0][0], strict=True)
    )
    _, count, figures = RestatingObjective(adapter.model, adapter.tokens, [how], SINK)(batch, 1)
    assert figures["restated"] == pytest.approx(right / int(count))


def test_restating_is_learned() -> None:
    adapter = with_adapter(loaded(build("llama")).model, repeat_rows=4)
    objective: Any = RestatingObjective(adapter.model, adapter.tokens, [method("loma", ratio=2)], SINK)
    parameters = [p for p in adapter.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, 3e-2)
    batch, losses = rows([[6], [6]]), []
    for _ in range(40):
        total, count, _ = objective(batch, 0)
        (total / count).backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(total.detach() / count))
    assert losses[-1] < 0.7 * losses[0]
