"""Replace: the memory of the last turn is all there is (ReLMem, arXiv 2609.37587).

The mask of CCM-merge without its averages: a turn sees the memory tokens of the turn before and nothing
older, so each turn must carry over what is worth keeping. Departs from the paper in that memory tokens
stand spread over each message and the sink is on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Self

from torch import Tensor

from loma_memory.attention import rules
from loma_memory.attention.layout import MEMORY, TokenLayout
from loma_memory.memory import MemoryState, Segment
from loma_memory.memory.positions import spread
from loma_memory.methods.base import Method


class Replace(Method):
    """`slots` memory tokens after every message; those of the last turn are kept."""

    name: ClassVar[str] = "replace"
    needs_adapter: ClassVar[bool] = True

    def __init__(self, slots: int = 16) -> None:
        """`slots`: memory tokens a message; an exchange of two messages keeps twice as many."""
        self.slots = slots

    @classmethod
    def create(cls, ratio: float | None) -> Self:
        """The number of slots is fixed; a ratio is ignored, so that methods can be compared at one ratio."""
        return cls()

    def memory_positions(self, start: int, length: int) -> list[int]:
        """`slots` positions spread over the message; a short message has several at one position."""
        return spread(start, length, self.slots)

    def visible(self, q: TokenLayout, k: TokenLayout) -> Tensor:
        """The sink, the own turn, and the memory of the turn before."""
        seen = rules.earlier_memory(q, k) & (k.turn[None, :] == q.turn[:, None] - 1)
        return rules.sinks(q, k) | rules.own_turn(q, k) | seen | rules.pads(q, k)

    def keeps(self, layout: TokenLayout) -> Tensor:
        """The memory tokens."""
        return layout.kind == MEMORY

    def update(self, state: MemoryState, segments: Sequence[Segment]) -> MemoryState:
        """The new turn's segments instead of all others."""
        grown = state.with_turn(segments)
        return grown.keeping(grown.entries[len(state.entries) :])

    def settings(self) -> dict[str, Any]:
        """Name and number of slots."""
        return {"method": self.name, "slots": self.slots}
