"""LoCoCo: a cache of fixed size, filled by heavy hitters and by convolutions (arXiv 2406.05317 §3).

When text and slots are more than `slots`, the half that was attended to most stays as it is; of the rest
every new slot is W·K and W·V with one W for both: W = (1 − g)·R + g·A. R picks the most attended of the rest,
A is the softmax over the rest of a convolution across it, on keys and values side by side. One convolution a
layer, shared by its key/value heads; g is learned for each layer. At g = 0 this is eviction of all but heavy
hitters.

Departs from the paper in that the cache is condensed when a turn ends; that a token's attention is what it
received in its own turn, summed over the query heads that share the key (which also makes it right under
grouped-query attention), and is carried along; that convolutions begin small instead of at N(0, 1); and that
they are trained on the KL from full context, alone or with a LoRA on the text path.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from loma_memory.attention import rules
from loma_memory.attention.layout import TEXT, TokenLayout
from loma_memory.errors import AdapterError, UsageError
from loma_memory.memory import Entry, MemoryState, Segment
from loma_memory.methods.base import Method, Move

KERNEL = 21
FILE = "lococo.safetensors"
"""Name of the convolutions' file in an adapter's folder."""


class Fusion(nn.Module):
    """The convolutions of all layers, and how much they count."""

    def __init__(self, layers: int, width: int, made: int) -> None:
        """`layers`; `width`: channels of a key; `made`: slots that are made by convolution."""
        super().__init__()
        inputs = 2 * width
        scale = (inputs * KERNEL) ** -0.5
        self.weight = nn.Parameter(torch.randn(layers, made, inputs, KERNEL) * scale)
        self.bias = nn.Parameter(torch.zeros(layers, made))
        self.gate = nn.Parameter(torch.full((layers,), 0.5))

    def forward(self, keys: Tensor, values: Tensor) -> Tensor:
        """Weights over what is fused, (L, Hkv, made, S), of keys and values (L, Hkv, S, D)."""
        mixed = torch.cat([keys, values], dim=-1).float().transpose(2, 3)
        found = [
            nn.functional.conv1d(x, w, b, padding=KERNEL // 2)
            for x, w, b in zip(mixed, self.weight, self.bias, strict=True)
        ]
        return torch.softmax(torch.relu(torch.stack(found)), dim=-1)

    def save(self, folder: Path) -> None:
        """Write the convolutions into `folder`."""
        tensors = {name: p.detach().cpu().contiguous() for name, p in self.named_parameters()}
        save_file(tensors, folder / FILE, metadata={"format": "pt"})

    @classmethod
    def load(cls, folder: Path, layers: int, width: int) -> Fusion:
        """Read the convolutions of `folder`.

        Raises:
            AdapterError: missing, damaged, or of another shape.
        """
        try:
            tensors = load_file(folder / FILE)
            fusion = cls(layers, width, tensors["weight"].shape[1])
            fusion.load_state_dict(tensors)
        except (OSError, KeyError, IndexError, RuntimeError, SafetensorError) as error:
            reason = str(error).splitlines()[0]
            raise AdapterError(f"cannot read {folder / FILE}: {reason}") from None
        return fusion.requires_grad_(False)


class LoCoCo(Method):
    """`slots` slots, however long the session; without convolutions heavy hitters alone."""

    name: ClassVar[str] = "lococo"
    one_pass: ClassVar[bool] = False
    needs_attention: ClassVar[bool] = True
    needs_weights: ClassVar[bool] = True

    def __init__(self, slots: int = 32, fusion: Fusion | None = None) -> None:
        """`slots`: kept in all, a half of them heavy hitters.

        Raises:
            UsageError: an odd number of slots, or fewer than 2.
        """
        if slots < 2 or slots % 2:
            raise UsageError(f"slots must be an even number of at least 2, got {slots}")
        self.slots, self.fusion = slots, fusion

    @classmethod
    def create(cls, ratio: float | None) -> Self:
        """The number of slots is fixed; a ratio is ignored, so that methods can be compared at one ratio."""
        return cls()

    @property
    def made(self) -> int:
        """Slots that are made by convolution."""
        return self.slots // 2

    def load_weights(self, folder: Path, layers: int, width: int, device: Any) -> None:
        """Take the convolutions of `folder`; the cache has as many slots as they were trained for."""
        self.fusion = Fusion.load(folder, layers, width).to(device)
        self.slots = 2 * self.fusion.weight.shape[1]

    def visible(self, q: TokenLayout, k: TokenLayout) -> Tensor:
        """The sink, the own turn, and the cache."""
        return rules.sinks(q, k) | rules.own_turn(q, k) | rules.earlier_memory(q, k) | rules.pads(q, k)

    def keeps(self, layout: TokenLayout) -> Tensor:
        """All text; the cache is condensed by `update`."""
        return layout.kind == TEXT

    def condense(self, segment: Segment, move: Move, received: Tensor | None) -> Segment:
        """The text's keys and values with the attention that they received."""
        return replace(segment.as_memory(segment.positions), scores=received)

    def update(self, state: MemoryState, segments: Sequence[Segment]) -> MemoryState:
        """The cache with the new turn taken in; beyond `slots` it is condensed."""
        grown = state.with_turn(segments)
        if grown.slots <= self.slots:
            return grown
        whole = _joined(grown.segments)
        return grown.keeping([Entry(state.turns, grown.messages - 1, self._fused(whole))])

    def settings(self) -> dict[str, Any]:
        """Name and number of slots."""
        return {"method": self.name, "slots": self.slots}

    def _fused(self, whole: Segment) -> Segment:
        assert whole.scores is not None
        order = whole.scores.argsort(dim=2, descending=True, stable=True)
        heavy = order[:, :, : self.slots - self.made].sort(dim=2).values
        rest = order[:, :, self.slots - self.made :].sort(dim=2).values
        keys, values, scores = _picked(whole, rest)
        best = scores.argsort(dim=2, descending=True, stable=True)[:, :, : self.made].sort(dim=2).values
        chosen = nn.functional.one_hot(best, keys.shape[2]).float()
        weights = chosen
        if self.fusion is not None:
            gate = self.fusion.gate[:, None, None, None]
            weights = (1 - gate) * chosen + gate * self.fusion(keys, values)
        hit_keys, hit_values, hit_scores = _picked(whole, heavy)
        made_keys, made_values = ((weights @ x.float()).to(x.dtype) for x in (keys, values))
        low, high = int(whole.positions.min()), int(whole.positions.max())
        return replace(
            whole,
            keys=torch.cat([hit_keys, made_keys], dim=2),
            values=torch.cat([hit_values, made_values], dim=2),
            scores=torch.cat([hit_scores, (weights.detach() @ scores[..., None])[..., 0]], dim=2),
            positions=torch.linspace(low, high, self.slots).round().to(torch.int64),
        )


def _joined(segments: Sequence[Segment]) -> Segment:
    """All slots as those of one segment; gradients end here, as in the paper's training."""
    scores = [s.scores for s in segments if s.scores is not None]
    return Segment(
        torch.cat([s.keys for s in segments], dim=2).detach(),
        torch.cat([s.values for s in segments], dim=2).detach(),
        torch.cat([s.positions for s in segments]),
        sum(s.text_tokens for s in segments),
        segments[0].kind,
        scores=torch.cat(scores, dim=2),
    )


def _picked(segment: Segment, index: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Keys, values and scores of some slots of each layer and head, (L, Hkv, n)."""
    wide = index[..., None].expand(-1, -1, -1, segment.keys.shape[3])
    assert segment.scores is not None
    return segment.keys.gather(2, wide), segment.values.gather(2, wide), segment.scores.gather(2, index)
