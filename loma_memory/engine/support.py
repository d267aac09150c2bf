"""Which models can be served, checked by their configuration and named when refused."""

from __future__ import annotations

from typing import Any

from loma_memory.errors import ModelError

_LAYERS = {"full_attention", "sliding_attention"}


def position_limit(config: Any) -> int:
    """Number of positions that the model was made for."""
    text = config.get_text_config()
    rope = getattr(text, "rope_parameters", None) or {}
    original = rope.get("original_max_position_embeddings") if isinstance(rope, dict) else None
    if original and rope.get("rope_type") in ("dynamic", "longrope"):
        return int(original)  # beyond it these tables depend on the call, so memory would not
    return int(getattr(text, "max_position_embeddings", 2048))


def check_supported(model: Any) -> None:
    """Refuse what memory slots cannot enter.

    Raises:
        ModelError: recurrent, chunked or latent attention, shared keys and values, or no rotary table.
    """
    config = model.config.get_text_config()
    name = config.model_type
    kinds = set(getattr(config, "layer_types", None) or []) - _LAYERS
    if kinds:
        raise ModelError(
            f"{name} has {', '.join(sorted(kinds))} layers; only full and sliding attention work"
        )
    if getattr(config, "kv_lora_rank", None):
        raise ModelError(f"{name} uses multi-head latent attention, which keeps no keys that could be slots")
    if getattr(config, "num_kv_shared_layers", 0):
        raise ModelError(f"{name} shares keys and values between layers, which slots cannot follow")
    decoder = model.get_decoder()
    layers = getattr(decoder, "layers", None)
    if layers is None or any(not hasattr(getattr(x, "self_attn", None), "layer_idx") for x in layers):
        raise ModelError(f"{name} has layers without ordinary self-attention")
    if not hasattr(decoder, "rotary_emb"):
        raise ModelError(f"{name} has no rotary position table")
