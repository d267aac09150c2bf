"""What goes into the model: embeddings of text, and of the memory tokens that stand for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from loma_memory.adapter.tokens import MemoryTokens
from loma_memory.attention import MEMORY, TEXT, TokenLayout
from loma_memory.attention.layout import RETELL
from loma_memory.memory.positions import parts
from loma_memory.methods import Method


def weigh(
    method: Method, weights: Callable[[Sequence[int]], list[float]] | None, message: Sequence[int]
) -> list[float]:
    """What each token of a message weighs to a method: 1, unless it places memory by weight."""
    return weights(message) if method.weighs and weights is not None else [1.0] * len(message)


def spans(layout: TokenLayout, text_width: int) -> Tensor:
    """Which part of its message each memory token stands for, as a matrix that takes means.

    Args:
        layout: a row of `text_width` columns of text (and sink, and fillers), then memory tokens.
        text_width: columns of text.

    Returns:
        (M, text_width): row j has at the tokens of its part their shares of the part's weight, 1/n at each of
        n where weights are equal; the parts of a message share it out.
        A RETELL token's part is the token of text before the one that it stands for.
    """
    text, memory = layout[:text_width], layout[text_width:]
    matrix = torch.zeros(len(memory), text_width)
    for message in sorted(set(memory.message[memory.kind == MEMORY].tolist())):
        rows = ((memory.kind == MEMORY) & (memory.message == message)).nonzero().flatten()
        columns = ((text.kind == TEXT) & (text.message == message)).nonzero().flatten()
        part = torch.tensor(parts(text.weight[columns].tolist(), len(rows)), dtype=torch.int64)
        matrix[rows[part], columns] = text.weight[columns].to(matrix.dtype)
    told = memory.kind == RETELL
    same = text.message[None] == memory.message[told, None]
    before = text.index[None] == memory.index[told, None] - 1
    matrix[told] = (same & before & (text.kind == TEXT)[None]).to(matrix.dtype)
    return matrix / matrix.sum(dim=1, keepdim=True).clamp(min=1e-9)


def table_rows(
    tokens: MemoryTokens, new: Sequence[TokenLayout], slots: Sequence[TokenLayout] | None = None
) -> Tensor:
    """What the table says of memory tokens and of tokens that restate, (B, M, hidden).

    Those that restate are told how far they are from the end of their part of the text: LoMA has one `<r>`
    for all, which leaves the order of a slot's tokens to rotary positions alone (docs/results/repetition.md).

    Args:
        tokens: the table.
        new: layouts of equally many tokens.
        slots: what holds the memory tokens, where `new` does not.
    """
    index = []
    for row, held in zip(new, slots or new, strict=True):
        memory = held.kind == MEMORY
        ahead = held.position[memory][None] - row.position[:, None]
        other = (held.message[memory][None] != row.message[:, None]) | (ahead < 0)
        far = ahead.new_full((len(row), 1), tokens.repeat_rows)  # where a row has no memory at all
        nearest = torch.cat([ahead.masked_fill(other, tokens.repeat_rows), far], dim=1).amin(1)
        index.append(torch.where(row.restates, nearest, row.index))
    device = tokens.weight.device
    rows: Tensor = tokens(torch.stack(index).to(device), torch.stack([r.restates for r in new]).to(device))
    return rows


def embed(model: Any, tokens: MemoryTokens | None, ids: Tensor, rows: Sequence[TokenLayout]) -> Tensor:
    """Input embeddings of a batch, (B, T + M, hidden).

    A memory token's embedding is its row of the table plus the mean embedding, by weight, of the part of the
    message that it stands for. CCM has the table alone; with the mean, what the token shall hold is there
    from the first layer on, and training starts from pooling instead of from nothing (docs/training.md).

    Args:
        model: gives the embeddings of text.
        tokens: the memory-token table; may be missing where there are no memory tokens.
        ids: token ids, (B, T).
        rows: layout of each sequence, T + M tokens.
    """
    width = ids.shape[1]
    text: Tensor = model.get_input_embeddings()(ids)
    if tokens is None or len(rows[0]) == width:
        return text
    means = torch.stack([spans(r, width) for r in rows]).to(text.device, text.dtype)
    memory = table_rows(tokens, [r[width:] for r in rows]) + torch.bmm(means, text).to(tokens.weight.dtype)
    return torch.cat([text, memory.to(text.dtype)], dim=1)
