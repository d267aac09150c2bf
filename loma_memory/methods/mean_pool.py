"""Mean-pool: every slot is the mean of the text's own keys and values over a stretch of it.

The baseline without training that learned tokens have to beat (GistPool, arXiv 2504.08934). Keys are
brought to the slot's position before they are averaged, so that their phases agree.
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor

from loma_memory.attention import rules
from loma_memory.attention.layout import TEXT, TokenLayout
from loma_memory.memory import Segment
from loma_memory.memory.positions import spread
from loma_memory.methods.base import Move
from loma_memory.methods.sizes import Proportional


class MeanPool(Proportional):
    """One slot for `ratio` tokens of text, at least one a message."""

    name: ClassVar[str] = "mean-pool"
    one_pass: ClassVar[bool] = False

    def visible(self, q: TokenLayout, k: TokenLayout) -> Tensor:
        """The sink, the own turn, and what was kept of earlier ones."""
        return rules.sinks(q, k) | rules.own_turn(q, k) | rules.earlier_memory(q, k) | rules.pads(q, k)

    def keeps(self, layout: TokenLayout) -> Tensor:
        """All text, to be condensed."""
        return layout.kind == TEXT

    def condense(self, segment: Segment, move: Move, received: Tensor | None) -> Segment:
        """Means over equal parts of the message."""
        length = segment.slots
        if length == 0:
            return segment
        count = self.slots_for(length)
        start = int(segment.positions[0])
        slots = torch.tensor(spread(start, length, count))
        part = torch.arange(length) * count // length
        keys = move(segment.keys, segment.positions, slots[part])
        weights = torch.nn.functional.one_hot(part, count).to(keys)
        weights = weights / weights.sum(0)
        return replace(
            segment.as_memory(slots),
            keys=torch.einsum("lhsd,sn->lhnd", keys, weights),
            values=torch.einsum("lhsd,sn->lhnd", segment.values, weights),
        )
