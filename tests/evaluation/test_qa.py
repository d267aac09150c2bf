"""Questions about long conversations: F1, options, dates, and full context where it fits only."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from speaking import speaking

from loma_memory.errors import DataError
from loma_memory.evaluation import qa
from loma_memory.methods import method


def case(turns: int, **more: Any) -> dict[str, Any]:
    talk = [{"role": ("user", "assistant")[n % 2], "content": f"word {n}"} for n in range(turns)]
    asked = [
        {"question": f"Who is {n}?", "answer": f"Person {n}", "category": "single"} for n in range(5)
    ] + [
        {"question": "When?", "answer": 2022, "category": "time"},
        {"question": "Why?", "adversarial_answer": "no", "category": "trap"},
    ]
    return {"turns": talk, "qa": asked, **more}


def write(file: Path, *lines: Any) -> Path:
    file.write_text("\n".join(json.dumps(v) for v in lines), encoding="utf-8")
    return file


@pytest.mark.parametrize(
    ("said", "wanted", "figure"),
    [
        ("The cat.", "a cat", 1.0),
        ("It was 7 May 2023", "7 May 2023", 0.75),
        ("", "cat", 0.0),
        ("dog", "cat", 0.0),
        ("cat cat", "cat", 2 / 3),
    ],
)
def test_f1(said: str, wanted: str, figure: float) -> None:
    assert qa.f1(said, wanted) == pytest.approx(figure)


@given(st.text("ab ,the", max_size=12), st.text("ab ,the", max_size=12))
def test_f1_is_symmetric_and_bounded(a: str, b: str) -> None:
    assert qa.f1(a, b) == qa.f1(b, a)
    assert 0.0 <= qa.f1(a, b) <= 1.0


def test_questions_options_and_dates(tmp_path: Path) -> None:
    dated = case(6, sessions=[0, 0, 0, 1, 1, 1], session_dates=["1 May", "9 May"])
    (found,) = qa.read_cases([write(tmp_path / "q.jsonl", dated)])
    assert len(found.questions) == 6  # the trap has no answer
    for question in found.questions:
        assert question.answer in question.options
        assert len(set(question.options)) == (4 if question.category == "single" else 1)
    texts = [m.text for t in found.dialogue.turns for m in t]
    assert texts == ["(1 May) word 0", "word 1", "word 2", "(9 May) word 3", "word 4", "word 5"]
    assert [len(t) for t in found.dialogue.turns] == [2, 2, 2]
    (few,) = qa.read_cases([write(tmp_path / "q.jsonl", case(4))], 2)
    assert len(few.questions) == 2
    with pytest.raises(DataError, match=r'q\.jsonl:1: a line must have "qa"'):
        qa.read_cases([write(tmp_path / "q.jsonl", {**case(2), "qa": []})])


def test_full_context_is_left_out_where_it_does_not_fit(tmp_path: Path) -> None:
    cases = qa.read_cases([write(tmp_path / "q.jsonl", case(4), case(60))], 2)
    found = qa.evaluate(speaking(method("ccm-concat")), cases)
    json.dumps(found, allow_nan=False)
    assert (found["conversations"], found["questions"], found["full_fits"]) == (2, 4, 1)
    for figures in (found["f1"], found["ranked"]):
        assert set(figures) == {"full", "none", "memory"}
    only_long = qa.evaluate(speaking(method("ccm-concat")), cases[1:])
    assert only_long["full_fits"] == 0
    assert only_long["f1"]["full"] is None
    assert only_long["tokens"] > 512 > only_long["slots"]
