"""CCM-concat: a few memory tokens a message, all of them kept (arXiv 2312.03414 §3).

Recurrent: a turn is compressed with earlier memory in view. Departs from the paper in three ways, each
measured better: memory tokens stand spread over the message instead of at its end (enhanced position
layout), their number follows the message's length instead of being fixed, and the sink is on.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from loma_memory.attention import rules
from loma_memory.attention.layout import MEMORY, TokenLayout
from loma_memory.memory.positions import spread
from loma_memory.methods.sizes import Proportional


class CCMConcat(Proportional):
    """Memory tokens after every message, one for `ratio` tokens of text and at least one."""

    name: ClassVar[str] = "ccm-concat"
    needs_adapter: ClassVar[bool] = True

    def memory_positions(self, start: int, length: int) -> list[int]:
        """round(length / ratio) positions, at least one, spread over the message."""
        return spread(start, length, self.slots_for(length))

    def visible(self, q: TokenLayout, k: TokenLayout) -> Tensor:
        """The sink, the own turn, and all memory of earlier turns."""
        return rules.sinks(q, k) | rules.own_turn(q, k) | rules.earlier_memory(q, k) | rules.pads(q, k)

    def keeps(self, layout: TokenLayout) -> Tensor:
        """The memory tokens."""
        return layout.kind == MEMORY
