"""Text without end at equal keys and values: perplexity of long texts, read zone by zone (CCM Figure 8).

A zone sees itself and some zones before it as text, and of what is older what a method keeps: the oldest zone
of this text is compressed when a new one comes (in CCM's stream, too, the window's oldest tokens are). Every
method gets the same number of keys and values besides the sink: the window so many tokens of text, the others
less text and slots for the rest. The zones before are read again with the next; what is kept is as if they
had stayed in the cache.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from loma_memory.data import Dialogue
from loma_memory.engine.decode import logits
from loma_memory.engine.reader import Reader
from loma_memory.errors import DataError, UsageError
from loma_memory.memory import MemoryState, Segment
from loma_memory.methods import Method, method
from loma_memory.methods.ccm_stream import CCMStream, newest
from loma_memory.methods.heavy_hitter import HeavyHitter
from loma_memory.methods.lococo import LoCoCo
from loma_memory.methods.window import Window


class _Queue(HeavyHitter):
    """Heavy hitters of every zone, the newest `most` of them."""

    def __init__(self, ratio: float, most: int) -> None:
        super().__init__(ratio)
        self.most = most

    def update(self, state: MemoryState, segments: Sequence[Segment]) -> MemoryState:
        return newest(state.with_turn(segments), self.most)


def contestants(kv: int, zone: int, text: int, ratio: float) -> dict[str, Method]:
    """The methods at `kv` keys and values, `text` of them text; `full` and `none` for comparison.

    Raises:
        UsageError: text that is not made of two or more zones, or no room for slots beside it.
    """
    if zone < 2:
        raise UsageError(f"a zone must have at least 2 tokens, got {zone}")
    if text < 2 * zone or text % zone:
        raise UsageError(f"text must be two or more whole zones of {zone} tokens, got {text}")
    slots = kv - text
    if slots < 2:
        raise UsageError(f"kv must be at least 2 more than the {text} tokens that are text, got {kv}")
    return {
        "full": method("full"),
        "none": method("none"),
        "window": Window(kv),
        "heavy-hitter": _Queue(ratio, slots),
        "ccm-stream": CCMStream(ratio, slots),
    }


def evaluate(
    reader: Reader,
    texts: Sequence[Dialogue],
    *,
    kv: int = 160,
    zone: int = 16,
    text: int = 112,
    ratio: float = 8.0,
    tokens: int = 2048,
    names: Sequence[str] = (),
    fused: Reader | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Perplexity of each text with each method.

    Args:
        reader: a model with an adapter of ccm-concat.
        texts: what is read; at most `tokens` tokens of each.
        kv: keys and values in view besides the sink.
        zone: tokens read, and compressed, at once.
        text: keys and values that are text, with the zone that is read; whole zones.
        ratio: tokens of text per slot.
        tokens: of each text.
        names: methods; all by default, LoCoCo where it has convolutions.
        fused: a reader with LoCoCo, its convolutions for as many slots as there is room for.
        progress: told how many texts are done.

    Returns:
        `{"perplexity": {method: over all}, "by_text": [{"id", "tokens", "perplexity"}], ...}`.

    Raises:
        DataError: a text of less than two zones.
        UsageError: text that is not whole zones, no room for slots, an unknown method, or LoCoCo without
            convolutions or with those of another number of slots.
    """
    began = time.perf_counter()
    every = contestants(kv, zone, text, ratio)
    if fused is not None:
        slots = fused.method.settings().get("slots")
        if slots != kv - text:
            raise UsageError(
                f"these convolutions of lococo make a cache of {slots} slots; {kv} keys and values, "
                f"{text} of them text, leave {kv - text}"
            )
        every[fused.method.name] = fused.method
    elif LoCoCo.name in names:
        raise UsageError("lococo needs convolutions trained for it: --trained lococo=FOLDER")
    for name in names:
        if name not in every:
            raise UsageError(f"methods of this table are {', '.join(every)}, got {name!r}")
    chosen = {n: every[n] for n in names or every}
    totals: dict[str, float] = dict.fromkeys(chosen, 0.0)
    rows, count = [], 0
    for done, book in enumerate(texts, 1):
        ids = reader.loaded.format.plain(book.text)[:tokens]
        ids = ids[: len(ids) // zone * zone]
        if len(ids) < 2 * zone:
            raise DataError(
                f"{book.id}: a text must hold at least two zones of {zone} tokens, got {len(ids)}"
            )
        losses = {
            name: _loss(fused if fused and how is fused.method else _with(reader, how), ids, zone, text)
            for name, how in chosen.items()
        }
        scored = len(ids) - zone
        count += scored
        for name, loss in losses.items():
            totals[name] += loss
        figures = {name: round(math.exp(loss / scored), 3) for name, loss in losses.items()}
        rows.append({"id": book.id, "tokens": scored, "perplexity": figures})
        if progress is not None:
            progress(done, len(texts))
    return {
        "kv": kv,
        "zone": zone,
        "text": text,
        "ratio": ratio,
        "texts": len(rows),
        "tokens": count,
        "perplexity": {name: round(math.exp(total / count), 3) for name, total in totals.items()},
        "by_text": rows,
        "seconds": round(time.perf_counter() - began, 1),
    }


def _with(reader: Reader, how: Method) -> Reader:
    """The same model with another method."""
    return Reader(reader.loaded, how, reader.tokens if how.needs_adapter else None)


@torch.no_grad()
def _loss(reader: Reader, ids: Sequence[int], zone: int, text: int) -> float:
    """Sum of losses of all tokens behind the first zone, in nats."""
    state, total, view = MemoryState(), 0.0, list[list[int]]()
    for start in range(0, len(ids), zone):
        now = list(ids[start : start + zone])
        view.append(now)
        full = len(view) * zone == text
        done = reader.run([state], [view], write=full)
        if start:
            last = sum(map(len, view)) - 1
            scores = logits(reader.model, done.hidden[0, last - zone : last]).float()
            wanted = torch.tensor(now, device=scores.device)
            total += float(nn.functional.cross_entropy(scores, wanted, reduction="sum"))
        if full:
            state = reader.method.update(state, done.segments[0][:1])
            view = view[1:]
    return total
