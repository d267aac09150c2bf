"""Text from memory: the tokens of a message restated from its slots alone (LoMA, arXiv 2401.09486)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from loma_memory.attention import AttentionCall, TokenLayout
from loma_memory.attention.layout import RETELL
from loma_memory.engine.decode import logits
from loma_memory.engine.inputs import table_rows
from loma_memory.engine.reader import Reader
from loma_memory.errors import UsageError
from loma_memory.memory import Segment


@torch.no_grad()
def restate(reader: Reader, segments: Sequence[Segment]) -> list[list[int]]:
    """The token ids that each segment stands for, as its slots hold them.

    In one pass where all restating tokens are alike, token by token where each is told the one before.

    Args:
        reader: a model with a method and an adapter that restate.
        segments: slots of some messages; how many tokens each stood for is known.

    Raises:
        UsageError: the method cannot restate.
    """
    kind = reader.method.restates
    if kind is None or reader.tokens is None:
        raise UsageError(f"method {reader.method.name} cannot restate text: methods that can are loma ones")
    with reader.lock:
        head_keys, head_values = reader.header(reader.sink_ids)
        sink = TokenLayout.sink(reader.sink)
        width = reader.sink + max(s.slots for s in segments)
        longest = max(s.text_tokens for s in segments)
        keys, values, past, new = [], [], [], []
        for segment in segments:
            fill = width - reader.sink - segment.slots
            keys.append(_filled(fill, head_keys, segment.keys))
            values.append(_filled(fill, head_values, segment.values))
            past.append(TokenLayout.cat([sink, segment.layout(0, 0)]).padded(width, left=True))
            at = reader.method.repeat_positions(segment)
            new.append(TokenLayout.of(kind, 0, 0, at).padded(longest))
        cache = DynamicCache(
            ddp_cache_data=[
                (torch.stack([k[i] for k in keys]), torch.stack([v[i] for v in values]))
                for i in range(len(reader.decoder.layers))
            ]
        )
        if kind == RETELL:
            found = _one_by_one(reader, cache, past, new)
        else:
            found = _forward(reader, cache, past, new, table_rows(reader.tokens, new, past))
    return [row[: s.text_tokens] for row, s in zip(found.tolist(), segments, strict=True)]


def _filled(count: int, head: Tensor, slots: Tensor) -> Tensor:
    return torch.cat([head.new_zeros(*head.shape[:2], count, head.shape[3]), head, slots], dim=2)


def _one_by_one(
    reader: Reader, cache: Any, past: Sequence[TokenLayout], new: Sequence[TokenLayout]
) -> Tensor:
    row = table_rows(reader.tokens, new, past)  # type: ignore[arg-type]  # checked by the caller
    told: list[Tensor] = []
    before = [TokenLayout.cat([p]) for p in past]
    for i in range(len(new[0])):
        now = [n[i : i + 1] for n in new]
        fed = row[:, i : i + 1]
        if told:
            fed = fed + reader.model.get_input_embeddings()(told[-1]).to(fed.dtype)
        told.append(_forward(reader, cache, before, now, fed))
        before = [TokenLayout.cat([b, n]) for b, n in zip(before, now, strict=True)]
    return torch.cat(told, dim=1)


def _forward(
    reader: Reader, cache: Any, past: Sequence[TokenLayout], new: Sequence[TokenLayout], embeds: Tensor
) -> Tensor:
    """The most likely token at every restating token, (B, R)."""
    every = [TokenLayout.cat([p, n]) for p, n in zip(past, new, strict=True)]
    call = AttentionCall(
        gate=(0, len(new[0])),
        mask=torch.stack([reader.method.visible(n, e) for n, e in zip(new, every, strict=True)])[:, None],
        query_positions=torch.stack([n.position for n in new]),
        key_positions=torch.stack([e.position for e in every]),
        key_exempt=torch.stack([e.exempt for e in every]),
    ).to(reader.loaded.device)
    hidden = reader.decoder(
        inputs_embeds=embeds.to(reader.loaded.dtype),
        attention_mask=call.mask,
        position_ids=call.query_positions,
        past_key_values=cache,
        use_cache=True,
        loma=call,
    ).last_hidden_state
    found: Tensor = logits(reader.model, hidden).argmax(dim=-1)
    return found
