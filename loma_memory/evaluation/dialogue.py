"""How much of what full context is worth memory gives back, on real dialogues.

Over the words of turns 2 and later: next-token loss with full context, with none (the own turn and the
sink) and with memory, and the KL from full context to each. What counts as words is a message's text and
the token that ends it; role markers are not predicted.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from loma_memory.data import Dialogue
from loma_memory.engine.decode import logits
from loma_memory.engine.reader import Reader
from loma_memory.errors import DataError
from loma_memory.evaluation.walk import Step, walk, within
from loma_memory.methods import method

_CHUNK = 512
"""Positions whose whole output distribution is held at once."""

Baselines = dict[tuple[int, tuple[int, ...]], dict[str, Tensor]]
"""What `full` and `none` read, hidden states by turn and rows, so that several methods can share it."""

_FIELDS = ("tokens", "full", "none", "memory", "kl_none", "kl_memory")


@dataclass(frozen=True)
class _Text:
    turns: list[list[list[int]]]
    words: list[list[bool]]
    assistant: list[list[bool]]


def evaluate(
    reader: Reader,
    dialogues: Sequence[Dialogue],
    *,
    batch: int = 16,
    seed: int = 0,
    codec: str = "raw",
    baselines: Baselines | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """The table of one method on some dialogues.

    Args:
        reader: model, method and adapter.
        dialogues: conversations; longer ones than the model's range are cut at a turn, and counted.
        batch: conversations read together.
        seed: of the bootstrap.
        codec: how segments are stored between turns.
        baselines: filled at the first call, used at further ones on the same model, dialogues and batch.
        progress: told how many conversations are done.

    Returns:
        The object described in docs/evaluation.md.

    Raises:
        DataError: no dialogue has a second turn.
    """
    began = time.perf_counter()
    room = reader.loaded.limit - reader.sink
    texts = [_text(reader, d) for d in dialogues]
    cut = [_Text(list(within(t.turns, room)), t.words, t.assistant) for t in texts]  # type: ignore[arg-type]
    usable = [c for c in cut if len(c.turns) > 1]
    if not usable:
        raise DataError("no conversation has a second turn within the model's range")
    shared: Baselines = {} if baselines is None else baselines
    readers = {"memory": reader}
    if not shared:
        readers |= {name: Reader(reader.loaded, method(name)) for name in ("full", "none")}
    longest = max(len(c.turns) for c in usable)
    sums = np.zeros((len(usable), longest, 2, len(_FIELDS)))

    def visit(step: Step) -> None:
        if step.turn == 0:
            return
        key = (step.turn, tuple(step.rows))
        hidden = {name: done.hidden for name, done in step.passes.items()}
        if "full" in hidden:
            shared[key] = {name: hidden[name] for name in ("full", "none")}
        _score(reader.model, usable, step, hidden | shared[key], sums)

    final = walk(readers, [c.turns for c in usable], visit, batch=batch, codec=codec, progress=progress)
    turns = sum(len(c.turns) for c in usable)
    slots = sum(s.slots for s in final["memory"])
    kept = sum(s.nbytes for s in final["memory"])
    total, assistant = sums.sum((1, 2)), sums[:, :, 1].sum(1)
    settings = reader.method.settings()
    return {
        "method": reader.method.name,
        "ratio": settings.get("ratio"),
        "codec": codec,
        "conversations": len(usable),
        "truncated": sum(len(c.turns) < len(t.turns) for c, t in zip(cut, texts, strict=True)),
        "tokens": int(total[:, 0].sum()),
        "loss": _losses(total),
        "gap_recovered": _gap(total.sum(0)),
        "gap_recovered_ci95": _interval(total, seed),
        "kl_recovered": _kl(total.sum(0)),
        "assistant": {"loss": _losses(assistant), "gap_recovered": _gap(assistant.sum(0))},
        "by_turn": [
            {
                "turn": t + 1,
                "tokens": int(row[0]),
                "loss": _losses(row[None]),
                "gap_recovered": _gap(row),
                "kl_recovered": _kl(row),
            }
            for t, row in enumerate(sums.sum((0, 2)))
            if row[0] > 0
        ],
        "text_tokens_per_slot": _ratio(sum(s.text_tokens for s in final["memory"]), slots),
        "slots_per_turn": round(slots / turns, 3),
        "kv_bytes_per_turn": round(kept / turns, 1),
        "seconds": round(time.perf_counter() - began, 1),
    }


def _text(reader: Reader, dialogue: Dialogue) -> _Text:
    turns, words, assistant = [], [], []
    for turn in dialogue.turns:
        pairs = [reader.loaded.format.targets(m.role, m.text) for m in turn]
        turns.append([ids for ids, _ in pairs])
        words.append([w for _, ws in pairs for w in ws])
        assistant.append(
            [m.role == "assistant" for m, (ids, _) in zip(turn, pairs, strict=True) for _ in ids]
        )
    return _Text(turns, words, assistant)


def _score(
    model: Any,
    texts: Sequence[_Text],
    step: Step,
    hidden: dict[str, Tensor],
    sums: np.ndarray[Any, Any],
) -> None:
    """Add the losses and KLs of one turn of a batch to `sums`."""
    spots, targets, owners, speakers = [], [], [], []
    for b, i in enumerate(step.rows):
        flat = [t for m in texts[i].turns[step.turn] for t in m]
        for column, wanted in enumerate(texts[i].words[step.turn]):
            if wanted and column > 0:
                spots.append((b, column - 1))
                targets.append(flat[column])
                owners.append(i)
                speakers.append(int(texts[i].assistant[step.turn][column]))
    where, target = torch.tensor(spots), torch.tensor(targets)
    for start in range(0, len(spots), _CHUNK):
        some, gold = where[start : start + _CHUNK], target[start : start + _CHUNK, None]
        found = {
            name: torch.log_softmax(logits(model, states[some[:, 0], some[:, 1]]).float(), -1).cpu()
            for name, states in hidden.items()
        }
        teacher = found["full"].exp()
        columns = [torch.ones(len(some))]
        columns += [-found[name].gather(1, gold)[:, 0] for name in ("full", "none", "memory")]
        columns += [(teacher * (found["full"] - found[name])).sum(-1) for name in ("none", "memory")]
        table = torch.stack(columns, -1).double().numpy()
        chunk = slice(start, start + len(some))
        np.add.at(sums, (owners[chunk], step.turn, speakers[chunk]), table)


def _losses(rows: np.ndarray[Any, Any]) -> dict[str, float]:
    total = rows.sum(0)
    return {name: _ratio(float(total[1 + i]), float(total[0])) or 0.0 for i, name in enumerate(_FIELDS[1:4])}


def _ratio(a: float, b: float) -> float | None:
    return round(a / b, 5) if b else None


def _gap(row: np.ndarray[Any, Any]) -> float | None:
    """(none − memory) / (none − full)."""
    return _ratio(float(row[2] - row[3]), float(row[2] - row[1]))


def _kl(row: np.ndarray[Any, Any]) -> float | None:
    """1 − KL(full ‖ memory) / KL(full ‖ none)."""
    return None if row[4] <= 0 else round(1.0 - float(row[5] / row[4]), 5)


def _interval(rows: np.ndarray[Any, Any], seed: int, draws: int = 2000) -> list[float | None]:
    """Bootstrap 95 % interval of the gap over conversations."""
    rng = np.random.default_rng(seed)
    picks = rng.integers(0, len(rows), (draws, len(rows)))
    total = rows[picks].sum(1)
    with np.errstate(divide="ignore", invalid="ignore"):  # where full context gains nothing there is no gap
        gaps = (total[:, 2] - total[:, 3]) / (total[:, 2] - total[:, 1])
    if not np.isfinite(gaps).all():
        return [None, None]
    low, high = np.quantile(gaps, [0.025, 0.975])
    return [round(float(low), 5), round(float(high), 5)]
