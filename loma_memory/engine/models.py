"""Loading a model by alias, Hugging Face id or path."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from loma_memory.attention import ATTENTION, register
from loma_memory.engine.chat_format import ChatFormat
from loma_memory.engine.device import pick_device, pick_dtype
from loma_memory.engine.digests import weights_digest
from loma_memory.engine.support import check_supported, position_limit
from loma_memory.errors import ModelError


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A model ready to run.

    Attributes:
        name: what the user called it.
        model: the transformers model, frozen, in eval mode, with this library's attention.
        format: its chat template, taken apart.
        digest: digest of its weights.
        limit: number of positions that it was made for.
    """

    name: str
    model: Any
    format: ChatFormat
    digest: str
    limit: int

    @property
    def device(self) -> torch.device:
        """Where it runs."""
        device: torch.device = self.model.device
        return device

    @property
    def dtype(self) -> torch.dtype:
        """What it computes in."""
        dtype: torch.dtype = self.model.dtype
        return dtype

    @property
    def kv_shape(self) -> tuple[int, int, int]:
        """Layers, key/value heads of a layer, and channels of a key."""
        text = self.model.config.get_text_config()
        width = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
        return int(text.num_hidden_layers), int(text.num_key_value_heads), int(width)


def prepare(model: Any, tokenizer: Any, name: str, digest: str) -> LoadedModel:
    """Freeze a transformers model, check it, and set this library's attention.

    Raises:
        ModelError: a model that memory cannot enter.
    """
    check_supported(model)
    register()
    model.set_attn_implementation(ATTENTION)
    model.eval().requires_grad_(False)
    config = model.generation_config.eos_token_id if model.generation_config is not None else None
    stops = tuple(config) if isinstance(config, list) else ((config,) if config is not None else ())
    return LoadedModel(name, model, ChatFormat.of(tokenizer, stops), digest, position_limit(model.config))


def load(
    name: str,
    *,
    device: str | None = None,
    dtype: str | None = None,
    text_adapter: str | None = None,
    progress: Callable[[str], None] | None = None,
) -> LoadedModel:
    """Load a model.

    Args:
        name: an alias (see `loma_memory.engine.aliases`), a local folder, or a Hugging Face id.
        device: cpu, cuda, mps; None picks.
        dtype: float32, bfloat16, float16; None picks.
        text_adapter: folder of an ordinary LoRA to merge in first.
        progress: told what is being done, for the first start that downloads.

    Raises:
        ModelError: nothing of that name, or a model that cannot be served.
        UsageError: a device or dtype that does not exist.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from loma_memory.engine.aliases import (
        DEFAULT_MODEL,
        PLAIN_MODEL,
        is_alias,
        resolve,
    )  # reads files of the package only when asked

    where = pick_device(device)
    precision = pick_dtype(where, dtype)
    if not is_alias(name) and not Path(name).is_dir() and (name.count("/") != 1 or name[0] in "./~"):
        known = ", ".join((DEFAULT_MODEL, PLAIN_MODEL))
        raise ModelError(
            f"no model {name!r}: it is no folder, no Hugging Face id (owner/name), and not {known}"
        )
    source = str(resolve(name, progress=progress)) if is_alias(name) else name
    if text_adapter is not None:
        from loma_memory.engine.merged import merged

        source = str(merged(Path(source), Path(text_adapter), Path(source).name, progress=progress))
    try:
        tokenizer = AutoTokenizer.from_pretrained(source)
        model: Any = AutoModelForCausalLM.from_pretrained(source, dtype=precision)
    except (OSError, ValueError, KeyError, ImportError, RuntimeError, SafetensorError) as error:
        reason = str(error).strip().splitlines()
        raise ModelError(
            f"cannot load the model {name!r}: {reason[0] if reason else type(error).__name__}"
        ) from None
    model.to(where)
    return prepare(model, tokenizer, name, weights_digest(Path(source), model))
