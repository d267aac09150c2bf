"""Choosing the next token."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from loma_memory.errors import UsageError


@dataclass(frozen=True)
class Sampling:
    """How replies are drawn.

    Attributes:
        temperature: 0 takes the likeliest token; larger is more varied.
        top_p: smallest set of tokens with this much probability; 1 for all.
        top_k: at most so many candidates; 0 for all.
        repetition_penalty: above 1, words already in this turn become less likely (CTRL,
            arXiv 1909.05858 §4.1). Pieces of words and digits are spared: it is words that go round in
            circles, and a number may well have the same digit twice.
        seed: makes draws repeatable; None draws afresh.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    repetition_penalty: float = 1.0
    seed: int | None = None

    def __post_init__(self) -> None:
        if not 0.0 <= self.temperature <= 10.0:
            raise UsageError(f"temperature must be between 0 and 10, got {self.temperature}")
        if not 0.0 < self.top_p <= 1.0:
            raise UsageError(f"top_p must be above 0 and at most 1, got {self.top_p}")
        if self.top_k < 0:
            raise UsageError(f"top_k must be 0 (all) or more, got {self.top_k}")
        if not 1.0 <= self.repetition_penalty <= 10.0:
            raise UsageError(f"repetition_penalty must be between 1 and 10, got {self.repetition_penalty}")

    def generator(self, device: torch.device) -> torch.Generator | None:
        """A random generator for one reply; None draws from torch's own."""
        if self.seed is None:
            return None
        return torch.Generator(device=device).manual_seed(self.seed)

    def choose(self, logits: Tensor, seen: Tensor, generator: torch.Generator | None) -> Tensor:
        """Next tokens.

        Args:
            logits: (B, vocabulary).
            seen: tokens of the turn so far that count for the penalty, (B, S), others −1.
            generator: from `generator`.

        Returns:
            Token ids, (B,).
        """
        scores = logits.float()
        if self.repetition_penalty != 1.0 and seen.shape[1]:
            # Fillers go to a column of their own, which is dropped: token 0 may have been seen, too.
            width = scores.shape[1]
            marks = torch.zeros(len(scores), width + 1, dtype=torch.bool, device=scores.device)
            marks = marks.scatter(1, torch.where(seen >= 0, seen, width), True)[:, :width]
            penalty = self.repetition_penalty
            scores = torch.where(marks, torch.where(scores > 0, scores / penalty, scores * penalty), scores)
        if self.temperature == 0.0:
            return scores.argmax(dim=-1)
        # The likeliest at 0, so that a tiny temperature cannot reach infinity.
        scores = (scores - scores.amax(dim=-1, keepdim=True)) / max(self.temperature, 1e-6)
        if self.top_k:
            kth = scores.topk(min(self.top_k, scores.shape[-1])).values[:, -1:]
            scores = scores.masked_fill(scores < kth, float("-inf"))
        probabilities = torch.softmax(scores, dim=-1)
        if self.top_p < 1.0:
            ordered, order = probabilities.sort(dim=-1, descending=True)
            beyond = ordered.cumsum(dim=-1) - ordered >= self.top_p
            probabilities = probabilities.scatter(1, order, ordered.masked_fill(beyond, 0.0))
        return torch.multinomial(probabilities, 1, generator=generator)[:, 0]
