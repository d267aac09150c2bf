"""A segment: the slots of one message."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from loma_memory.attention.layout import MEMORY, TokenLayout


@dataclass(frozen=True, eq=False)
class Segment:
    """Keys and values that stand for one message.

    Attributes:
        keys: (L, Hkv, n, D), rotated by the model at `positions`.
        values: (L, Hkv, n, D).
        positions: rotary position of each slot, (n,) int64.
        text_tokens: how many tokens of text the slots stand for.
        kind: MEMORY; TEXT for methods that keep the text's own keys; MERGED for means of several messages.
        first_index: place in the session's text of the first kept text token (TEXT), or number of the
            first slot (MERGED).
        merged: how many messages are in the mean (MERGED only).
        scores: attention that each slot has received, (L, Hkv, n) float32, for methods that ask for it.
    """

    keys: Tensor
    values: Tensor
    positions: Tensor
    text_tokens: int
    kind: int = MEMORY
    first_index: int = 0
    merged: int = 1
    scores: Tensor | None = None

    @property
    def slots(self) -> int:
        """Number of slots, n."""
        return int(self.keys.shape[2])

    @property
    def nbytes(self) -> int:
        """Bytes of keys and values in memory."""
        return self.keys.nbytes + self.values.nbytes

    def tail(self, count: int) -> Segment:
        """The last `count` slots (all of them when there are fewer)."""
        drop = max(0, self.slots - count)
        if drop == 0:
            return self
        return replace(
            self,
            keys=self.keys[:, :, drop:],
            values=self.values[:, :, drop:],
            positions=self.positions[drop:],
            first_index=self.first_index + drop,
            scores=None if self.scores is None else self.scores[:, :, drop:],
        )

    def as_memory(self, positions: Tensor) -> Segment:
        """The same message as slots of memory at `positions`; the caller puts keys and values in."""
        return replace(self, positions=positions, kind=MEMORY, first_index=0)

    def to(self, device: torch.device) -> Segment:
        """The same segment with keys and values on `device`; positions stay on the processor."""
        if self.keys.device == device:
            return self
        scores = None if self.scores is None else self.scores.to(device)
        return replace(self, keys=self.keys.to(device), values=self.values.to(device), scores=scores)

    def layout(self, turn: int, message: int) -> TokenLayout:
        """What mask rules need to know of the slots, as part of message `message` of turn `turn`."""
        return TokenLayout.of(self.kind, turn, message, self.positions.tolist(), self.first_index)

    def equal(self, other: Segment) -> bool:
        """Bit equality of keys, values and positions."""
        return (
            self.kind == other.kind
            and torch.equal(self.keys, other.keys)
            and torch.equal(self.values, other.values)
            and torch.equal(self.positions, other.positions)
            and (self.scores is None) == (other.scores is None)
            and (self.scores is None or other.scores is None or torch.equal(self.scores, other.scores))
        )
