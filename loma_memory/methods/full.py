"""Full context: every key and value is kept. The upper bound, and the teacher in training."""

from __future__ import annotations

from typing import ClassVar, Self

from torch import Tensor

from loma_memory.attention import rules
from loma_memory.attention.layout import TokenLayout
from loma_memory.methods.base import Method


class Full(Method):
    """Keeps all text: the plain causal model, turn by turn."""

    name: ClassVar[str] = "full"

    @classmethod
    def create(cls, ratio: float | None) -> Self:
        """A ratio has no meaning here and is ignored, so that methods can be compared at one ratio."""
        return cls()

    def visible(self, q: TokenLayout, k: TokenLayout) -> Tensor:
        """The sink and all earlier text."""
        return rules.sinks(q, k) | rules.own_turn(q, k) | rules.earlier_text(q, k) | rules.pads(q, k)
