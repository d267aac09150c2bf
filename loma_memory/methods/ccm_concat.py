"""CCM-concat: a few memory tokens a message, all of them kept (arXiv 2312.03414 §3).

Recurrent: a turn is compressed with earlier memory in view. Departs from the paper in three ways, each
measured better: memory tokens stand spread over the message instead of at its end (enhanced position
layout), their number and places follow what the message's tokens weigh, so that rare words and numbers get
more of them (engine/pieces.py), instead of being fixed, and the sink is on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from torch import Tensor

from loma_memory.attention import rules
from loma_memory.attention.layout import MEMORY, TokenLayout
from loma_memory.memory.positions import spread_by_weight
from loma_memory.methods.sizes import Proportional


class CCMConcat(Proportional):
    """Memory tokens after every message, one for a weight of `ratio` tokens of text and at least one."""

    name: ClassVar[str] = "ccm-concat"
    needs_adapter: ClassVar[bool] = True
    weighs: ClassVar[bool] = True

    def memory_positions(self, start: int, weights: Sequence[float]) -> list[int]:
        """round(weight / ratio) positions, at least one, each amid an equal share of the weight."""
        return spread_by_weight(start, weights, min(len(weights), self.slots_for(sum(weights))))

    def settings(self) -> dict[str, Any]:
        """Name, ratio, and how memory tokens are placed."""
        return {**super().settings(), "placed": "by weight" if self.weighs else "evenly"}

    def visible(self, q: TokenLayout, k: TokenLayout) -> Tensor:
        """The sink, the own turn, and all memory of earlier turns."""
        return rules.sinks(q, k) | rules.own_turn(q, k) | rules.earlier_memory(q, k) | rules.pads(q, k)

    def keeps(self, layout: TokenLayout) -> Tensor:
        """The memory tokens."""
        return layout.kind == MEMORY
