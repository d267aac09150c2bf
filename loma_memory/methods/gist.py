"""Gisting: a prompt compressed once, what is said after it kept as text (arXiv 2304.08467).

The first turn is the prompt: a persona, a document, instructions given to `remember`. It becomes memory
tokens; all later turns stay as they are, so memory grows with the talk. The same mask in one pass is that of
the paper: tokens after the gist see the gist and one another, not the prompt. Departs from the paper as
CCM-concat does from its own, and a gated LoRA learns instead of the whole net. The adapter is that of
gist-online, which is trained on single contexts, as the paper's is.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from loma_memory.attention import rules
from loma_memory.attention.layout import MEMORY, TEXT, TokenLayout
from loma_memory.methods.ccm_concat import CCMConcat


class Gist(CCMConcat):
    """Memory tokens of the first turn, and the text of all others."""

    name: ClassVar[str] = "gist"
    adapter_of: ClassVar[str | None] = "gist-online"

    def visible(self, q: TokenLayout, k: TokenLayout) -> Tensor:
        """The sink, the own turn, the first turn's memory, and later turns' text."""
        own = rules.sinks(q, k) | rules.own_turn(q, k) | rules.pads(q, k)
        return own | (rules.earlier_memory(q, k) | rules.earlier_text(q, k)) & self.keeps(k)[None, :]

    def keeps(self, layout: TokenLayout) -> Tensor:
        """Memory tokens of the first turn, text of the others."""
        first = layout.turn == 0
        return ((layout.kind == MEMORY) & first) | ((layout.kind == TEXT) & ~first)
