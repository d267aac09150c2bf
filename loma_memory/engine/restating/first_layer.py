"""The first layer of a slot: what a memory token makes of its input alone, before it sees any other token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from loma_memory.attention import AttentionCall
from loma_memory.attention.rotary import move_keys
from loma_memory.engine.inputs import table_rows
from loma_memory.engine.reader import Reader
from loma_memory.memory import Segment

BATCH = 4096
"""Tokens that go through the layer together."""


def rounding(dtype: torch.dtype) -> float:
    """How far slots of one and the same text may be from one another, by their norm."""
    return max(3e-6, 0.375 * torch.finfo(dtype).eps)


@dataclass(frozen=True, eq=False)
class FirstSlot:
    """What the first layer has of a slot.

    Attributes:
        row: of the memory-token table, (hidden,).
        position: where its key is rotated.
        kept: keys and values, (2, d), d = Hkv · D.
        unmoved: the same with the key at position 0.
    """

    row: Tensor
    position: Tensor
    kept: Tensor
    unmoved: Tensor


class FirstLayer:
    """The first layer alone, which memory tokens go through one by one: none looks at another there."""

    def __init__(self, reader: Reader) -> None:
        """`reader`: a model, with the memory tokens that wrote the slots."""
        assert reader.tokens is not None
        self.reader, self.tokens = reader.first_layers(1), reader.tokens
        self.embed = reader.model.get_input_embeddings()
        self.rounding = rounding(reader.loaded.dtype)

    def slots(self, segment: Segment) -> list[FirstSlot]:
        """Those of a segment."""
        device = segment.keys.device
        at = segment.positions.to(device)
        still = move_keys(self.reader.model, segment.keys, at, torch.zeros_like(at))
        kept, unmoved = (
            _rows(k[0].transpose(0, 1), segment.values[0].transpose(0, 1)) for k in (segment.keys, still)
        )
        rows = table_rows(self.tokens, [segment.layout(0, 0)])[0]
        return [FirstSlot(*each) for each in zip(rows, at, kept, unmoved, strict=True)]

    def inputs(self, slot: FirstSlot, bags: Tensor) -> Tensor:
        """Of memory tokens that stand for `bags`, (N, n), instead: (N, hidden), rounded as in `embed`."""
        text = self.embed(bags)
        share = torch.full(
            (len(bags), 1, bags.shape[1]), 1 / bags.shape[1], dtype=text.dtype, device=text.device
        )
        return slot.row + torch.bmm(share, text)[:, 0].to(slot.row.dtype)

    def __call__(self, inputs: Tensor, position: Tensor) -> Tensor:
        """Keys and values, (N, 2, d), of inputs at one position."""
        made = []
        for some in torch.split(inputs.to(self.reader.loaded.dtype), BATCH):
            at = position.expand(len(some), 1)
            seen = torch.ones(len(some), 1, dtype=torch.bool, device=at.device)
            call = AttentionCall(
                gate=(0, 1), mask=seen[:, None, None], query_positions=at, key_positions=at, key_exempt=seen
            )
            cache: Any = DynamicCache()
            with self.reader.lock:  # for one pass at a time: others wait for the model, not for the search
                self.reader.decoder(
                    inputs_embeds=some[:, None],
                    attention_mask=call.mask,
                    position_ids=at,
                    past_key_values=cache,
                    use_cache=True,
                    loma=call,
                )
            made.append(_rows(cache.layers[0].keys[:, :, 0], cache.layers[0].values[:, :, 0]))
        return torch.cat(made)

    def apart(self, slot: FirstSlot, bags: Tensor) -> Tensor:
        """How far the slot would be from what it is if it stood for `bags`, (N, n): by its norm, (N,)."""
        made = self(self.inputs(slot, bags), slot.position)
        by_norm: Tensor = (made - slot.kept).norm(dim=2) / slot.kept.norm(dim=1)
        return by_norm.mean(1)


def _rows(keys: Tensor, values: Tensor) -> Tensor:
    """Keys and values of N slots, (N, Hkv, D) each, as (N, 2, Hkv · D)."""
    return torch.stack([keys.flatten(1), values.flatten(1)], dim=1).float()
