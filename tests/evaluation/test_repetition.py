"""Repetition: what counts, and that the text goes through stored slots."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from speaking import speaking

from loma_memory.data import Dialogue, Message
from loma_memory.engine.restating.mending import Mended
from loma_memory.errors import DataError, UsageError
from loma_memory.evaluation import repetition, talk
from loma_memory.methods import method

WORDS = st.lists(st.integers(0, 3), max_size=7)


@given(WORDS, WORDS, WORDS)
def test_the_edit_distance_is_one(a: list[int], b: list[int], c: list[int]) -> None:
    d = repetition.edit_distance
    assert d(a, a) == 0
    assert d(a, b) == d(b, a)
    assert abs(len(a) - len(b)) <= d(a, b) <= max(len(a), len(b))
    assert d(a, c) <= d(a, b) + d(b, c)
    assert d(a, [*a, 1]) == 1


def test_the_edit_distance_counts_shifts_once() -> None:
    assert repetition.edit_distance([1, 2, 3, 4, 5], [2, 3, 4, 5, 6]) == 2


def test_figures_are_of_whole_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = speaking(method("loma", ratio=4))
    documents = talk.dialogues()[:2]
    plain = reader.loaded.format.plain
    flat = [i for d in documents for i in plain("\n".join(m.text for t in d.turns for m in t) + "\n")]
    told: list[list[int]] = []

    def half_right(_reader: Any, segments: Any) -> list[list[int]]:
        assert {s.text_tokens for s in segments} == {40}
        assert {s.slots for s in segments} == {10}
        for _ in segments:
            whole = flat[40 * len(told) : 40 * len(told) + 40]
            told.append(whole if len(told) % 2 else [*whole[:39], whole[39] + 1])
        return told[-len(segments) :]

    monkeypatch.setattr(repetition, "restate", half_right)
    monkeypatch.setattr(repetition.random.Random, "shuffle", lambda _self, _pieces: None)
    found = repetition.evaluate(reader, documents, segment=40, limit=6, batch=4)
    assert (found["segments"], found["tokens"], found["mean_ratio"]) == (6, 240, 4.0)
    assert found["token_accuracy"] == round(237 / 240, 5)
    assert (found["segment_accuracy"], found["edit_distance"]) == (0.5, 0.5)


def test_slots_go_through_the_codec(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}

    def watched(codec: str) -> Any:
        def told(_reader: Any, segments: Any) -> list[list[int]]:
            seen[codec] = segments[0]
            return [[0] * s.text_tokens for s in segments]

        return told

    for codec in ("raw", "int8", "int4"):
        monkeypatch.setattr(repetition, "restate", watched(codec))
        repetition.evaluate(
            speaking(method("loma", ratio=4)), talk.dialogues()[:1], segment=30, limit=1, codec=codec
        )
    off = {c: float((seen[c].keys - seen["raw"].keys).abs().max()) for c in ("int8", "int4")}
    assert 0.0 < off["int8"] < off["int4"]


def test_a_checked_evaluation_says_what_agrees(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = speaking(method("loma", ratio=4))
    said = talk.dialogues()[0].turns
    flat = reader.loaded.format.plain("\n".join(m.text for t in said for m in t) + "\n")
    asked: list[Any] = []

    def mended(_reader: Any, before: Any, segments: Any) -> Mended:
        assert before.turns == 0
        n = len(asked)
        asked.append(segments)
        whole = flat[30 * n : 30 * n + 30]
        return [
            Mended([whole], 0.0, True),
            Mended([[*whole[:29], whole[29] + 1]], 0.5, False),  # known to be wrong
            Mended([[*whole[:29], whole[29] + 1]], 0.0, True),  # taken for right
        ][n]

    monkeypatch.setattr(repetition, "mend", mended)
    monkeypatch.setattr(repetition.random.Random, "shuffle", lambda _self, _pieces: None)
    found = repetition.evaluate(reader, talk.dialogues()[:1], segment=30, limit=3, check=True)
    assert (found["segment_accuracy"], found["agree"], found["agree_wrong"]) == (0.3333, 0.6667, 1)
    assert "agree" not in repetition.evaluate(reader, talk.dialogues()[:1], segment=30, limit=1)


def test_nonsense_is_refused() -> None:
    reader = speaking(method("loma"))
    short = [Dialogue("d", ((Message("user", "Hi"),),))]
    with pytest.raises(UsageError, match="at least 1 token, got 0"):
        repetition.evaluate(reader, short, segment=0)
    with pytest.raises(DataError, match="less text than one segment of 200"):
        repetition.evaluate(reader, short)
    with pytest.raises(UsageError, match="cannot restate"):
        repetition.evaluate(speaking(method("ccm-concat")), talk.dialogues(), segment=20, limit=1)
