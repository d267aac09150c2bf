"""The attention function that transformers models run, registered under the name `loma`.

It is torch SDPA with three additions that the model families need: the mask of windowed layers is
chosen here (one mask object reaches every layer), and soft-capped scores and attention sinks, which
SDPA lacks or takes only as a mask column, are honoured. Everything else is left as the model's own.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import sdpa_mask

from loma_memory.attention.call import AttentionCall, Reading

ATTENTION = "loma"
"""Value of `attn_implementation` that selects this function."""


def _repeat(x: Tensor, groups: int) -> Tensor:
    """(B, Hkv, S, D) → (B, Hkv·groups, S, D)."""
    return x if groups == 1 else x.repeat_interleave(groups, dim=1)


def _products(q: Tensor, k: Tensor, v: Tensor, bias: Tensor, scale: float) -> Tensor:
    """SDPA's formula with the heads of one key/value head side by side, so that keys are not repeated."""
    batch, heads, queries, width = q.shape
    shared = k.shape[1]
    rows = heads // shared * queries
    scores = torch.bmm(
        (q * scale).reshape(batch * shared, rows, width),
        k.reshape(batch * shared, -1, width).transpose(1, 2),
    )
    weights = torch.softmax(scores.view(batch, heads, queries, -1) + bias, dim=-1)
    mixed = torch.bmm(weights.view(batch * shared, rows, -1), v.reshape(batch * shared, -1, width))
    return mixed.view(batch, heads, queries, width)


def _received(q: Tensor, k: Tensor, mask: Tensor, scale: float) -> Tensor:
    """Attention that each key receives, (B, Hkv, K): a second, explicit softmax beside SDPA's own."""
    batch, heads, _, width = q.shape
    shared = k.shape[1]
    grouped = q.view(batch, shared, heads // shared, -1, width).float()
    scores = torch.einsum("bhgqd,bhkd->bhgqk", grouped * scale, k.float())
    scores = scores.masked_fill(~mask[:, :, None], -torch.inf)
    return torch.softmax(scores, dim=-1).sum((2, 3))


def _softcapped(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, scale: float, cap: float) -> Tensor:
    scores = torch.matmul(q, k.transpose(-1, -2)) * scale
    scores = torch.tanh(scores / cap) * cap
    if mask is not None:
        scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
    wide = torch.promote_types(q.dtype, torch.float32)  # as transformers does
    return torch.matmul(torch.softmax(scores, dim=-1, dtype=wide).to(q.dtype), v)


def _with_sinks(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, scale: float, sinks: Tensor) -> Tensor:
    """GPT-OSS: one learned logit a head joins the softmax and carries no value.

    A zero key and value with the logit as its mask column says the same to SDPA.
    """
    batch, heads, queries, width = q.shape
    zero = k.new_zeros(batch, k.shape[1], 1, width)
    bias = q.new_zeros(batch, heads, queries, k.shape[2])
    if mask is not None:
        bias = bias.masked_fill(~mask, torch.finfo(q.dtype).min)
    column = sinks.to(q.dtype).view(1, heads, 1, 1).expand(batch, heads, queries, 1)
    return nn.functional.scaled_dot_product_attention(
        q,
        torch.cat([k, zero], dim=2),
        torch.cat([v, zero], dim=2),
        attn_mask=torch.cat([bias, column], dim=-1),
        scale=scale,
    )


def loma_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    loma: AttentionCall | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Attend; the signature is the one transformers calls.

    Args:
        module: the attention module (gives the number of query heads per key/value head).
        query: (B, H, Q, D), rotated.
        key: (B, Hkv, K, D), rotated, cache included.
        value: (B, Hkv, K, D).
        attention_mask: (B, 1, Q, K) bool, or None for plain causality.
        scaling: score scale; None for 1/√D.
        dropout: dropout probability of attention weights.
        loma: state of the call, if the caller gave one.
        **kwargs: what the family passes; `sliding_window`, `softcap` and `s_aux` are honoured.

    Returns:
        The output, (B, Q, H, D), and None (weights are not kept).
    """
    if loma is not None and loma.mixes is not None:
        weights = loma.mixes[:, None].to(key.dtype)
        key = torch.cat([key, weights @ key], dim=2)
        value = torch.cat([value, weights @ value], dim=2)
    mask = attention_mask
    window = kwargs.get("sliding_window")
    if window is not None and loma is not None and loma.mask is not None:
        mask = loma.windowed_mask(int(window))
    groups = query.shape[1] // key.shape[1]
    scale = scaling if scaling is not None else query.shape[-1] ** -0.5
    if loma is not None and loma.readings is not None and module.layer_idx in loma.readings:
        loma.readings[int(module.layer_idx)] = Reading(query, key, value, scale)
    causal = mask is None and query.shape[2] > 1
    cap, sinks = kwargs.get("softcap"), kwargs.get("s_aux")
    if causal and (cap is not None or sinks is not None or key.shape[2] != query.shape[2]):
        past = key.shape[2] - query.shape[2]
        mask = query.new_ones(query.shape[2], key.shape[2], dtype=torch.bool).tril(past)[None, None]
        causal = False
    if loma is not None and loma.received is not None and mask is not None:
        loma.received.append(_received(query, key, mask, scale))
    if cap is not None:
        out = _softcapped(query, _repeat(key, groups), _repeat(value, groups), mask, scale, float(cap))
    elif sinks is not None:
        out = _with_sinks(query, _repeat(key, groups), _repeat(value, groups), mask, scale, sinks)
    elif loma is not None and loma.products and mask is not None:
        out = _products(query, key, value, loma.bias(mask, query.dtype), scale)
    else:
        # On CUDA grouped heads with a mask fall back to the slow kernel; repeating is faster there.
        grouped = groups > 1 and query.device.type == "cpu"
        out = nn.functional.scaled_dot_product_attention(
            query,
            key if grouped else _repeat(key, groups),
            value if grouped else _repeat(value, groups),
            attn_mask=mask,
            dropout_p=dropout if module.training else 0.0,
            is_causal=causal,
            scale=scale,
            enable_gqa=grouped,
        )
    return out.transpose(1, 2).contiguous(), None


def register() -> None:
    """Make `attn_implementation="loma"` known to transformers (idempotent).

    The library's own mask function is registered beside it: without one, transformers drops 2-D
    masks in silence.
    """
    AttentionInterface.register(ATTENTION, loma_attention)
    AttentionMaskInterface.register(ATTENTION, sdpa_mask)
