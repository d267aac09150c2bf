"""What each token of a row is: kind, turn, message and position; the input of every mask rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

SINK = 0
"""Kind of the first tokens, which every token sees."""
TEXT = 1
"""Kind of a token of a message."""
MEMORY = 2
"""Kind of a memory token (or of the slot that it became)."""
PAD = 3
"""Kind of a filler; it sees itself only and nobody sees it."""

MERGED = 4
"""Kind of a slot that is a mean of memory tokens."""

REPEAT = 5
"""Kind of a token that restates a token of text from memory (LoMA's `<r>`)."""

RETELL = 6
"""The same, told what it restated before."""


@dataclass(frozen=True)
class TokenLayout:
    """Columns that describe the tokens of one row, each (S,) int64.

    Attributes:
        kind: SINK, TEXT, MEMORY, MERGED, REPEAT, RETELL or PAD.
        turn: number of the turn that the token belongs to, from 0; −1 for the sink.
        message: number of the message, from 0; −1 for the sink.
        index: place of a text token in the text; of a memory token in its segment; of a token that restates,
            the place of the text token that it stands for.
        position: rotary position.
        weight: share of a token of text in the memory of its message, (S,) float64; see `memory.positions`.
    """

    kind: Tensor
    turn: Tensor
    message: Tensor
    index: Tensor
    position: Tensor
    weight: Tensor

    def __len__(self) -> int:
        return int(self.kind.shape[0])

    def __getitem__(self, rows: slice) -> TokenLayout:
        return TokenLayout(*(getattr(self, f.name)[rows] for f in fields(self)))

    @staticmethod
    def of(
        kind: int,
        turn: int,
        message: int,
        positions: Sequence[int],
        start: int = 0,
        weights: Sequence[float] | None = None,
    ) -> TokenLayout:
        """A run of tokens of one kind in one message, numbered from `start`; they weigh 1 each by default."""
        n = len(positions)
        return TokenLayout(
            torch.full((n,), kind),
            torch.full((n,), turn),
            torch.full((n,), message),
            torch.arange(start, start + n),
            torch.as_tensor(positions, dtype=torch.int64).reshape(n),
            torch.ones(n, dtype=torch.float64)
            if weights is None
            else torch.tensor(weights, dtype=torch.float64).reshape(n),
        )

    @staticmethod
    def sink(length: int) -> TokenLayout:
        """The sink: positions 0 to `length` − 1."""
        return TokenLayout.of(SINK, -1, -1, range(length), 0)

    @staticmethod
    def cat(parts: Sequence[TokenLayout]) -> TokenLayout:
        """The rows of `parts`, one after the other."""
        return TokenLayout(*(torch.cat([getattr(p, f.name) for p in parts]) for f in fields(TokenLayout)))

    def padded(self, length: int, *, left: bool = False) -> TokenLayout:
        """The same row filled up to `length` tokens with PAD, at its end or at its start."""
        fill = TokenLayout.of(PAD, -2, -2, [0] * (length - len(self)))
        return TokenLayout.cat([fill, self] if left else [self, fill])

    @property
    def restates(self) -> Tensor:
        """Tokens that restate a token of text, (S,) bool."""
        return (self.kind == REPEAT) | (self.kind == RETELL)

    @property
    def exempt(self) -> Tensor:
        """Tokens that no sliding window hides: sink and memory, (S,) bool."""
        return (self.kind == SINK) | (self.kind == MEMORY) | (self.kind == MERGED)
