"""CCM streaming: text without end in a cache of fixed size (arXiv 2312.03414 §4.2, appendix).

The memory of CCM-concat as a queue: beyond `most` slots the oldest leave. While a text fits the model's range
slots keep their true positions, beyond it they are numbered by their place in the cache; the paper does the
latter from the start. What is compressed at once is a turn, or a zone of `eval stream`, instead of the oldest
64 tokens of a window.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from loma_memory.attention.layout import MEMORY, TokenLayout
from loma_memory.memory import Entry, MemoryState, Segment
from loma_memory.methods.ccm_concat import CCMConcat


def newest(state: MemoryState, most: int) -> MemoryState:
    """The state with its `most` newest slots only."""
    room, kept = most, list[Entry]()
    for entry in reversed(state.entries):
        if room <= 0:
            break
        tail = entry.segment.tail(room)
        kept.append(Entry(entry.turn, entry.message, tail))
        room -= tail.slots
    return state.keeping(kept[::-1])


class CCMStream(CCMConcat):
    """The `most` newest slots of CCM-concat; it uses an adapter of that method."""

    name: ClassVar[str] = "ccm-stream"
    adapter_of: ClassVar[str | None] = CCMConcat.name

    def __init__(self, ratio: float = 8.0, most: int = 96) -> None:
        """`ratio`: tokens of text per slot; `most`: slots kept.

        Raises:
            UsageError: a ratio below 1.
        """
        super().__init__(ratio)
        self.most = most

    def visible(self, q: TokenLayout, k: TokenLayout) -> Tensor:
        """As CCM-concat, of earlier turns' memory only the newest slots."""
        memory = (k.kind == MEMORY).to(torch.int64)
        place = memory.cumsum(0)  # from 1, in the order of the text
        earlier = k.turn[None, :] < q.turn[:, None]
        before = (memory[None, :] * earlier).sum(1)
        old = (k.kind == MEMORY)[None, :] & earlier & (place[None, :] <= before[:, None] - self.most)
        return super().visible(q, k) & ~old

    def update(self, state: MemoryState, segments: Sequence[Segment]) -> MemoryState:
        """The new turn's slots behind the others; the oldest leave."""
        return newest(state.with_turn(segments), self.most)

    def settings(self) -> dict[str, Any]:
        """Name, ratio and number of slots."""
        return {**super().settings(), "most": self.most}
