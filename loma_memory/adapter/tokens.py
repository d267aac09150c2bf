"""Memory tokens: a small trainable table beside the vocabulary, never part of it."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class MemoryTokens(nn.Module):
    """Input embeddings of memory tokens, and of tokens that restate where there are any; float32.

    They have no entry in the vocabulary or the output layer, so they can be neither generated nor used
    as a label.
    """

    def __init__(self, rows: int, hidden: int, repeat_rows: int = 0) -> None:
        """A table of zeros, (rows + repeat_rows, hidden); `initialise` or a loaded adapter fills it."""
        super().__init__()
        self.rows, self.repeat_rows = rows, repeat_rows
        self.weight = nn.Parameter(torch.zeros(rows + repeat_rows, hidden))

    @torch.no_grad()
    def initialise(self, embed: nn.Module, vocabulary: int) -> None:
        """Set row k to the mean of every rows-th embedding from k on (CCM §3.2).

        Embeddings are taken from `embed(ids)`, not from its weight: some families scale them inside.
        """
        rows = self.weight.shape[0]
        device = next(embed.parameters()).device
        for k in range(rows):
            ids = torch.arange(k, vocabulary, rows, device=device)
            self.weight[k] = embed(ids[None])[0].float().mean(dim=0)

    def forward(self, index: Tensor, restates: Tensor | None = None) -> Tensor:
        """Embeddings, (..., hidden) float32.

        Args:
            index: place of each memory token in its segment; of a token that restates, how far it is from
                the end of its part of the text.
            restates: which of them are no memory tokens but restate; their rows follow those of memory.
        """
        row = index.clamp(max=self.rows - 1)
        if restates is not None:
            row = torch.where(restates, self.rows + index.clamp(max=self.repeat_rows - 1), row)
        return nn.functional.embedding(row, self.weight)
