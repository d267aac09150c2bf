"""Readout alignment: what a turn's queries read from memory, against what they would read from the text.

ReLMem, arXiv 2609.37587: at one turn boundary a conversation, in four layers spread in depth, for at most 32
queries of the next turn, ‖Attn(Q, memory) − Attn(Q, text)‖² / ‖Attn(Q, text)‖². Keys and values of the text
are those of the pass with full context.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from loma_memory.attention import TEXT, Reading, TokenLayout
from loma_memory.attention.layout import MEMORY, MERGED
from loma_memory.engine.onepass import OnePass
from loma_memory.methods import Method

ALIGNMENT = 0.1
"""Weight of the alignment beside the loss (the paper's λ)."""
QUERIES = 32
_LAYERS = 4


def spread_layers(count: int) -> list[int]:
    """Four of `count` layers, evenly spread, the last one included."""
    return sorted({max(0, round((i + 1) * count / _LAYERS) - 1) for i in range(_LAYERS)})


def readout_gap(
    method: Method,
    one: OnePass,
    memory: Mapping[int, Reading | None],
    text: Mapping[int, Reading | None],
    draw: torch.Generator,
) -> Tensor:
    """The mean gap over conversations and layers; 0 where no turn follows another.

    Args:
        method: says which slots a turn sees.
        one: the batch.
        memory: readings of the pass with memory.
        text: readings of the pass with full context.
        draw: draws boundaries and queries.
    """
    gaps = []
    for b, layout in enumerate(one.layouts):
        turns = sorted(set(layout.turn[layout.kind == TEXT].tolist()))[1:]
        if not turns:
            continue
        turn = turns[int(torch.randint(len(turns), (1,), generator=draw))]
        asking = ((layout.kind == TEXT) & (layout.turn == turn)).nonzero().flatten()
        asking = asking[torch.randperm(len(asking), generator=draw)[:QUERIES]]
        slots = _slots(method, layout, int(asking[0]))
        said = ((layout.kind == TEXT) & (layout.turn < turn)).nonzero().flatten()
        for layer, reading in memory.items():
            full = text[layer]
            assert reading is not None
            assert full is not None
            query = reading.query[b, :, asking].detach()
            got = _read(query, reading.key[b, :, slots], reading.value[b, :, slots], reading.scale)
            wanted = _read(query, full.key[b, :, said], full.value[b, :, said], full.scale).detach()
            gaps.append(((got - wanted) ** 2).sum() / (wanted**2).sum().clamp(min=1e-9))
    if not gaps:
        return torch.zeros((), device=one.ids.device)
    return torch.stack(gaps).mean()


def _slots(method: Method, layout: TokenLayout, query: int) -> Tensor:
    """Columns of the row's slots that a query sees."""
    sees = method.visible(layout[query : query + 1], layout)[0]
    return (sees & ((layout.kind == MEMORY) | (layout.kind == MERGED))).nonzero().flatten()


def _read(query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
    """Attention of (H, Q, D) over (Hkv, K, D), in float32."""
    groups = query.shape[0] // key.shape[0]
    key, value = (x.float().repeat_interleave(groups, dim=0) for x in (key, value))
    scores = query.float() @ key.transpose(1, 2) * scale
    return torch.softmax(scores, dim=-1) @ value
