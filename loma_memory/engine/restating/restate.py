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


def restate(reader: Reader, segments: Sequence[Segment]) -> list[list[int]]:
    """The token ids that each segment stands for, as its slots hold them.

    In one pass where all restating tokens are alike, token by token where each is told the one before.

    Args:
        reader: a model with a method and an adapter that restate.
        segments: slots of some messages; how many tokens each stood for is known.

    Raises:
        UsageError: the method cannot restate.
    """
    return [places[:, 0].tolist() for places, _ in ranked(reader, segments, 1)]


@torch.no_grad()
def ranked(reader: Reader, segments: Sequence[Segment], count: int) -> list[tuple[Tensor, Tensor]]:
    """The `count` likeliest tokens at every place of each segment, likeliest first.

    Where each is told the one before, it is told the likeliest.

    Returns:
        Per segment token ids and their logits, both (its tokens, count).

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
            found = _one_by_one(reader, cache, past, new, count)
        else:
            found = _forward(reader, cache, past, new, table_rows(reader.tokens, new, past), count)
    return [
        (ids[: s.text_tokens].cpu(), scores[: s.text_tokens].float().cpu())
        for ids, scores, s in zip(*found, segments, strict=True)
    ]


def _filled(count: int, head: Tensor, slots: Tensor) -> Tensor:
    return torch.cat([head.new_zeros(*head.shape[:2], count, head.shape[3]), head, slots], dim=2)


def _one_by_one(
    reader: Reader, cache: Any, past: Sequence[TokenLayout], new: Sequence[TokenLayout], count: int
) -> tuple[Tensor, Tensor]:
    row = table_rows(reader.tokens, new, past)  # type: ignore[arg-type]  # checked by the caller
    told: list[tuple[Tensor, Tensor]] = []
    before = [TokenLayout.cat([p]) for p in past]
    for i in range(len(new[0])):
        now = [n[i : i + 1] for n in new]
        fed = row[:, i : i + 1]
        if told:
            fed = fed + reader.model.get_input_embeddings()(told[-1][0][..., 0]).to(fed.dtype)
        told.append(_forward(reader, cache, before, now, fed, count))
        before = [TokenLayout.cat([b, n]) for b, n in zip(before, now, strict=True)]
    ids, scores = zip(*told, strict=True)
    return torch.cat(ids, dim=1), torch.cat(scores, dim=1)


def _forward(
    reader: Reader,
    cache: Any,
    past: Sequence[TokenLayout],
    new: Sequence[TokenLayout],
    embeds: Tensor,
    count: int,
) -> tuple[Tensor, Tensor]:
    """The `count` likeliest tokens at every restating token, and their logits, (B, R, count) each."""
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
    scores = logits(reader.model, hidden)
    best = scores.topk(min(count, scores.shape[-1]), dim=-1)
    return best.indices, best.values
