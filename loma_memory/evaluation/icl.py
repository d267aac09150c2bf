"""Learning from examples that are in memory only: in-context tasks, and personas (CCM §4, MetaICL and LaMP).

Examples are turns; after some of them a query is asked, and its options are ranked by likelihood.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loma_memory.data import Message, parse_dialogue, read_json_lines
from loma_memory.engine.reader import Reader
from loma_memory.errors import DataError
from loma_memory.evaluation.asking import asked, likelihoods
from loma_memory.evaluation.walk import Step, walk
from loma_memory.memory import MemoryState
from loma_memory.methods import method


@dataclass(frozen=True)
class Task:
    """Some examples, and a query with options.

    Attributes:
        examples: turns to remember.
        query: what is asked.
        options: possible replies.
        answer: the right one.
    """

    examples: tuple[tuple[Message, ...], ...]
    query: str
    options: tuple[str, ...]
    answer: str


def read_tasks(paths: Sequence[str | Path], limit: int | None = None, seed: int = 0) -> list[Task]:
    """Tasks of some files, at most `limit` of each, drawn by the seed.

    A line is a task, `{"demos": [{"input", "output"}, ...], "query", "options", "answer"}`, or a conversation
    with a persona, `{"persona": [str, ...], "turns": [...]}`: then the assistant's persona is remembered, and
    its reply has to be found among those of other conversations.

    Raises:
        DataError: a line that is neither.
    """
    found: list[Task] = []
    for path in paths:
        tasks, personas = [], []
        for number, value in read_json_lines(path):
            where = f"{path}:{number}"
            if isinstance(value, dict) and "demos" in value:
                tasks.append(_task(value, where))
            elif isinstance(value, dict) and value.get("persona"):
                personas.append((tuple(map(str, value["persona"])), parse_dialogue(value, where)))
            else:
                raise DataError(f'{where}: a line must have "demos" and a query, or a "persona" and turns')
        rng = random.Random(seed)
        if len(personas) > 3:
            tasks += [_persona(i, personas, rng) for i in range(len(personas))]
        if not tasks:
            raise DataError(f"{path}: holds no task; personas take at least 4 conversations")
        rng.shuffle(tasks)
        found += tasks[:limit]
    return found


def evaluate(
    reader: Reader,
    tasks: Sequence[Task],
    *,
    demos: Sequence[int] = (1, 2, 4, 8, 16),
    batch: int = 16,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Accuracy by number of examples.

    Args:
        reader: model, method and adapter.
        tasks: what is asked.
        demos: after how many examples; tasks with fewer are left out of that row.
        batch: sequences read together.
        progress: told how many tasks are done.

    Returns:
        `{"by_demos": [{"demos", "tasks", "accuracy": {full, none, memory}, "gap_recovered"}], ...}`;
        gap_recovered is None where full context is no better than none.
    """
    began = time.perf_counter()
    form = reader.loaded.format
    readers = {"full": Reader(reader.loaded, method("full")), "memory": reader}
    conversations = [
        [[form.message_ids(m.role, m.text) for m in t] for t in task.examples[: max(demos)]] for task in tasks
    ]
    right: dict[int, dict[str, list[bool]]] = {n: {"full": [], "none": [], "memory": []} for n in demos}
    blank = _right(Reader(reader.loaded, method("none")), [MemoryState()] * len(tasks), tasks, batch)

    def visit(step: Step) -> None:
        if step.turn + 1 not in right:
            return
        row = right[step.turn + 1]
        some = [tasks[i] for i in step.rows]
        row["none"] += [blank[i] for i in step.rows]
        for name, r in readers.items():
            row[name] += _right(r, step.states[name], some, batch)

    walk(readers, conversations, visit, batch=batch, progress=progress)
    rows = [_row(n, right[n]) for n in demos if right[n]["full"]]
    return {
        "method": reader.method.name,
        "ratio": reader.method.settings().get("ratio"),
        "tasks": len(tasks),
        "by_demos": rows,
        "seconds": round(time.perf_counter() - began, 1),
    }


def _right(reader: Reader, states: Sequence[MemoryState], tasks: Sequence[Task], batch: int) -> list[bool]:
    form = reader.loaded.format
    turns = [asked(reader, t.query) for t in tasks]
    options = [[form.plain(o) for o in t.options] for t in tasks]
    scores = likelihoods(reader, states, turns, options, batch)
    return [t.options[s.index(max(s))] == t.answer for t, s in zip(tasks, scores, strict=True)]


def _row(demos: int, right: dict[str, list[bool]]) -> dict[str, Any]:
    share = {name: sum(r) / len(r) for name, r in right.items()}
    gap = share["full"] - share["none"]
    return {
        "demos": demos,
        "tasks": len(right["full"]),
        "accuracy": {name: round(s, 4) for name, s in share.items()},
        "gap_recovered": round((share["memory"] - share["none"]) / gap, 3) if gap > 0 else None,
    }


def _task(value: dict[str, Any], where: str) -> Task:
    try:
        demos = tuple(
            (Message("user", d["input"]), Message("assistant", d["output"])) for d in value["demos"]
        )
        task = Task(demos, value["query"], tuple(value["options"]), value["answer"])
        texts = [m.text for t in demos for m in t] + [task.query, task.answer, *task.options]
    except (KeyError, TypeError) as error:
        raise DataError(f"{where}: a task needs demos, query, options and answer: {error}") from None
    if not demos or not all(isinstance(t, str) and t.strip() for t in texts):
        raise DataError(f"{where}: demos, query, options and answer must be non-empty strings")
    if task.answer not in task.options:
        raise DataError(f"{where}: the answer must be one of the options, got {task.answer!r}")
    return task


def _persona(i: int, all_of: Sequence[Any], rng: random.Random) -> Task:
    persona, dialogue = all_of[i]
    pairs = [t for t in dialogue.turns if len(t) > 1]
    turn = rng.choice(pairs or [dialogue.turns[0]])
    others = [
        t[1].text
        for _, d in rng.sample([*all_of[:i], *all_of[i + 1 :]], 3)
        for t in d.turns[:1]
        if len(t) > 1
    ]
    answer = turn[-1].text
    options = [answer, *(o for o in others if o != answer)]
    rng.shuffle(options)
    return Task(tuple((Message("note", p),) for p in persona), turn[0].text, tuple(options), answer)
