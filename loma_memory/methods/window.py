"""Sliding window with sinks: the first tokens and the most recent text (StreamingLLM, arXiv 2309.17453).

Departs from the paper in that kept text keeps its true positions while the session fits the model's
range, and eviction happens when a turn ends, so a turn always sees itself whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Self

from torch import Tensor

from loma_memory.attention import rules
from loma_memory.attention.layout import TokenLayout
from loma_memory.memory import MemoryState, Segment
from loma_memory.methods.base import Method


class Window(Method):
    """Keeps the last `size` tokens of text."""

    name: ClassVar[str] = "window"

    def __init__(self, size: int = 128) -> None:
        """`size`: tokens of text that stay visible from earlier turns."""
        self.size = size

    @classmethod
    def create(cls, ratio: float | None) -> Self:
        """The size is fixed; a ratio is ignored, so that methods can be compared at one ratio."""
        return cls()

    def visible(self, q: TokenLayout, k: TokenLayout) -> Tensor:
        """The sink, the own turn, and earlier text less than `size` tokens back."""
        recent = rules.earlier_text(q, k, within=self.size)
        return rules.sinks(q, k) | rules.own_turn(q, k) | recent | rules.pads(q, k)

    def update(self, state: MemoryState, segments: Sequence[Segment]) -> MemoryState:
        """Append the turn, then drop what the next token could not see any more."""
        grown = state.with_turn(segments)
        room, kept = self.size - 1, []
        for entry in reversed(grown.entries):
            if room <= 0:
                break
            tail = entry.segment.tail(room)
            kept.append(type(entry)(entry.turn, entry.message, tail))
            room -= tail.slots
        return grown.keeping(kept[::-1])

    def settings(self) -> dict[str, Any]:
        """Name and size."""
        return {"method": self.name, "size": self.size}
