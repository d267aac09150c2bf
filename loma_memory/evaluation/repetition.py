"""Is memory lossless? Segments of text are compressed, and restated from their slots alone (LoMA §4).

A segment is read as one message; what is restated is compared with it token by token.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from typing import Any

from loma_memory.data import Dialogue
from loma_memory.engine.reader import Reader
from loma_memory.engine.restating.mending import mend
from loma_memory.engine.restating.restate import restate
from loma_memory.errors import DataError, UsageError
from loma_memory.evaluation.walk import stored
from loma_memory.memory import MemoryState
from loma_memory.memory import codec as codecs


def evaluate(
    reader: Reader,
    documents: Sequence[Dialogue],
    *,
    segment: int = 200,
    limit: int | None = None,
    batch: int = 16,
    seed: int = 0,
    codec: str = codecs.DEFAULT_CODEC,
    check: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Share of tokens, and of whole segments, that come back.

    Args:
        reader: a model with a method and an adapter that restate.
        documents: texts; their messages are joined by line ends and cut into segments.
        segment: tokens of a segment; what is left over at the end is not used.
        limit: segments, drawn at random.
        batch: segments read together.
        seed: draws the segments.
        codec: how slots are stored before they are read again.
        check: read what was restated again, and mend it where its slots differ.
        progress: told how many segments are done.

    Returns:
        `{"token_accuracy", "segment_accuracy", "edit_distance", "mean_ratio", ...}`; the edit distance is a
        mean over segments, in tokens. With `check` also "agree", the share of segments whose slots agree in
        the end, and "agree_wrong", how many of those are wrong all the same.

    Raises:
        DataError: the texts hold no whole segment.
        UsageError: a segment without tokens, or a method that cannot restate.
    """
    if segment < 1:
        raise UsageError(f"a segment must have at least 1 token, got {segment}")
    began = time.perf_counter()
    pieces = _segments(reader, documents, segment)
    if not pieces:
        raise DataError(f"the files hold less text than one segment of {segment} tokens")
    random.Random(seed).shuffle(pieces)
    pieces = pieces[:limit]
    right = whole = slots = agree = agree_wrong = 0
    distances = []
    for start in range(0, len(pieces), batch):
        some = pieces[start : start + batch]
        _, states = reader.remember([MemoryState()] * len(some), [[p] for p in some])
        kept = [stored(s.segments[0], codec) for s in states]
        slots += sum(s.slots for s in kept)
        if check:
            mended = [mend(reader, MemoryState(), [k]) for k in kept]
            texts = [m.messages[0] for m in mended]
            agree += sum(m.agrees for m in mended)
            agree_wrong += sum(m.agrees and t != w for m, t, w in zip(mended, texts, some, strict=True))
        else:
            texts = restate(reader, kept)
        for told, wanted in zip(texts, some, strict=True):
            right += sum(a == b for a, b in zip(told, wanted, strict=True))
            whole += told == wanted
            distances.append(edit_distance(told, wanted))
        if progress:
            progress(min(start + batch, len(pieces)), len(pieces))
    tokens = segment * len(pieces)
    return {
        "method": reader.method.name,
        "ratio": reader.method.settings().get("ratio"),
        "segment": segment,
        "segments": len(pieces),
        "tokens": tokens,
        "token_accuracy": round(right / tokens, 5),
        "segment_accuracy": round(whole / len(pieces), 4),
        "edit_distance": round(sum(distances) / len(pieces), 3),
        "mean_ratio": round(tokens / slots, 3),
        **({"agree": round(agree / len(pieces), 4), "agree_wrong": agree_wrong} if check else {}),
        "seconds": round(time.perf_counter() - began, 1),
    }


def edit_distance(a: Sequence[int], b: Sequence[int]) -> int:
    """Insertions, deletions and replacements that make one sequence of the other (Levenshtein)."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        before, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (x != y))
    return row[-1]


def _segments(reader: Reader, documents: Sequence[Dialogue], size: int) -> list[list[int]]:
    pieces = []
    for document in documents:
        text = "\n".join(m.text for t in document.turns for m in t)
        ids = reader.loaded.format.plain(text + "\n")
        pieces.append(ids)
    flat = [i for ids in pieces for i in ids]
    return [flat[i : i + size] for i in range(0, len(flat) - size + 1, size)]
