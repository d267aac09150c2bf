"""LoMA: lossless memory, from which the text itself can be restated (arXiv 2401.09486).

Reading zone, memory zone, repetition zone: every `ratio` tokens of text get one memory token; the memory
tokens of a message see one another; tokens that restate see the memory of their message alone, and training
asks them for every token of it beside the next-token loss. Only training and `restate` run them.

Departs from the paper: the zone is a message instead of a fixed number of tokens; a gated LoRA learns instead
of the whole net; the next-token loss is the KL from full context; the sink, which holds no text, stays in
view; there is not one `<r>` but one for every place in a slot's part of the text, which else rotary positions
alone would tell. The paper's positions are not public: memory token j stands at the end of its part of the
text, a token that restates where the text token stood.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor

from loma_memory.attention import rules
from loma_memory.attention.layout import REPEAT, RETELL, TokenLayout
from loma_memory.memory import Segment
from loma_memory.methods.ccm_concat import CCMConcat

_ROUNDING = 1e-9


class LoMA(CCMConcat):
    """One memory token for `ratio` tokens of text, 4 by default, trained to restate them."""

    name: ClassVar[str] = "loma"
    weighs: ClassVar[bool] = False
    restates: ClassVar[int | None] = REPEAT

    def __init__(self, ratio: float = 4.0) -> None:
        """`ratio`: tokens of text per slot.

        Raises:
            UsageError: a ratio below 1.
        """
        super().__init__(ratio)

    def slots_for(self, length: float) -> int:
        """One for every part of `ratio` tokens, the last one included: none of the text goes without."""
        return max(1, math.ceil(length / self.ratio - _ROUNDING))

    def memory_positions(self, start: int, weights: Sequence[float]) -> list[int]:
        """The end of each part of the text."""
        length = len(weights)
        inner = range(1, self.slots_for(length))
        return [start + int(j * self.ratio + _ROUNDING) - 1 for j in inner] + [start + length - 1]

    def repeat_positions(self, segment: Segment) -> list[int]:
        """Those of the text; the last memory token stands at its last token."""
        end = int(segment.positions[-1]) + 1
        return list(range(end - segment.text_tokens, end))

    def visible(self, q: TokenLayout, k: TokenLayout) -> Tensor:
        """As CCM-concat, memory zones in both directions, and the repetition zones."""
        return super().visible(q, k) | rules.whole_zone(q, k) | rules.repeats(q, k)


class LoMARetell(LoMA):
    """LoMA whose restating tokens are told the token before them: it restates one token after another.

    Slots are those of LoMA and so is the adapter, which learns both ways of restating.
    """

    name: ClassVar[str] = "loma-retell"
    adapter_of: ClassVar[str | None] = LoMA.name
    restates: ClassVar[int | None] = RETELL
