"""Tiny random models of every family, in float64 and with weights large enough that memory matters.

RMSNorm modules compute in float32 even in a float64 model, which rounds small differences away: here they
are made to compute in the dtype of their input.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import MethodType
from typing import Any

import torch
import transformers as hf
from torch import Tensor, nn

from loma_memory.adapter import AdapterSettings, MemoryAdapter
from loma_memory.attention import ATTENTION, register
from loma_memory.engine.models import LoadedModel
from loma_memory.engine.support import check_supported, position_limit

VOCABULARY = 67
WINDOW = 6
_SLIDING, _FULL = "sliding_attention", "full_attention"

_BASE: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 40,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
_MIXED = {"layer_types": [_SLIDING, _FULL, _SLIDING], "sliding_window": WINDOW}


def _rope(kind: str, **more: Any) -> dict[str, Any]:
    return {"rope_parameters": {"rope_type": kind, "rope_theta": 10000.0, **more}}


_YARN = _rope("yarn", factor=4.0, original_max_position_embeddings=128)
_LLAMA3 = _rope(
    "llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=64
)
_PARTIAL = _rope("default", partial_rotary_factor=0.5)

FAMILIES: dict[str, Callable[..., Any]] = {
    "llama": lambda **k: hf.LlamaForCausalLM(hf.LlamaConfig(**k)),
    "llama-llama3-rope": lambda **k: hf.LlamaForCausalLM(hf.LlamaConfig(**{**k, **_LLAMA3})),
    "llama-yarn": lambda **k: hf.LlamaForCausalLM(hf.LlamaConfig(**{**k, **_YARN})),
    "qwen2": lambda **k: hf.Qwen2ForCausalLM(hf.Qwen2Config(**k)),
    "qwen3": lambda **k: hf.Qwen3ForCausalLM(hf.Qwen3Config(**k, head_dim=12, tie_word_embeddings=True)),
    "mistral": lambda **k: hf.MistralForCausalLM(hf.MistralConfig(**k, head_dim=8, sliding_window=None)),
    "mistral-window": lambda **k: hf.MistralForCausalLM(
        hf.MistralConfig(**k, head_dim=8, sliding_window=WINDOW)
    ),
    "gemma3": lambda **k: hf.Gemma3ForCausalLM(
        hf.Gemma3TextConfig(**{**_MIXED, **k}, head_dim=12, query_pre_attn_scalar=10)
    ),
    "smollm3": lambda **k: hf.SmolLM3ForCausalLM(hf.SmolLM3Config(**k, no_rope_layers=[1, 0, 1])),
    "phi": lambda **k: hf.PhiForCausalLM(hf.PhiConfig(**{**k, **_PARTIAL})),
    "phi3": lambda **k: hf.Phi3ForCausalLM(hf.Phi3Config(**k)),
    "phi4-mini": lambda **k: hf.Phi3ForCausalLM(hf.Phi3Config(**{**k, **_PARTIAL})),
    "gpt-oss": lambda **k: hf.GptOssForCausalLM(
        hf.GptOssConfig(**{**_MIXED, **_YARN, **k}, head_dim=8, num_local_experts=4, num_experts_per_tok=2)
    ),
    "glm4": lambda **k: hf.Glm4ForCausalLM(hf.Glm4Config(**{**k, **_PARTIAL}, head_dim=8)),
    "gemma2": lambda **k: hf.Gemma2ForCausalLM(
        hf.Gemma2Config(**{**_MIXED, **k}, head_dim=12, query_pre_attn_scalar=10, attn_logit_softcapping=4.0)
    ),
    "granite": lambda **k: hf.GraniteForCausalLM(
        hf.GraniteConfig(
            **k,
            attention_multiplier=0.2,
            embedding_multiplier=3.0,
            logits_scaling=2.0,
            residual_multiplier=0.6,
        )
    ),
    "olmo2": lambda **k: hf.Olmo2ForCausalLM(hf.Olmo2Config(**k)),
    "cohere2": lambda **k: hf.Cohere2ForCausalLM(hf.Cohere2Config(**{**_MIXED, **k}, logit_scale=0.5)),
}
"""A maker for each family; keywords override the common configuration."""

PROMISED = ["llama", "qwen2", "qwen3", "mistral", "mistral-window", "gemma3", "smollm3"]
"""The families that the README names."""

WINDOWED = ["mistral-window", "gemma3", "gemma2", "gpt-oss", "cohere2"]
"""Those with sliding-window layers."""


def _exact(self: Any, x: Tensor) -> Tensor:
    eps = getattr(self, "variance_epsilon", None) or self.eps
    scaled = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps)
    return scaled * (self.weight if self.plain else 1.0 + self.weight)


def _exact_centred(self: Any, x: Tensor) -> Tensor:
    centred = x - x.mean(-1, keepdim=True)
    return self.weight * centred * torch.rsqrt(centred.pow(2).mean(-1, keepdim=True) + self.variance_epsilon)


def exact_norms(model: nn.Module) -> None:
    """Let norms compute in the dtype of their input."""
    for module in model.modules():
        name = type(module).__name__
        if "RMSNorm" in name:
            module.plain = not name.startswith("Gemma")
            module.forward = MethodType(_exact, module)
        elif name == "Cohere2LayerNorm":
            module.forward = MethodType(_exact_centred, module)


@torch.no_grad()
def _draw(model: nn.Module, std: float, seed: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    for name, weight in model.named_parameters():
        noise = torch.randn(weight.shape, generator=draw, dtype=torch.float64).to(weight.dtype)
        if weight.dim() == 1 and "norm" in name:
            weight.add_(0.1 * noise)
        else:
            weight.copy_(noise * (1.0 if "embed" in name else std))


def build(
    family: str, *, dtype: torch.dtype = torch.float64, seed: int = 0, exact: bool = True, **config: Any
) -> Any:
    """A random model of a family, in eval mode, with the attention of transformers' own choice."""
    torch.manual_seed(seed)
    model = FAMILIES[family](**{**_BASE, **config}).to(dtype).eval()
    _draw(model, 0.3, seed)
    if exact:
        exact_norms(model)
    if family == "gpt-oss":
        model.set_experts_implementation("eager")  # the grouped product knows no float64
    return model


