"""Which tokens a slot stands for, by its first layer: all but their order.

A memory token's input is a row of the table and the mean embedding of its part of the text (`engine.inputs`),
and a first layer's keys and values are a norm and a linear map of that input alone. So they say which tokens
the part has, and can be solved for them: from the likeliest tokens on, one after another is exchanged for
the one that brings the slot nearest, until it is the slot that is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from loma_memory.engine.reader import Reader
from loma_memory.engine.restating.first_layer import BATCH, FirstLayer, FirstSlot
from loma_memory.memory import Segment

SEARCHES: tuple[tuple[int | None, int], ...] = ((16, 64), (64, 64), (None, 16), (None, 48))
"""Searches, one where the last found nothing: how many of each place's likely tokens a bag may have, None
for all of the vocabulary, and how many bags are followed at once. Of fewer tokens fewer bags come near."""
TOLERANCE = 0.09
"""How far a slot of n tokens may be from the one kept, times n and by its norm, where no bag comes nearer.
Slots stored whole differ from those of the right bag by rounding alone, slots stored as int8 by 0.007; one
token exchanged makes 0.14 / n and more."""
LINEAR = 0.02
"""How far a slot may be, by its norm, from what the linear map foretells."""


@torch.no_grad()
def bags(
    reader: Reader, segments: Sequence[Segment], likely: Sequence[Tensor]
) -> tuple[list[list[int] | None], float]:
    """The tokens of each slot's part, in no order; None where they are not found.

    With them, how far slots of these tokens are from those kept, by their norm, as a median: what storing
    has cost.

    Args:
        reader: the model and the memory tokens that wrote the slots.
        segments: slots of some messages.
        likely: for every slot of every message in turn, the tokens likely at each place of its part,
            likeliest first, (n, count).
    """
    first = FirstLayer(reader)
    slots = [slot for segment in segments for slot in first.slots(segment)]
    likely = [ids.to(reader.loaded.device) for ids in likely]
    guesses = [ids[:, 0][None] for ids in likely]
    near = [_nearest(first, s, g) for s, g in zip(slots, guesses, strict=True)]
    if all(apart <= first.rounding for _, apart in near):
        return _told(near)
    inputs = torch.cat([first.inputs(s, g) for s, g in zip(slots, guesses, strict=True)])
    line = _Line.of(first, slots, inputs)
    if line is not None:
        each = zip(near, slots, likely, strict=True)
        near = [one if one[1] <= first.rounding else _solve(first, line, s, ids) for one, s, ids in each]
    return _told(near)


Found = tuple[Tensor, float]
"""A bag, (n,), and how far its slot is from the one kept."""


def _told(found: Sequence[Found]) -> tuple[list[list[int] | None], float]:
    right = [apart <= TOLERANCE / len(bag) for bag, apart in found]
    aparts = sorted(apart for (_, apart), near in zip(found, right, strict=True) if near)
    told = [sorted(bag.tolist()) if near else None for (bag, _), near in zip(found, right, strict=True)]
    return told, aparts[len(aparts) // 2] if aparts else 0.0


def _nearest(first: FirstLayer, slot: FirstSlot, bags: Tensor) -> Found:
    """The one of `bags`, (N, n), that comes nearest to a slot, and how far it is."""
    apart = first.apart(slot, bags)
    best = int(apart.argmin())
    return bags[best], float(apart[best])


@dataclass(frozen=True, eq=False)
class _Line:
    """The first layer at position 0 as `input @ map / scale(input)`, beyond what it makes of nothing.

    Attributes:
        map: (hidden, 2 d) float32, keys and values of like weight; zeros where keys are normed once more,
            which no linear map foretells.
        nothing: keys and values of an input of zeros, (2, d).
        weights: what keys and values are multiplied by, (2, 1).
        centred: whether the scale is a deviation, as of LayerNorm, or a root mean square.
        embeds: embeddings of the vocabulary, (V, hidden), centred where the scale is.
        mapped: the same through the map, (V, 2 d).
    """

    map: Tensor
    nothing: Tensor
    weights: Tensor
    centred: bool
    embeds: Tensor
    mapped: Tensor

    @staticmethod
    def of(first: FirstLayer, slots: Sequence[FirstSlot], samples: Tensor) -> _Line | None:
        """The map of a model, or None where its first layer is of another kind.

        Args:
            first: the layer.
            slots: what will be looked for.
            samples: inputs that it is tried with, (N, hidden).
        """
        samples = samples.float()
        hidden = samples.shape[1]
        origin = slots[0].position * 0
        probes = torch.eye(hidden, device=samples.device) * hidden**0.5
        nothing = first(torch.zeros_like(probes[:1]), origin)[0]
        unit, made = first(probes, origin) - nothing, first(samples, origin) - nothing
        tried = []
        for centred in (False, True):
            scale = unit * _scale(probes, centred)[:, None, None] / hidden**0.5
            told = torch.einsum("nh,hkd->nkd", samples, scale) / _scale(samples, centred)[:, None, None]
            wrong = ((told - made).norm(dim=2) / made.norm(dim=2).clamp(min=1e-9)).mean(0)
            tried.append((wrong.tolist(), centred, scale))
        wrong, centred, scale = min(tried, key=lambda t: t[0][1])
        if wrong[1] > LINEAR:
            return None
        right = torch.tensor([[float(w <= LINEAR)] for w in wrong], device=samples.device)
        weights = right / made.norm(dim=2).mean(0)[:, None].clamp(min=1e-9)
        every = torch.arange(first.embed.weight.shape[0], device=samples.device)
        embeds = torch.cat([first.embed(some).float() for some in torch.split(every, BATCH)])
        embeds = embeds - embeds.mean(1, keepdim=True) if centred else embeds
        linear = (scale * weights).flatten(1)
        return _Line(linear, nothing, weights, centred, embeds, embeds @ linear)

    def nearest(self, slot: FirstSlot, bags: Tensor, pool: Tensor | None, count: int) -> Tensor:
        """The `count` bags nearest to a slot by the map, of those that have one token of `pool` instead."""
        n = bags.shape[1]
        row = slot.row.float() - slot.row.float().mean() if self.centred else slot.row.float()
        mine = self.embeds[bags]
        rest = (n * row + mine.sum(1))[:, None] - mine  # without each of its tokens
        rest = rest.flatten(0, 1)  # (bags n, hidden)
        mapped = rest @ self.map
        target = ((slot.unmoved - self.nothing) * self.weights).flatten()
        embeds, into = (self.embeds, self.mapped) if pool is None else (self.embeds[pool], self.mapped[pool])
        # All lengths and products follow from those of the parts: no input has to be made.
        size = (_lengths(rest, embeds) / rest.shape[1]).clamp(min=1e-18)
        along = (mapped @ target)[:, None] + (into @ target)[None]
        far = (_lengths(mapped, into) / size - 2 * along / size.sqrt()).flatten()
        best = far.topk(min(2 * count, len(far)), largest=False).indices  # one bag is there several times
        which, token = best // len(embeds), best % len(embeds)
        made = bags[which // n].clone()
        made[torch.arange(len(made), device=made.device), which % n] = token if pool is None else pool[token]
        once = dict.fromkeys(map(tuple, made.sort(dim=1).values.tolist()))
        return torch.tensor(list(once)[:count], device=bags.device)


def _scale(inputs: Tensor, centred: bool) -> Tensor:
    if centred:
        inputs = inputs - inputs.mean(1, keepdim=True)
    return inputs.pow(2).mean(1).sqrt()


def _lengths(a: Tensor, b: Tensor) -> Tensor:
    """Squared lengths of all sums of a row of `a` and one of `b`."""
    return a.pow(2).sum(1)[:, None] + 2 * a @ b.T + b.pow(2).sum(1)[None]


def _solve(first: FirstLayer, line: _Line, slot: FirstSlot, likely: Tensor) -> Found:
    """The bag that comes nearest to a slot."""
    guess = likely[:, 0][None]
    for each, beams in SEARCHES:
        pool = None if each is None else torch.unique(likely[:, :each])
        bags, found = guess, _nearest(first, slot, guess)
        for _ in range(len(likely) + 2):
            bags = line.nearest(slot, bags, pool, beams)
            best = _nearest(first, slot, bags)
            near = min(found[1], best[1]) <= TOLERANCE / len(likely)
            if best[1] >= found[1] and near:  # it stays where it is
                break
            found = min(found, best, key=lambda f: f[1])
            if found[1] <= first.rounding:
                break
        if found[1] <= TOLERANCE / len(likely):
            break
    return found
