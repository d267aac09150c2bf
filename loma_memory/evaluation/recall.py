"""What a user sees: is a fact told some turns ago still known?

A fact is planted in the first turn of a real dialogue, other turns follow, and it is asked for in plain
words; neither its value nor the wordings were trained on. Rows: full context, no memory, memory, and
another session's memory, which shows what answers owe to memory and not to its mere presence.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from loma_memory.data import Dialogue, Message
from loma_memory.engine.reader import Reader
from loma_memory.errors import DataError
from loma_memory.evaluation import facts
from loma_memory.evaluation.asking import answer, asked, likelihoods
from loma_memory.evaluation.walk import Step, walk
from loma_memory.memory import MemoryState
from loma_memory.methods import method


def evaluate(
    reader: Reader,
    dialogues: Sequence[Dialogue],
    *,
    turns: int = 10,
    told: int = 1,
    limit: int = 100,
    batch: int = 20,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Share of right answers with full context, none, memory and swapped memory.

    Args:
        reader: model, method and adapter.
        dialogues: where facts are planted; those with fewer exchanges than `turns` are joined.
        turns: other turns between telling and asking.
        told: facts of different kinds told in one sentence; one of them is asked for.
        limit: questions asked.
        batch: conversations read together.
        seed: draws dialogues, facts and wordings.
        progress: told how many conversations are done.

    Returns:
        `{"turns", "told", "questions", "generated": {full, none, memory, swapped}, "ranked": {...},
        "mixed_up": {...}, ...}`; ranked is the share of cases in which the value is the likeliest of four,
        mixed_up that of answers that are wrong and name another of the facts told with it.

    Raises:
        DataError: no dialogue at all.
    """
    began = time.perf_counter()
    if not dialogues:
        raise DataError("recall needs at least one dialogue to plant facts in")
    rng = random.Random(seed)
    cases = [_case(dialogues, turns, told, rng) for _ in range(limit)]
    form = reader.loaded.format
    conversations = [[[form.message_ids(m.role, m.text) for m in t] for t in c.turns] for c in cases]
    readers = {
        "full": Reader(reader.loaded, method("full")),
        "none": Reader(reader.loaded, method("none")),
        "memory": reader,
    }

    def visit(step: Step) -> None:
        pass

    final = walk(readers, conversations, visit, batch=batch, progress=progress)
    probes = [c.probe for c in cases]
    readers["swapped"] = reader
    final["swapped"] = [final["memory"][_other(i, probes)] for i in range(limit)]
    answers = {
        name: answer(r, final[name], [p.question for p in probes], batch) for name, r in readers.items()
    }
    ranked = {name: _ranked(r, final[name], probes, batch) for name, r in readers.items()}
    right = {
        name: sum(correct(a, probe) for a, probe in zip(said, probes, strict=True)) / limit
        for name, said in answers.items()
    }
    mixed = {
        name: sum(mixed_up(a, c.probe, c.beside) for a, c in zip(said, cases, strict=True)) / limit
        for name, said in answers.items()
    }
    return {
        "method": reader.method.name,
        "ratio": reader.method.settings().get("ratio"),
        "turns": turns,
        "told": told,
        "questions": limit,
        "generated": {name: round(share, 4) for name, share in right.items()},
        "ranked": {name: round(share, 4) for name, share in ranked.items()},
        "mixed_up": {name: round(share, 4) for name, share in mixed.items()},
        "examples": [
            {
                "statement": c.said,
                "question": c.probe.question,
                "value": c.probe.value,
                **{name: answers[name][i] for name in readers},
            }
            for i, c in enumerate(cases[:20])
        ],
        "wrong_from_memory": [
            {"value": probe.value, "question": probe.question, "memory": a}
            for a, probe in zip(answers["memory"], probes, strict=True)
            if not correct(a, probe)
        ],
        "slots": round(sum(s.slots for s in final["memory"]) / limit, 1),
        "seconds": round(time.perf_counter() - began, 1),
    }


def correct(answer: str, probe: facts.Probe) -> bool:
    """Whether an answer names the value and none of the other options."""
    others = [o for o in probe.options if o != probe.value and not _names(probe.value, o)]
    return _names(answer, probe.value) and not any(_names(answer, o) for o in others)


def mixed_up(answer: str, probe: facts.Probe, beside: Sequence[facts.Probe]) -> bool:
    """Whether an answer is wrong and names another of the facts that were told together."""
    return not correct(answer, probe) and any(_names(answer, other.value) for other in beside)


def _names(text: str, value: str) -> bool:
    """Whether a text holds a value as whole words: "Canada" does not name Ada."""
    return re.search(rf"(?<!\w){re.escape(value)}(?!\w)", text, re.IGNORECASE) is not None


def _other(i: int, probes: Sequence[facts.Probe]) -> int:
    """The next session that was told something else; the same one where there is none."""
    count = len(probes)
    return next((j % count for j in range(i + 1, i + count) if probes[j % count].value != probes[i].value), i)


def _ranked(
    reader: Reader, states: Sequence[MemoryState], probes: Sequence[facts.Probe], batch: int
) -> float:
    form = reader.loaded.format
    turns = [asked(reader, p.question) for p in probes]
    options = [[form.plain(o[0].upper() + o[1:]) for o in p.options] for p in probes]
    found = likelihoods(reader, states, turns, options, batch)
    best = [p.options[scores.index(max(scores))] for p, scores in zip(probes, found, strict=True)]
    return sum(b == p.value for b, p in zip(best, probes, strict=True)) / len(probes)


@dataclass(frozen=True)
class _Case:
    """A conversation, what was said in its first turn, the fact that is asked for, and those told with it."""

    turns: list[tuple[Message, ...]]
    said: str
    probe: facts.Probe
    beside: list[facts.Probe]


def _case(dialogues: Sequence[Dialogue], turns: int, told: int, rng: random.Random) -> _Case:
    """A conversation with facts in its first turn and `turns` others after it."""
    probe = facts.draw(rng)
    others: list[tuple[Message, ...]] = []
    while len(others) < turns + 1:
        others.extend(rng.choice(dialogues).turns)
    beside = facts.draw_others(rng, probe, told - 1)
    said = probe.statement
    if beside:
        said = facts.together(rng.sample([probe, *beside], told))
    first = others[0]
    user = Message("user", f"{first[0].text} {said}")
    return _Case([(user, *first[1:]), *others[1 : turns + 1]], said, probe, beside)
