"""Heavy hitters: of every message the tokens that were attended to most (H2O, arXiv 2306.14048).

Each key/value head of each layer keeps its own tokens, as in the paper. Departs from it in that the
budget is a share of each message and attention is that of the message's own turn, summed over the query
heads that share the key: a segment is then a function of its turn, and can be saved.
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


class HeavyHitter(Proportional):
    """One token of text is kept for `ratio`, at least one a message."""

    name: ClassVar[str] = "heavy-hitter"
    one_pass: ClassVar[bool] = False
    needs_attention: ClassVar[bool] = True

    def visible(self, q: TokenLayout, k: TokenLayout) -> Tensor:
        """The sink, the own turn, and what was kept of earlier ones."""
        return rules.sinks(q, k) | rules.own_turn(q, k) | rules.earlier_memory(q, k) | rules.pads(q, k)

    def keeps(self, layout: TokenLayout) -> Tensor:
        """All text, to be condensed."""
        return layout.kind == TEXT

    def condense(self, segment: Segment, move: Move, received: Tensor | None) -> Segment:
        """The most attended tokens of each layer and head, in their order.

        Heads keep different tokens, so a slot has no one position of its own; the places that slots are
        given are spread over the message and serve where the whole memory has to move.
        """
        assert received is not None
        length = segment.slots
        if length == 0:
            return segment
        count = self.slots_for(length)
        kept = received.topk(count, dim=2).indices.sort(dim=2).values  # (L, Hkv, count)
        index = kept[..., None].expand(-1, -1, -1, segment.keys.shape[3])
        slots = torch.tensor(spread(int(segment.positions[0]), length, count))
        return replace(
            segment.as_memory(slots),
            keys=segment.keys.gather(2, index),
            values=segment.values.gather(2, index),
        )