@dataclass
class FakeFormat:
    """What the engine asks of a chat format, without a tokenizer."""

    sink: list[int] = field(default_factory=lambda: [1, 5, 9])
    stop_ids: tuple[int, ...] = (2,)
    tokenizer: Any = None

    def header_ids(self) -> list[int]:
        """The sink's tokens."""
        return list(self.sink)

    def weigh(self, ids: Sequence[int]) -> list[float]:
        """Weights that differ from token to token."""
        return [1.0 + 3.0 * (i % 3 == 0) for i in ids]

    @property
    def inner(self) -> Tensor:
        """Every third token is a piece, which a penalty spares."""
        return torch.arange(300) % 3 == 0


def loaded(model: Any, sink: Sequence[int] = (1, 5, 9), stops: Sequence[int] = (2,)) -> LoadedModel:
    """The model as the engine holds it."""
    check_supported(model)
    register()
    model.set_attn_implementation(ATTENTION)
    model.requires_grad_(False)
    form: Any = FakeFormat(list(sink), tuple(stops))
    return LoadedModel("tiny", model, form, "b2:test", position_limit(model.config))


def with_adapter(model: Any, *, rank: int = 3, seed: int = 7, **settings: Any) -> MemoryAdapter:
    """An adapter whose update is large: B is drawn at random, and so is the memory-token table."""
    adapter = MemoryAdapter.create(model, AdapterSettings(rank=rank, alpha=rank, **settings))
    draw = torch.Generator().manual_seed(seed)
    adapter.tokens.to(model.dtype)
    with torch.no_grad():
        for parameter in adapter.parameters():
            noise = torch.randn(parameter.shape, generator=draw, dtype=torch.float64)
            parameter.copy_(noise * (1.0 if parameter is adapter.tokens.weight else 0.3))
    return adapter
