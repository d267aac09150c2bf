"""Replace: the memory of the last turn is all there is (ReLMem, arXiv 2609.37587).

The mask of CCM-merge without its averages: a turn sees the memory tokens of the turn before and nothing
older, so each turn must carry over what is worth keeping; readout alignment in training says what that is
(`training/readout.py`). Departs from the paper in that memory tokens stand spread over each message and the
sink is on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor

from loma_memory.attention import rules
from loma_memory.attention.layout import MEMORY, TokenLayout
from loma_memory.memory import MemoryState, Segment
from loma_memory.methods.sizes import Fixed


class Replace(Fixed):
    """`slots` memory tokens after every message; those of the last turn are kept."""

    name: ClassVar[str] = "replace"
    needs_adapter: ClassVar[bool] = True
    aligned: ClassVar[bool] = True

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
