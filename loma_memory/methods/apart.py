"""Non-recurrent CCM: every turn is compressed on its own (arXiv 2312.03414, its code's `concat` and `merge`).

Memory tokens do not attend to earlier memory, so a turn is read twice: with memory in view, to go on with the
conversation, and alone, to be compressed. The paper's tables for MetaICL and LaMP are of this form. Training
in one pass departs from the use: turns 1, 3, 5, ... are compressed, those between read their memory and, as
text, one another; so every turn that is read has the whole conversation before it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor

from loma_memory.attention import rules
from loma_memory.attention.layout import MEMORY, PAD, TokenLayout
from loma_memory.methods.base import Method
from loma_memory.methods.ccm_concat import CCMConcat
from loma_memory.methods.ccm_merge import CCMMerge


class CCMConcatApart(CCMConcat):
    """The slots of CCM-concat, each turn compressed without a look at earlier memory."""

    name: ClassVar[str] = "ccm-concat-apart"
    one_pass: ClassVar[bool] = False
    independent: ClassVar[bool] = True

    def taught(self) -> Method:
        """Turns by turns compressed and read."""
        return _ConcatInTurns(self.ratio)


class CCMMergeApart(CCMMerge):
    """The means of CCM-merge, each turn compressed without a look at earlier means."""

    name: ClassVar[str] = "ccm-merge-apart"
    one_pass: ClassVar[bool] = False
    independent: ClassVar[bool] = True

    def taught(self) -> Method:
        """Turns by turns compressed and read."""
        return _MergeInTurns(self.slots)


def _in_turns(seen: Tensor, q: TokenLayout, k: TokenLayout) -> Tensor:
    """Of what is `seen`, turns 1, 3, ... keep themselves; the others also see one another's text."""
    reads = (q.turn % 2 == 1)[:, None]
    own = rules.sinks(q, k) | rules.own_turn(q, k) | rules.pads(q, k)
    text = rules.earlier_text(q, k) & (k.turn % 2 == 1)[None, :]
    return own | (reads & (seen | text))


class _ConcatInTurns(CCMConcat):
    name: ClassVar[str] = "ccm-concat-apart"

    def visible(self, q: TokenLayout, k: TokenLayout) -> Tensor:
        compressed = (k.kind != MEMORY) | (k.turn % 2 == 0)
        return _in_turns(super().visible(q, k) & compressed[None, :], q, k)


class _MergeInTurns(CCMMerge):
    name: ClassVar[str] = "ccm-merge-apart"

    def visible(self, q: TokenLayout, k: TokenLayout) -> Tensor:
        return _in_turns(super().visible(q, k), q, k)

    def derived(self, row: TokenLayout) -> tuple[TokenLayout, Tensor]:
        read = (row.kind == MEMORY) & (row.turn % 2 == 1)
        return super().derived(replace(row, kind=torch.where(read, PAD, row.kind)))
