"""Memory tokens: a small trainable table beside the vocabulary, never part of it."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class MemoryTokens(nn.Module):
    """Input embeddings of memory tokens, (rows, hidden) float32.

    They have no entry in the vocabulary or the output layer, so they can be neither generated nor used
    as a label.
    """

    def __init__(self, rows: int, hidden: int) -> None:
        """A table of zeros; `initialise` or a loaded adapter fills it."""
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(rows, hidden))

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

    def forward(self, index: Tensor) -> Tensor:
        """Embeddings of memory tokens by their place in their segment, (..., hidden) float32."""
        return nn.functional.embedding(index.clamp(max=self.weight.shape[0] - 1), self.weight)
