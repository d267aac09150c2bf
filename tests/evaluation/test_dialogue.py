"""Figures of the dialogue table on models where they can be known beforehand."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from families import build, loaded
from programs import reader_of
from speaking import served, short, speaking

from loma_memory.data import Dialogue
from loma_memory.engine.models import LoadedModel
from loma_memory.engine.pieces import MOST
from loma_memory.engine.reader import Reader
from loma_memory.errors import DataError
from loma_memory.evaluation import dialogue
from loma_memory.evaluation.walk import Step, walk, within
from loma_memory.memory import MemoryState
from loma_memory.methods import method
from loma_memory.methods.ccm_concat import CCMConcat


@cache
def table(name: str) -> dict[str, Any]:
    return dialogue.evaluate(speaking(method(name, ratio=4)), short())


def test_full_context_recovers_all_and_no_memory_nothing() -> None:
    full, none = table("full"), table("none")
    assert (full["gap_recovered"], full["kl_recovered"]) == (1.0, 1.0)
    assert (none["gap_recovered"], none["kl_recovered"]) == (0.0, 0.0)
    assert full["gap_recovered_ci95"] == [1.0, 1.0]
    assert none["gap_recovered_ci95"] == [0.0, 0.0]
    assert full["loss"]["memory"] == full["loss"]["full"]
    assert none["loss"]["memory"] == none["loss"]["none"]
    for key in ("full", "none"):
        assert full["loss"][key] == none["loss"][key]
    assert full["loss"]["full"] != full["loss"]["none"]
    assert (none["slots_per_turn"], none["kv_bytes_per_turn"], none["text_tokens_per_slot"]) == (
        0.0,
        0.0,
        None,
    )
    assert full["text_tokens_per_slot"] == 1.0


def test_the_losses_are_those_of_one_plain_pass() -> None:
    """Full context is the plain model on the whole text; words are targets from the second turn on."""
    known, _ = served()
    total = tokens = 0.0
    assistant = spoken = 0.0
    by_turn: dict[int, list[float]] = {}
    for d in short():
        ids, where = known.format.header_ids(), []
        for t, turn in enumerate(d.turns):
            for message in turn:
                own, words = known.format.targets(message.role, message.text)
                where += [(len(ids) + i, t, message.role) for i, w in enumerate(words) if w and t > 0]
                ids = ids + own
        with torch.no_grad():
            scores = torch.log_softmax(known.model(input_ids=torch.tensor([ids])).logits[0], -1)
        for place, t, role in where:
            loss = -float(scores[place - 1, ids[place]])
            total, tokens = total + loss, tokens + 1
            by_turn.setdefault(t + 1, []).append(loss)
            if role == "assistant":
                assistant, spoken = assistant + loss, spoken + 1
    found = table("ccm-concat")
    assert found["tokens"] == tokens
    assert found["loss"]["full"] == pytest.approx(total / tokens, abs=2e-5)
    assert found["assistant"]["loss"]["full"] == pytest.approx(assistant / spoken, abs=2e-5)
    for row in found["by_turn"]:
        assert row["tokens"] == len(by_turn[row["turn"]])
        assert row["loss"]["full"] == pytest.approx(float(np.mean(by_turn[row["turn"]])), abs=2e-5)


def test_turns_add_up_to_the_whole() -> None:
    found = table("ccm-concat")
    rows = found["by_turn"]
    assert [r["turn"] for r in rows] == [2, 3, 4, 5]
    assert sum(r["tokens"] for r in rows) == found["tokens"]
    for name in ("full", "none", "memory"):
        mean = sum(r["tokens"] * r["loss"][name] for r in rows) / found["tokens"]
        assert mean == pytest.approx(found["loss"][name], abs=1e-4)
    loss = found["loss"]
    gap = (loss["none"] - loss["memory"]) / (loss["none"] - loss["full"])
    assert gap == pytest.approx(found["gap_recovered"], abs=2e-3)


def test_the_object_has_the_documented_keys_and_is_plain_json() -> None:
    found = json.loads(json.dumps(table("ccm-concat"), allow_nan=False))
    assert {
        "method",
        "ratio",
        "conversations",
        "tokens",
        "loss",
        "gap_recovered",
        "gap_recovered_ci95",
        "kl_recovered",
        "assistant",
        "by_turn",
        "slots_per_turn",
        "kv_bytes_per_turn",
        "seconds",
    } <= set(found)
    assert (found["method"], found["ratio"], found["conversations"], found["truncated"]) == (
        "ccm-concat",
        4,
        5,
        0,
    )
    assert set(found["assistant"]) == {"loss", "gap_recovered"}
    turns = sum(len(d.turns) for d in short())
    bytes_a_slot = 2 * 2 * 2 * 8 * 4  # keys and values, layers, heads, channels, float32
    assert found["kv_bytes_per_turn"] == pytest.approx(
        found["slots_per_turn"] * bytes_a_slot, abs=bytes_a_slot / turns
    )
    assert found["text_tokens_per_slot"] == pytest.approx(4 / MOST, rel=0.1), "bytes are pieces"


def test_the_batch_size_changes_nothing() -> None:
    reader = speaking(CCMConcat(4))
    one, three = (dialogue.evaluate(reader, short(), batch=b) for b in (1, 3))
    for key in ("tokens", "slots_per_turn", "kv_bytes_per_turn", "conversations"):
        assert one[key] == three[key]
    assert one["loss"]["memory"] == pytest.approx(three["loss"]["memory"], abs=3e-5)
    assert one["gap_recovered"] == pytest.approx(three["gap_recovered"], abs=1e-3)


def test_the_interval_holds_the_estimate_and_is_drawn_by_its_seed() -> None:
    found = table("ccm-concat")
    low, high = found["gap_recovered_ci95"]
    assert low <= found["gap_recovered"] <= high
    assert low < high
    rng = np.random.default_rng(0)
    rows = np.zeros((300, 6))
    rows[:, 0], rows[:, 2], rows[:, 1] = 1, 3.0, 1.0
    rows[:, 3] = 3.0 - 2.0 * (0.7 + 0.1 * rng.standard_normal(300))
    a, b = dialogue._interval(rows, 1), dialogue._interval(rows, 1)
    assert a == b != dialogue._interval(rows, 2)
    assert a[0] is not None
    assert a[1] is not None
    # The mean of 300 draws of deviation 0.1: ± 1.96 · 0.1 / √300.
    assert a[1] - a[0] == pytest.approx(2 * 1.96 * 0.1 / 300**0.5, rel=0.15)
    assert dialogue._interval(np.zeros((3, 6)), 0) == [None, None]


def test_conversations_beyond_the_models_range_are_cut_and_counted() -> None:
    known, tokens = served()
    small = LoadedModel("tiny", known.model, known.format, known.digest, 130)
    found = dialogue.evaluate(reader_of(small, CCMConcat(4), tokens), short())
    assert 0 < found["truncated"] <= 5
    assert found["tokens"] < table("ccm-concat")["tokens"]
    tiny = LoadedModel("tiny", known.model, known.format, known.digest, 40)
    with pytest.raises(DataError, match="no conversation has a second turn within the model's range"):
        dialogue.evaluate(reader_of(tiny, CCMConcat(4), tokens), short())
    with pytest.raises(DataError, match="no conversation has a second turn"):
        dialogue.evaluate(speaking(CCMConcat(4)), [Dialogue("x", short()[0].turns[:1])])


def test_progress_is_told() -> None:
    told: list[tuple[int, int]] = []
    dialogue.evaluate(speaking(CCMConcat(4)), short(), batch=2, progress=lambda a, b: told.append((a, b)))
    assert told == [(2, 5), (4, 5), (5, 5)]


def test_pictures(tmp_path: Any) -> None:
    pytest.importorskip("matplotlib")
    from loma_memory.evaluation.plot import plot_dialogue

    plot_dialogue([table("ccm-concat"), table("none")], tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes()[1:4] == b"PNG"


# --- walking -----------------------------------------------------------------------------------------


def test_walking_reads_every_turn_once_and_in_order() -> None:
    known = loaded(build("llama"))
    talks = [[[[5] * n, [6]] for n in range(1, k)] for k in (2, 5, 3, 4)]
    seen: list[tuple[int, int]] = []

    def visit(step: Step) -> None:
        seen.extend((i, step.turn) for i in step.rows)
        assert [s.turns for s in step.states["full"]] == [step.turn + 1] * len(step.rows)

    readers = {"full": Reader(known, method("full")), "none": Reader(known, method("none"))}
    final = walk(readers, talks, visit, batch=2)
    assert sorted(seen) == [(i, t) for i, talk in enumerate(talks) for t in range(len(talk))]
    for talk_, state in zip(talks, final["full"], strict=True):
        assert (state.turns, state.slots) == (len(talk_), sum(len(m) for t in talk_ for m in t))
    assert all(isinstance(s, MemoryState) and s.slots == 0 for s in final["none"])


def test_within_keeps_whole_turns() -> None:
    turns = [[[1] * 4], [[1] * 2, [1] * 3], [[1]]]
    assert [len(within(turns, n)) for n in (3, 4, 8, 9, 10, 99)] == [0, 1, 1, 2, 3, 3]
