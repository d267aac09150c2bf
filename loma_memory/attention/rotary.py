"""Moving keys: undo a key's rotation at one position and redo it at another.

Keys are kept as the model rotated them. They are un-rotated only when a slot has to move, with the
model's own table, in float32. Dividing the table by cos² + sin² makes the inverse exact for scaled
tables too (YaRN's squared norm is 1.3, and bfloat16 tables are off the circle).
"""

from __future__ import annotations

import sys
from typing import Any

import torch
from torch import Tensor, nn


def attention_modules(model: nn.Module) -> list[nn.Module]:
    """The self-attention module of every decoder layer, in order."""
    decoder: Any = model.get_decoder()  # type: ignore[operator]
    return [layer.self_attn for layer in decoder.layers]


def _uses_rope(attention: Any, config: Any, layer: int) -> bool:
    if hasattr(attention, "use_rope"):
        return bool(attention.use_rope)
    if config.model_type == "cohere2":
        return bool(config.layer_types[layer] == "sliding_attention")
    return True


def _table(model: Any, layer: int, positions: Tensor) -> tuple[Tensor, Tensor]:
    """Cosines and sines of the model's own rotary table for one layer, (1, S, width) float32."""
    rotary = model.get_decoder().rotary_emb
    like = torch.zeros(1, dtype=torch.float32, device=positions.device)
    ids = positions.reshape(1, -1)
    if hasattr(rotary, "layer_types"):
        cos, sin = rotary(like, ids, layer_type=model.config.get_text_config().layer_types[layer])
    else:
        cos, sin = rotary(like, ids)
    return cos.float(), sin.float()


def _rotate(attention: Any, key: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    apply = sys.modules[type(attention).__module__].apply_rotary_pos_emb
    width = getattr(attention, "rotary_ndims", None)  # Phi rotates a leading part and keeps the rest
    if width is None:
        rotated: Tensor = apply(key, key, cos, sin)[1]
        return rotated
    part: Tensor = apply(key[..., :width], key[..., :width], cos, sin)[1]
    return torch.cat([part, key[..., width:]], dim=-1)


def move_keys(model: nn.Module, keys: Tensor, old: Tensor, new: Tensor) -> Tensor:
    """Keys as they would be at other positions.

    Args:
        model: the causal language model whose tables rotated the keys.
        keys: (L, Hkv, S, D), rotated at `old`.
        old: positions, (S,) int.
        new: positions, (S,) int.

    Returns:
        (L, Hkv, S, D) in the dtype of `keys`; slots whose position stays are returned bit for bit.
    """
    moving = old != new
    if not bool(moving.any()):
        return keys
    config = model.config.get_text_config()  # type: ignore[operator, union-attr]
    out = keys.clone()
    for layer, attention in enumerate(attention_modules(model)):
        if not _uses_rope(attention, config, layer):
            continue
        cos, sin = _table(model, layer, old[moving])
        norm = cos**2 + sin**2
        bare = _rotate(attention, keys[layer : layer + 1, :, moving].float(), cos / norm, -sin / norm)
        moved = _rotate(attention, bare, *_table(model, layer, new[moving]))
        out[layer, :, moving] = moved[0].to(keys.dtype)
    return out
