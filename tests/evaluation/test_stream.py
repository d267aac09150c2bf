"""Streams: equal keys and values for all, and losses that are the model's own."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
import torch
from speaking import speaking

from loma_memory.attention.layout import SINK
from loma_memory.attention.layout import TEXT as WORDS
from loma_memory.data import Dialogue, Message
from loma_memory.engine.decode import logits
from loma_memory.engine.pieces import MOST
from loma_memory.errors import DataError, UsageError
from loma_memory.evaluation import stream
from loma_memory.memory import MemoryState
from loma_memory.methods import method
from loma_memory.methods.ccm_stream import CCMStream
from loma_memory.methods.lococo import Fusion, LoCoCo

TEXT = Dialogue("t", tuple((Message("user", f"Sentence {n} of a long story."),) for n in range(12)))


def test_full_context_gives_the_perplexity_of_one_pass() -> None:
    reader = speaking(method("ccm-concat"))
    found = stream.evaluate(reader, [TEXT], kv=60, zone=16, text=48, tokens=200, names=["full"])
    form = reader.loaded.format
    ids = form.plain("\n".join(m.text for t in TEXT.turns for m in t))[:200]
    ids = ids[: len(ids) // 16 * 16]
    done = speaking(method("full")).run([MemoryState()], [[ids]])
    scores = torch.log_softmax(logits(reader.model, done.hidden[0]).float(), -1)
    loss = -sum(float(scores[i - 1, ids[i]]) for i in range(16, len(ids))) / (len(ids) - 16)
    assert found["perplexity"]["full"] == pytest.approx(math.exp(loss), rel=1e-3)
    assert found["tokens"] == len(ids) - 16


@pytest.mark.parametrize("text", [32, 48])
def test_all_have_the_same_number_of_keys(text: int, monkeypatch: pytest.MonkeyPatch) -> None:
    zone, kv = 16, 60
    reader = speaking(method("ccm-concat"))
    ids = reader.loaded.format.plain("x" * 400)[:320]
    for name in ("window", "heavy-hitter", "ccm-stream"):
        source = speaking(stream.contestants(kv, zone, text, 4.0)[name])
        seen: list[int] = []

        def spied(q: Any, k: Any, of: Any = source.method.visible, seen: list[int] = seen) -> torch.Tensor:
            mask: torch.Tensor = of(q, k)
            counted = (q.kind == WORDS)[:, None] & (k.kind != SINK)[None, :]
            seen.append(int((mask & counted).sum(1).max()))
            return mask

        monkeypatch.setattr(source.method, "visible", spied)
        stream._loss(source, ids, zone, text)
        assert max(seen) == kv, name
    long = speaking(CCMStream(4.0, 24))
    _, (state,) = long.remember([MemoryState()], [[ids[:16]]])
    assert state.slots == 16 * MOST / 4, "a short text has no more slots than it needs: bytes are pieces"


def test_what_is_read_twice_is_kept_as_if_once() -> None:
    source = speaking(CCMStream(4.0, 24))
    ids = source.loaded.format.plain("A story that is read in zones, each of them twice.")[:48]
    state = MemoryState()
    for start in range(0, 32, 16):
        done = source.run([state], [[ids[start : start + 16], ids[start + 16 : start + 32]]], write=True)
        state = source.method.update(state, done.segments[0][:1])
    once = MemoryState()
    for start in range(0, 32, 16):
        _, (once,) = source.remember([once], [[ids[start : start + 16]]])
    assert state.text_tokens == once.text_tokens == 32
    for a, b in zip(state.segments, once.segments, strict=True):
        assert torch.allclose(a.keys, b.keys, atol=1e-5)
        assert torch.equal(a.positions, b.positions)


def test_lococo_needs_convolutions_for_this_many_slots() -> None:
    reader = speaking(method("ccm-concat"))
    layers, _heads, width = reader.loaded.kv_shape
    torch.manual_seed(1)
    fused = speaking(LoCoCo(28, Fusion(layers, width, 14)))
    found = stream.evaluate(reader, [TEXT], kv=60, zone=16, text=32, tokens=200, fused=fused)
    assert list(found["perplexity"])[-1] == "lococo"
    with pytest.raises(
        UsageError, match="make a cache of 28 slots; 62 keys and values, 32 of them text, leave 30"
    ):
        stream.evaluate(reader, [TEXT], kv=62, zone=16, text=32, fused=fused)
    with pytest.raises(UsageError, match="lococo needs convolutions"):
        stream.evaluate(reader, [TEXT], kv=60, zone=16, text=32, names=["lococo"])


def test_the_table() -> None:
    reader = speaking(method("ccm-concat"))
    found = stream.evaluate(reader, [TEXT, TEXT], kv=40, zone=16, text=32, tokens=100)
    json.dumps(found, allow_nan=False)
    assert list(found["perplexity"]) == ["full", "none", "window", "heavy-hitter", "ccm-stream"]
    assert len(found["by_text"]) == found["texts"] == 2
    for row in found["by_text"]:
        assert row["perplexity"] == found["by_text"][0]["perplexity"]
    for name, value in found["perplexity"].items():
        assert value == pytest.approx(found["by_text"][0]["perplexity"][name], abs=2e-3)


def test_nonsense_is_refused() -> None:
    reader = speaking(method("ccm-concat"))
    with pytest.raises(UsageError, match="2 more than the 128 tokens that are text, got 129"):
        stream.contestants(129, 64, 128, 8.0)
    with pytest.raises(UsageError, match="at least 2 tokens, got 1"):
        stream.contestants(64, 1, 2, 8.0)
    for text in (16, 40):
        with pytest.raises(UsageError, match=f"two or more whole zones of 16 tokens, got {text}"):
            stream.contestants(64, 16, text, 8.0)
    with pytest.raises(UsageError, match="got 'gist'"):
        stream.evaluate(reader, [TEXT], names=["gist"], kv=160)
    with pytest.raises(DataError, match="t: a text must hold at least two zones of 400 tokens"):
        stream.evaluate(reader, [TEXT], kv=900, zone=400, text=800)
