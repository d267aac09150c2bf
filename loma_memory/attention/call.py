"""The state of one forward call, carried to every layer as one keyword (`loma=`).

transformers hands unknown forward keywords to every attention call, and to the recomputation under
gradient checkpointing, so the state needs no global and leaks into no other call.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Reading:
    """What one layer attended with.

    Attributes:
        query: (B, H, Q, D), rotated.
        key: (B, Hkv, K, D), rotated.
        value: (B, Hkv, K, D).
        scale: of the scores.
    """

    query: Tensor
    key: Tensor
    value: Tensor
    scale: float


@dataclass
class AttentionCall:
    """What the attention function and the gated adapter need to know of one forward pass.

    Attributes:
        gate: first and last+1 column of the memory tokens in the batch, or None where there are
            none. Memory tokens stand at one end of every row, so one slice serves the whole batch.
        mask: boolean mask, (B, 1, Q, K), True where a query may look; None leaves plain causality.
        query_positions: rotary positions of the queries, (B, Q); needed with `mask` on models with
            sliding-window layers.
        key_positions: rotary positions of the keys, (B, K).
        key_exempt: keys that no window hides (sink and memory), (B, K) bool.
        products: attend by plain matrix products instead of SDPA. Training on a processor sets it: there
            SDPA's backward in bfloat16 takes two to three times as long (docs/training.md).
        mixes: weights of keys and values made from those of the pass, (B, E, K); the E further ones stand
            behind the K, and `mask`, `key_positions` and `key_exempt` have K + E columns.
        received: where given, every layer adds the attention that its keys receive, (B, Hkv, K) float32:
            summed over queries and over the query heads that share a key.
        readings: layers that leave what they attended with, by number; None until they have.
    """

    gate: tuple[int, int] | None = None
    mask: Tensor | None = None
    query_positions: Tensor | None = None
    key_positions: Tensor | None = None
    key_exempt: Tensor | None = None
    products: bool = False
    mixes: Tensor | None = None
    received: list[Tensor] | None = None
    readings: dict[int, Reading | None] | None = None
    _windowed: dict[int, Tensor] = field(default_factory=dict)
    _biases: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict)

    def windowed_mask(self, window: int) -> Tensor | None:
        """The mask of a sliding-window layer: text further back than `window` positions is hidden.

        The window counts positions, not indices: with the positions used here the two agree on
        plain text, and memory and sink are exempt, since they stand for text of any distance.
        """
        if self.mask is None or self.query_positions is None or self.key_positions is None:
            return self.mask
        if window not in self._windowed:
            distance = self.query_positions[:, :, None] - self.key_positions[:, None, :]
            near = distance < window
            if self.key_exempt is not None:
                near = near | self.key_exempt[:, None, :]
            # A query always keeps itself: distance 0 is within any window.
            self._windowed[window] = self.mask & near[:, None]
        return self._windowed[window]

    def bias(self, mask: Tensor, dtype: torch.dtype) -> Tensor:
        """A mask as what is added to scores, made once for all layers that share it."""
        known = self._biases.get(id(mask))
        if known is None or known[0] is not mask:  # the mask is kept too: an id may be used again
            lowest = torch.finfo(dtype).min
            made = torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill_(~mask, lowest)
            known = self._biases[id(mask)] = (mask, made)
        return known[1]

    def to(self, device: torch.device | str) -> AttentionCall:
        """The same call with its tensors on `device`."""

        def moved(tensor: Tensor | None) -> Tensor | None:
            return None if tensor is None else tensor.to(device)

        return AttentionCall(
            self.gate,
            moved(self.mask),
            moved(self.query_positions),
            moved(self.key_positions),
            moved(self.key_exempt),
            self.products,
            moved(self.mixes),
            self.received,
            self.readings,
        )
