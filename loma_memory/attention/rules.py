"""Pieces of mask rules, each a (Q, K) boolean tensor over two token layouts.

A method's rule is a union of these. The same rule makes the mask of the one-pass form (all turns of
a conversation against themselves) and of the turn-by-turn form (one turn against what is kept).
"""

from __future__ import annotations

from torch import Tensor

from loma_memory.attention.layout import MEMORY, MERGED, PAD, RETELL, SINK, TEXT, TokenLayout


def _both(q: Tensor, k: Tensor) -> Tensor:
    return q[:, None] & k[None, :]


def sinks(q: TokenLayout, k: TokenLayout) -> Tensor:
    """Everybody sees the sink; inside the sink order holds."""
    ordered = (q.kind != SINK)[:, None] | (k.index[None, :] <= q.index[:, None])
    return _both(q.kind != PAD, k.kind == SINK) & ordered


def own_turn(q: TokenLayout, k: TokenLayout) -> Tensor:
    """Text sees earlier text of its turn; a memory token its message, what came before it, and itself.

    "What came before" includes the memory tokens of the turn's earlier messages. Text never sees memory
    tokens of its own turn, which are written when the turn has ended.
    """
    same = q.turn[:, None] == k.turn[None, :]
    earlier_message = k.message[None, :] < q.message[:, None]
    same_message = k.message[None, :] == q.message[:, None]
    ordered = k.index[None, :] <= q.index[:, None]
    text = _both(q.kind == TEXT, k.kind == TEXT) & ordered
    reads = _both(q.kind == MEMORY, k.kind == TEXT) & (earlier_message | same_message)
    chain = _both(q.kind == MEMORY, k.kind == MEMORY) & (earlier_message | (same_message & ordered))
    return same & (text | reads | chain)


def earlier_memory(q: TokenLayout, k: TokenLayout) -> Tensor:
    """All memory of earlier turns (CCM-concat, arXiv 2312.03414 §3.1)."""
    earlier = k.turn[None, :] < q.turn[:, None]
    return _both((q.kind == TEXT) | (q.kind == MEMORY), k.kind == MEMORY) & earlier


def earlier_means(q: TokenLayout, k: TokenLayout) -> Tensor:
    """The means of memory as they were after the turn before (CCM-merge, arXiv 2312.03414 §3.1)."""
    before = k.turn[None, :] == q.turn[:, None] - 1
    return _both((q.kind == TEXT) | (q.kind == MEMORY), k.kind == MERGED) & before


def earlier_text(q: TokenLayout, k: TokenLayout, within: int | None = None) -> Tensor:
    """Text of earlier turns; with `within`, only the last so many tokens before the query."""
    earlier = _both(q.kind == TEXT, k.kind == TEXT) & (k.turn[None, :] < q.turn[:, None])
    if within is not None:
        earlier = earlier & (q.index[:, None] - k.index[None, :] < within)
    return earlier


def whole_zone(q: TokenLayout, k: TokenLayout) -> Tensor:
    """The memory tokens of a message see one another, later ones too (LoMA, arXiv 2401.09486 §3)."""
    return _both(q.kind == MEMORY, k.kind == MEMORY) & (q.message[:, None] == k.message[None, :])


def repeats(q: TokenLayout, k: TokenLayout) -> Tensor:
    """A token that restates sees the memory of its message and itself; a RETELL one those before it, too."""
    same = q.message[:, None] == k.message[None, :]
    itself = (q.kind[:, None] == k.kind[None, :]) & (q.index[:, None] == k.index[None, :])
    before = _both(q.kind == RETELL, k.kind == RETELL) & (k.index[None, :] < q.index[:, None])
    return same & q.restates[:, None] & ((k.kind == MEMORY)[None, :] | itself | before)


def pads(q: TokenLayout, k: TokenLayout) -> Tensor:
    """A filler sees the fillers, so that no row of a mask is empty."""
    return _both(q.kind == PAD, k.kind == PAD)
