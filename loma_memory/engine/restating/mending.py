"""Restating that checks itself: slots are a function of the text, so the right text gives the same slots.

The first layer of each slot is solved for its tokens; they are put in the order that restating finds
likeliest, or, where it is unsure, in one that the model would write, and read again. Slots that come out
otherwise show where the text is wrong (analysis by synthesis). There, the next likely orders are tried until
the slots agree, or tokens where none were found. LoMA (arXiv 2401.09486) has no such step: its `<r>` are
asked once. Nothing is looked at but the slots.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, combinations

import torch
from torch import Tensor

from loma_memory.engine.reader import Reader
from loma_memory.engine.restating.bags import bags
from loma_memory.engine.restating.first_layer import rounding
from loma_memory.engine.restating.orders import orders
from loma_memory.engine.restating.restate import ranked
from loma_memory.engine.restating.spelling import spell
from loma_memory.memory import MemoryState, Segment
from loma_memory.memory.positions import parts

LAYERS = 5
"""Layers that are read again. A memory token's input is a mean, so the first layer tells which tokens its
part has and nothing of their order, which shows from the third layer on. The deeper, the more a slot depends
on all others."""
NEAR = 0.25
"""Slots are looked into that are at least so far, by the farthest: a wrong token moves others' slots, too."""
DEEPER = 1.2
"""Times what storing has cost the first layer is what it has cost the first few: 1.15 at most for int8, where
two neighbours exchanged at 8:1 make 1.25 and more."""
SURE = 0.87
"""Restating is trusted to know the order where of the tokens that it tells at least so many are among those
that their part has. Trained to restate alone it is 0.92 at 8:1, 0.82 on text of another kind, and 0.6 where
other terms were trained as well. Below, asking the model takes less than mending does."""
ROUNDS = 64
"""Times that the text is changed, at most."""
WIDTHS = (24, 96, 384)
"""Orders or tokens tried in a slot's part; more of them where fewer did not help."""
LIKELY = 64
"""Tokens of a place that are ever tried."""
BATCH = 32
"""Texts read together."""

Words = list[list[int]]  # the messages of a turn


@dataclass(frozen=True)
class Mended:
    """A turn restated from its slots.

    Attributes:
        messages: token ids of each message.
        apart: how far its slots, read again, are from those kept, at the slot that is farthest: Euclidean
            distance by the norm, mean of keys and values of the first layers.
        agrees: whether that is no more than rounding, or than what storing the slots has cost (int8): then
            the text is what was read.
    """

    messages: Words
    apart: float
    agrees: bool


@torch.no_grad()
def mend(reader: Reader, before: MemoryState, segments: Sequence[Segment]) -> Mended:
    """The messages of one turn restated from their slots, read again, and mended where the slots differ.

    Args:
        reader: a model with a method and an adapter that restate.
        before: memory as it was before the turn, which the slots depend on as well.
        segments: slots of the turn's messages.

    Raises:
        UsageError: the method cannot restate.
    """
    likely = ranked(reader, segments, LIKELY)
    check = _Check(reader, before, segments)
    known, stored = bags(reader, segments, [likely[m][0][places] for m, places in check.parts])
    text = _likeliest(likely, check.parts, known)
    apart = check([text])[0]
    exact = rounding(reader.loaded.dtype)
    same = max(exact, DEEPER * stored)
    if float(apart.max()) > same and _sure(likely, check.parts, known) < SURE:
        texts = [text, *_spelled(reader, likely, check.parts, known)]
        found = check(texts)
        best = int(found.mean(1).argmin())
        text, apart = texts[best], found[best]
    width: Counter[int] = Counter()  # of the slots that were tried alone
    together = True
    for _ in range(ROUNDS):
        floor = max(same, NEAR * float(apart.max()))
        wrong = [s for s in range(len(apart)) if apart[s] > floor and width[s] < len(WIDTHS)]
        if not wrong:
            break
        if not together:
            wrong = [max(wrong, key=lambda s: (-width[s], float(apart[s])))]
        tries = {s: _tries(text, likely, check.parts[s], known[s], WIDTHS[width[s]]) for s in wrong}
        found = check([_changed(text, tries, n) for n in range(max(map(len, tries.values())))])
        better = {}
        for slot, mine in tries.items():
            # Of a try among others its own slot tells most; alone, all slots do.
            far = found[: len(mine), slot] if together else found[: len(mine)].mean(1)
            n = int(far.argmin())
            if not together or float(far[n]) < float(apart[slot]) - exact / 3:
                better[slot] = [mine[n]]
        # Slots were tried at once but depend on one another a little, so each change alone is asked, too.
        made = [_changed(text, some, 0) for some in (better, *({s: t} for s, t in better.items()))]
        now = check(made)
        best = int(now.mean(1).argmin())
        if float(now[best].mean()) < float(apart.mean()) - exact / 3 / len(apart):
            text, apart, together = made[best], now[best], True
            width.clear()
        elif together:
            together = False
        else:
            width[wrong[0]] += 1
    farthest = float(apart.max())
    return Mended(text, farthest, farthest <= same)


