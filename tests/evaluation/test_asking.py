"""Options are ranked by what the model itself says of them."""

from __future__ import annotations

import pytest
import torch
from speaking import speaking

from loma_memory.engine.decode import logits
from loma_memory.evaluation.asking import asked, likelihoods
from loma_memory.memory import MemoryState
from loma_memory.methods import method


def test_likelihoods_are_the_models_own() -> None:
    reader = speaking(method("ccm-concat", ratio=3))
    form = reader.loaded.format
    told = [form.message_ids("user", "I am Ada."), form.message_ids("assistant", "Hello Ada.")]
    _, (state,) = reader.remember([MemoryState()], [told])
    turns = [asked(reader, "Who am I?"), asked(reader, "And what do I like best?")]
    options = [[form.plain("Ada"), form.plain("Keiko Ito")], [form.plain("tea"), form.plain("x")]]
    found = likelihoods(reader, [state, MemoryState()], turns, options, batch=3)
    assert found == [
        pytest.approx(f, abs=1e-4)
        for f in likelihoods(reader, [state, MemoryState()], turns, options, batch=1)
    ]
    for kept, turn, some, scores in zip([state, MemoryState()], turns, options, found, strict=True):
        for option, score in zip(some, scores, strict=True):
            total = 0.0
            for n in range(len(option)):  # a token at a time, each after a pass of its own
                done = reader.run([kept], [[*turn, option[:n]] if n else turn])
                last = logits(reader.model, done.hidden[0, sum(map(len, turn)) + n - 1]).float()
                total += float(torch.log_softmax(last, -1)[option[n]])
            assert score == pytest.approx(total / len(option), abs=1e-4)
