"""Gisting-online: every message compressed on its own, the results side by side (CCM's baseline).

Gisting (arXiv 2304.08467) learns to compress one context; used online, each turn is such a context and the
memory of all of them is shown at once (arXiv 2312.03414 §4, non-recurrent `concat`). What it learned from
single contexts has to hold for many: CCM's argument for training on memory that grows. Memory tokens stand
where those of `ccm-concat-apart` do, so that the two differ in training alone.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from loma_memory.attention.layout import MEMORY, TokenLayout
from loma_memory.methods.apart import CCMConcatApart
from loma_memory.methods.base import Method
from loma_memory.methods.ccm_concat import CCMConcat


class GistOnline(CCMConcatApart):
    """Used as CCM-concat compressed apart is, trained on single contexts."""

    name: ClassVar[str] = "gist-online"

    def taught(self) -> Method:
        """Training shows single contexts: every second turn, and the one after it."""
        return _SingleContext(self.ratio)


class _SingleContext(CCMConcat):
    """Turns 2, 4, ... see the memory of the turn before; the others, which are compressed, see none."""

    name: ClassVar[str] = "gist-online"

    def visible(self, q: TokenLayout, k: TokenLayout) -> Tensor:
        """As CCM-concat, less the memory that is out of a pair."""
        pair = (q.turn % 2 == 1)[:, None] & (k.turn[None, :] == q.turn[:, None] - 1)
        own = (k.kind != MEMORY)[None, :] | (k.turn[None, :] == q.turn[:, None])
        return super().visible(q, k) & (own | pair)