Place = tuple[int, list[int]]
"""The part of a message that a slot stands for: number of the message, and its tokens' places there."""
Try = list[tuple[int, int, int]]
"""Changes to a text: number of a message, place, token."""
Ranks = tuple[Tensor, Tensor]
"""Token ids and their logits, (places, LIKELY) each."""


def _likeliest(likely: Sequence[Ranks], of: Sequence[Place], known: Sequence[list[int] | None]) -> Words:
    """The likeliest text that has the known tokens in their parts."""
    text: Words = [ids[:, 0].tolist() for ids, _ in likely]
    for (message, places), bag in zip(of, known, strict=True):
        if bag is not None:
            order = orders(bag, _at(likely[message], places), 1)[0]
            text[message][places[0] : places[-1] + 1] = order
    return text


def _sure(likely: Sequence[Ranks], of: Sequence[Place], known: Sequence[list[int] | None]) -> float:
    """Share of the tokens told likeliest that their part is known to have: none of a part not solved."""
    right = 0
    for (message, places), bag in zip(of, known, strict=True):
        told = Counter(likely[message][0][places, 0].tolist())
        right += (told & Counter(bag)).total()
    return right / sum(len(places) for _, places in of)


def _spelled(
    reader: Reader,
    likely: Sequence[Ranks],
    of: Sequence[Place],
    known: Sequence[list[int] | None],
) -> list[Words]:
    """Texts that the model would write of the known tokens."""
    ends = list(accumulate(len(ids) for ids, _ in likely))
    of_parts = [(_at(likely[m], places), bag) for (m, places), bag in zip(of, known, strict=True)]
    return [
        [flat[end - len(ids) : end] for end, (ids, _) in zip(ends, likely, strict=True)]
        for flat in spell(reader, of_parts)
    ]


def _tries(text: Words, likely: Sequence[Ranks], part: Place, bag: list[int] | None, width: int) -> list[Try]:
    """What to try in one part: two places' tokens exchanged, and likely orders of the tokens that it has.

    Where these are not known, tokens nearly as likely as those there.
    """
    message, places = part
    now = [text[message][p] for p in places]
    scores = _at(likely[message], places)
    there = list(zip(places, now, strict=True))
    if bag is not None:
        tries = [
            [(message, p, t) for p, t in zip(places, order, strict=True)]
            for order in orders(bag, scores, width)
            if order != now
        ]
    else:
        others = [
            (score - max(of.values()), place, other)
            for (place, token), of in zip(there, scores, strict=True)
            for other, score in of.items()
            if other != token
        ]
        tries = [[(message, p, token)] for _, p, token in sorted(others, reverse=True)[:width]]
    pairs = combinations(there, 2)
    return tries + [[(message, p, b), (message, q, a)] for (p, a), (q, b) in pairs if a != b] or [[]]


def _at(ranks: Ranks, places: Sequence[int]) -> list[dict[int, float]]:
    """Logits of the likely tokens at some places of a message."""
    ids, scores = ranks
    return [dict(zip(ids[p].tolist(), scores[p].tolist(), strict=True)) for p in places]


def _changed(text: Words, tries: dict[int, list[Try]], n: int) -> Words:
    """The text with the n-th change of every slot that has so many."""
    made = [list(message) for message in text]
    for mine in tries.values():
        for message, place, token in mine[n] if n < len(mine) else ():
            made[message][place] = token
    return made


class _Check:
    """Reads texts of a turn as far as `LAYERS`, and tells how far their slots are from those kept."""

    def __init__(self, reader: Reader, before: MemoryState, segments: Sequence[Segment]) -> None:
        self.reader, self.before = reader.first_layers(LAYERS), _cut(before)
        self.keys = [s.keys[:LAYERS].float() for s in segments]
        self.values = [s.values[:LAYERS].float() for s in segments]
        self.parts: list[Place] = []
        for message, segment in enumerate(segments):
            of = parts([1.0] * segment.text_tokens, segment.slots)
            self.parts += [(message, [i for i, p in enumerate(of) if p == j]) for j in range(segment.slots)]

    def __call__(self, texts: Sequence[Words]) -> Tensor:
        """Distances of all slots of all messages, (texts, slots)."""
        rows = []
        for start in range(0, len(texts), BATCH):
            some = texts[start : start + BATCH]
            done = self.reader.run([self.before] * len(some), some, write=True)
            for made in done.segments:
                apart = [
                    (_apart(m.keys, k) + _apart(m.values, v)) / 2
                    for m, k, v in zip(made, self.keys, self.values, strict=True)
                ]
                rows.append(torch.cat(apart))
        return torch.stack(rows)


def _apart(made: Tensor, kept: Tensor) -> Tensor:
    """Mean over layers of the distance by the norm, (slots,), of (L, Hkv, slots, D)."""
    by_layer = (made.float() - kept).norm(dim=(1, 3)) / kept.norm(dim=(1, 3)).clamp(min=1e-9)
    mean: Tensor = by_layer.mean(0)
    return mean.cpu()


def _cut(state: MemoryState) -> MemoryState:
    """The same memory, of the first layers alone."""
    return state.keeping([e.of_layers(LAYERS) for e in state.entries])
