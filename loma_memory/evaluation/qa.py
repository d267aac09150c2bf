"""Questions about very long conversations (LoCoMo, arXiv 2402.17753): F1 of answers, ranking of options."""

from __future__ import annotations

import random
import re
import string
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loma_memory.data import Dialogue, Message, group, parse_dialogue, read_json_lines
from loma_memory.engine.reader import Reader
from loma_memory.errors import DataError
from loma_memory.evaluation.asking import answer, asked, likelihoods
from loma_memory.memory import MemoryState
from loma_memory.methods import method


@dataclass(frozen=True)
class Question:
    """A question about a conversation, its answer, and three answers to others of its category."""

    text: str
    answer: str
    category: str
    options: tuple[str, ...]


@dataclass(frozen=True)
class Case:
    """A conversation and what is asked about it."""

    dialogue: Dialogue
    questions: tuple[Question, ...]


def read_cases(paths: Sequence[str | Path], limit: int | None = None, seed: int = 0) -> list[Case]:
    """Conversations with questions: `{"turns": [...], "qa": [{"question", "answer", "category"}, ...]}`.

    With `sessions` (session of each turn) and `session_dates` the first message of a session gets its date.
    Questions without an answer (LoCoMo's adversarial ones) are left out. `limit`: questions of each
    conversation, drawn by the seed.

    Raises:
        DataError: a line that breaks the format, or a file without questions.
    """
    cases = []
    for path in paths:
        for number, value in read_json_lines(path):
            where = f"{path}:{number}"
            dialogue = parse_dialogue(value, where)
            known = [q for q in value.get("qa") or [] if isinstance(q, dict) and q.get("answer") is not None]
            if not known or not all(str(q.get("question", "")).strip() for q in known):
                raise DataError(f'{where}: a line must have "qa", questions with answers, beside its turns')
            cases.append(Case(_dated(dialogue, value), _questions(known, limit, random.Random(seed))))
    return cases


def evaluate(
    reader: Reader,
    cases: Sequence[Case],
    *,
    batch: int = 16,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """F1 of greedy answers and share of right rankings, with full context, none and memory.

    Returns:
        `{"f1": {full, none, memory}, "ranked": {...}, "by_category": {...}, "full_fits"}`; full is None
        where a conversation is longer than the model's range, which `full_fits` counts.
    """
    began = time.perf_counter()
    full, none = Reader(reader.loaded, method("full")), Reader(reader.loaded, method("none"))
    figures: dict[str, dict[str, list[tuple[float, bool]]]] = {}
    fits = slots = tokens = 0
    for done, case in enumerate(cases, 1):
        turns = [[reader.loaded.format.message_ids(m.role, m.text) for m in t] for t in case.dialogue.turns]
        state = _read(reader, turns)
        slots, tokens = slots + state.slots, tokens + state.text_tokens
        rows = {"none": (none, MemoryState()), "memory": (reader, state)}
        if state.text_tokens + 256 <= reader.loaded.limit:
            rows["full"] = (full, _read(full, turns))
            fits += 1
        for name, (how, kept) in rows.items():
            for question, figure in zip(
                case.questions, _asked(how, kept, case.questions, batch), strict=True
            ):
                for category in (question.category, ""):
                    figures.setdefault(category, {}).setdefault(name, []).append(figure)
        if progress is not None:
            progress(done, len(cases))
    overall = _means(figures.pop("", {}))
    return {
        "method": reader.method.name,
        "ratio": reader.method.settings().get("ratio"),
        "conversations": len(cases),
        "questions": sum(len(c.questions) for c in cases),
        "full_fits": fits,
        "tokens": tokens,
        "slots": slots,
        **overall,
        "by_category": {name: _means(found) for name, found in sorted(figures.items())},
        "seconds": round(time.perf_counter() - began, 1),
    }


def f1(said: str, wanted: str) -> float:
    """Harmonic mean of precision and recall of words, as SQuAD normalises them."""
    a, b = _words(said), _words(wanted)
    shared = sum((Counter(a) & Counter(b)).values())
    return 2 * shared / (len(a) + len(b)) if shared else 0.0


def _words(text: str) -> list[str]:
    bare = text.casefold().translate(str.maketrans("", "", string.punctuation))
    return re.sub(r"\b(a|an|the)\b", " ", bare).split()


def _read(reader: Reader, turns: Sequence[Any]) -> MemoryState:
    state = MemoryState()
    for turn in turns:
        _, (state,) = reader.remember([state], [turn])
    return state


def _asked(
    reader: Reader, state: MemoryState, questions: Sequence[Question], batch: int
) -> list[tuple[float, bool]]:
    states = [state] * len(questions)
    said = answer(reader, states, [q.text for q in questions], batch)
    form = reader.loaded.format
    turns = [asked(reader, q.text) for q in questions]
    options = [[form.plain(o) for o in q.options] for q in questions]
    scores = likelihoods(reader, states, turns, options, batch)
    best = [q.options[s.index(max(s))] for q, s in zip(questions, scores, strict=True)]
    return [(f1(a, q.answer), b == q.answer) for a, b, q in zip(said, best, questions, strict=True)]


def _means(found: dict[str, list[tuple[float, bool]]]) -> dict[str, Any]:
    def mean(name: str, which: int) -> float | None:
        rows = found.get(name)
        return round(sum(r[which] for r in rows) / len(rows), 4) if rows else None

    names = ("full", "none", "memory")
    return {"f1": {n: mean(n, 0) for n in names}, "ranked": {n: mean(n, 1) for n in names}}


def _questions(
    known: Sequence[dict[str, Any]], limit: int | None, rng: random.Random
) -> tuple[Question, ...]:
    made = []
    for q in known:
        right, category = str(q["answer"]), str(q.get("category", ""))
        others = sorted({str(o["answer"]) for o in known if str(o.get("category", "")) == category} - {right})
        options = [right, *rng.sample(others, min(3, len(others)))]
        rng.shuffle(options)
        made.append(Question(str(q["question"]), right, category, tuple(options)))
    rng.shuffle(made)
    return tuple(made[:limit])


def _dated(dialogue: Dialogue, value: dict[str, Any]) -> Dialogue:
    sessions, dates = value.get("sessions"), value.get("session_dates")
    if not isinstance(sessions, list) or not isinstance(dates, list):
        return dialogue
    messages, before = [], None
    flat = [m for t in dialogue.turns for m in t]
    for message, session in zip(flat, sessions, strict=False):
        new = session != before and isinstance(session, int) and 0 <= session < len(dates)
        messages.append(Message(message.role, f"({dates[session]}) {message.text}") if new else message)
        before = session
    return Dialogue(dialogue.id, group([*messages, *flat[len(messages) :]]))
