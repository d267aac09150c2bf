"""Tasks and personas: what is read, what is refused, and what counts as learned."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from speaking import speaking

from loma_memory.data import Message
from loma_memory.errors import DataError
from loma_memory.evaluation import icl
from loma_memory.methods import method

TASK = {
    "demos": [{"input": f"{n} + 1", "output": str(n + 1)} for n in range(5)],
    "query": "7 + 1",
    "options": ["8", "9", "dog"],
    "answer": "8",
}
PERSONA = {
    "persona": ["I like tea.", "I have a cat."],
    "turns": [{"role": "user", "content": "What do you like?"}, {"role": "assistant", "content": "Tea."}],
}


def write(file: Path, *lines: Any) -> Path:
    file.write_text("\n".join(json.dumps(v) for v in lines), encoding="utf-8")
    return file


def test_tasks_are_read(tmp_path: Path) -> None:
    (task,) = icl.read_tasks([write(tmp_path / "t.jsonl", TASK)])
    assert len(task.examples) == 5
    assert task.examples[0] == (Message("user", "0 + 1"), Message("assistant", "1"))
    assert (task.query, task.answer, task.options) == ("7 + 1", "8", ("8", "9", "dog"))
    many = [{**TASK, "query": f"{n} + 0"} for n in range(30)]
    file = write(tmp_path / "m.jsonl", *many)
    assert len(icl.read_tasks([file, file], 4)) == 8
    assert icl.read_tasks([file], 4) == icl.read_tasks([file], 4)
    assert icl.read_tasks([file], 4) != icl.read_tasks([file], 4, seed=1)


def test_a_persona_is_found_among_others(tmp_path: Path) -> None:
    people = [
        {**PERSONA, "turns": [PERSONA["turns"][0], {"role": "assistant", "content": f"reply {n}"}]}
        for n in range(6)
    ]
    tasks = icl.read_tasks([write(tmp_path / "p.jsonl", *people)])
    assert {t.answer for t in tasks} == {f"reply {n}" for n in range(6)}
    for task in tasks:
        assert task.examples == ((Message("note", "I like tea."),), (Message("note", "I have a cat."),))
        assert len(set(task.options)) == len(task.options) == 4
        assert task.answer in task.options
        assert task.query == "What do you like?"
    with pytest.raises(DataError, match="at least 4 conversations"):
        icl.read_tasks([write(tmp_path / "few.jsonl", PERSONA)])


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"answer": "ten"}, "must be one of the options, got 'ten'"),
        ({"query": " "}, "non-empty strings"),
        ({"demos": []}, "non-empty strings"),
        ({"demos": [{"input": "x"}]}, "needs demos, query, options and answer: 'output'"),
        ({"options": None}, "needs demos, query, options and answer"),
    ],
    ids=str,
)
def test_broken_tasks_are_named(tmp_path: Path, change: dict[str, Any], rule: str) -> None:
    file = write(tmp_path / "t.jsonl", TASK, {**TASK, **change})
    with pytest.raises(DataError, match=rule) as raised:
        icl.read_tasks([file])
    assert str(raised.value).startswith(f"{file}:2: ")
    with pytest.raises(DataError, match='"demos" and a query, or a "persona"'):
        icl.read_tasks([write(tmp_path / "x.jsonl", {"turns": []})])


def test_accuracy_by_examples(tmp_path: Path) -> None:
    short = {**TASK, "demos": TASK["demos"][:2]}
    tasks = icl.read_tasks([write(tmp_path / "t.jsonl", TASK, short, TASK)])
    told: list[tuple[int, int]] = []
    found = icl.evaluate(
        speaking(method("full")),
        tasks,
        demos=(1, 2, 4, 8),
        batch=2,
        progress=lambda a, b: told.append((a, b)),
    )
    json.dumps(found, allow_nan=False)
    assert [(r["demos"], r["tasks"]) for r in found["by_demos"]] == [(1, 3), (2, 3), (4, 2)]
    for row in found["by_demos"]:
        assert row["accuracy"]["full"] == row["accuracy"]["memory"], "method full is full context"
        if row["accuracy"]["full"] > row["accuracy"]["none"]:
            assert row["gap_recovered"] == 1.0
        else:
            assert row["gap_recovered"] is None
    assert told[-1] == (3, 3)


def test_what_counts_is_the_share_of_the_gap() -> None:
    row = icl._row(
        2,
        {"full": [True] * 4, "none": [True, False, False, False], "memory": [True, True, True, False]},
    )
    assert row["accuracy"] == {"full": 1.0, "none": 0.25, "memory": 0.75}
    assert row["gap_recovered"] == 0.667
