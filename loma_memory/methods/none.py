"""No memory: a turn sees the sink and itself. The lower bound of every comparison."""

from __future__ import annotations

from typing import ClassVar, Self

import torch
from torch import Tensor

from loma_memory.attention import rules
from loma_memory.attention.layout import TokenLayout
from loma_memory.methods.base import Method


class NoMemory(Method):
    """Forgets every turn when it ends."""

    name: ClassVar[str] = "none"

    @classmethod
    def create(cls, ratio: float | None) -> Self:
        """A ratio has no meaning here and is ignored, so that methods can be compared at one ratio."""
        return cls()

    def visible(self, q: TokenLayout, k: TokenLayout) -> Tensor:
        """The sink and the own turn."""
        return rules.sinks(q, k) | rules.own_turn(q, k) | rules.pads(q, k)

    def keeps(self, layout: TokenLayout) -> Tensor:
        """Nothing."""
        return torch.zeros_like(layout.kind, dtype=torch.bool)
