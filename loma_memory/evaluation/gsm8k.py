"""School mathematics solved with the reading zone compressed on the way (GSM8K; LoMA's second table)."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from typing import Any

from loma_memory.data import Dialogue
from loma_memory.engine.longform import write_on
from loma_memory.engine.reader import Reader
from loma_memory.engine.sampling import Sampling
from loma_memory.errors import DataError
from loma_memory.evaluation.asking import asked
from loma_memory.memory import MemoryState


def evaluate(
    reader: Reader,
    problems: Sequence[Dialogue],
    *,
    zone: int = 64,
    max_tokens: int = 200,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Share of right results with everything in view, and with all but the last zone in memory.

    Args:
        reader: model, method and adapter.
        problems: a question and its worked answer each; the result is the last number.
        zone: tokens after which what is behind is compressed, the question included.
        max_tokens: length of a solution.
        progress: told how many problems are done.

    Returns:
        `{"accuracy": {"full", "memory"}, "compressions", "problems", ...}`; compressions is a mean.

    Raises:
        DataError: a problem whose answer has no number.
    """
    began = time.perf_counter()
    right = {"full": 0, "memory": 0}
    compressions = 0
    for done, problem in enumerate(problems, 1):
        wanted = last_number(problem.turns[0][-1].text)
        if wanted is None:
            raise DataError(
                f"{problem.id}: the answer must hold a number, got {problem.turns[0][-1].text!r:.60}"
            )
        prompt = [i for m in asked(reader, problem.turns[0][0].text) for i in m]
        for name, size in (("full", len(prompt) + max_tokens), ("memory", zone)):
            said, kept = [], MemoryState()
            written = write_on(reader, MemoryState(), prompt, Sampling(), max_tokens=max_tokens, zone=size)
            for token, state in written:
                said.append(token)
                kept = state
            text = str(reader.loaded.format.tokenizer.decode(said, skip_special_tokens=True))
            right[name] += last_number(text) == wanted
            compressions += kept.turns
        if progress is not None:
            progress(done, len(problems))
    count = len(problems)
    return {
        "method": reader.method.name,
        "ratio": reader.method.settings().get("ratio"),
        "zone": zone,
        "problems": count,
        "accuracy": {name: round(n / count, 4) for name, n in right.items()},
        "compressions": round(compressions / count, 2),
        "seconds": round(time.perf_counter() - began, 1),
    }


def last_number(text: str) -> float | None:
    """The last number of a text, thousands separated by commas or not."""
    found = re.findall(r"-?\d[\d,]*(?:\.\d+)?", text)
    return float(found[-1].replace(",", "")) if found else None
