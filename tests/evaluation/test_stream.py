"""Streams: equal keys and values for all, and losses that are the model's own."""

from __future__ import annotations

import json
import math

import pytest
import torch
from speaking import speaking

from loma_memory.data import Dialogue, Message
from loma_memory.engine.decode import logits
from loma_memory.errors import DataError, UsageError
from loma_memory.evaluation import stream
from loma_memory.memory import MemoryState
from loma_memory.methods import method
from loma_memory.methods.ccm_stream import CCMStream

TEXT = Dialogue("t", tuple((Message("user", f"Sentence {n} of a long story."),) for n in range(12)))


def test_full_context_gives_the_perplexity_of_one_pass() -> None:
    reader = speaking(method("ccm-concat"))
    found = stream.evaluate(reader, [TEXT], kv=40, zone=16, tokens=200, names=["full"])
    form = reader.loaded.format
    ids = form.plain("\n".join(m.text for t in TEXT.turns for m in t))[:200]
    ids = ids[: len(ids) // 16 * 16]
    done = speaking(method("full")).run([MemoryState()], [[ids]])
    scores = torch.log_softmax(logits(reader.model, done.hidden[0]).float(), -1)
    loss = -sum(float(scores[i - 1, ids[i]]) for i in range(16, len(ids))) / (len(ids) - 16)
    assert found["perplexity"]["full"] == pytest.approx(math.exp(loss), rel=1e-3)
    assert found["tokens"] == len(ids) - 16


def test_all_have_the_same_number_of_keys() -> None:
    zone, kv = 16, 40
    reader = speaking(method("ccm-concat"))
    ids = reader.loaded.format.plain("x" * 400)
    for name in ("window", "heavy-hitter", "ccm-stream"):
        source = speaking(stream.contestants(kv, zone, 4.0)[name])
        state = MemoryState()
        for start in range(0, 320, zone):
            _, (state,) = source.remember([state], [[ids[start : start + zone]]])
        assert state.slots == (kv - 1 if name == "window" else kv - zone)
    long = speaking(CCMStream(4.0, 24))
    _, (state,) = long.remember([MemoryState()], [[ids[:16]]])
    assert state.slots == 4, "a short text has no more slots than it needs"


def test_the_table() -> None:
    reader = speaking(method("ccm-concat"))
    found = stream.evaluate(reader, [TEXT, TEXT], kv=40, zone=16, tokens=100)
    json.dumps(found, allow_nan=False)
    assert list(found["perplexity"]) == ["full", "none", "window", "heavy-hitter", "ccm-stream"]
    assert len(found["by_text"]) == found["texts"] == 2
    for row in found["by_text"]:
        assert row["perplexity"] == found["by_text"][0]["perplexity"]
    for name, value in found["perplexity"].items():
        assert value == pytest.approx(found["by_text"][0]["perplexity"][name], abs=2e-3)


def test_nonsense_is_refused() -> None:
    reader = speaking(method("ccm-concat"))
    with pytest.raises(UsageError, match="kv must be more than the zone's 64 tokens, got 64"):
        stream.contestants(64, 64, 8.0)
    with pytest.raises(UsageError, match="at least 2 tokens, got 1"):
        stream.contestants(64, 1, 8.0)
    with pytest.raises(UsageError, match="got 'gist'"):
        stream.evaluate(reader, [TEXT], names=["gist"])
    with pytest.raises(DataError, match="t: a text must hold at least two zones of 400 tokens"):
        stream.evaluate(reader, [TEXT], kv=500, zone=400)
