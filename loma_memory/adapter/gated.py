"""LoRA that acts on memory tokens only (conditional LoRA, CCM arXiv 2312.03414 §3.2).

Plain PEFT layers get a variant after injection or loading: it computes the low-rank update on the
gated columns alone and leaves every other row of the base layer's output untouched, bit for bit.
"""

from __future__ import annotations

from typing import Any

import torch
from peft.tuners.lora.layer import LoraLayer, LoraVariant
from torch import Tensor, nn

from loma_memory.attention.rotary import attention_modules
from loma_memory.errors import AdapterError


class Gate:
    """The columns that hold memory tokens in the current pass; shared by all layers of a model."""

    columns: tuple[int, int] | None = None


class GatedVariant(LoraVariant):
    """y = W₀x, plus (α/r)·B·A·x on the gated columns."""

    def __init__(self, gate: Gate) -> None:
        """`gate`: where the columns are read at each call."""
        self.gate = gate

    @staticmethod
    def init(module: Any, adapter_name: str, **kwargs: Any) -> None:
        """Nothing to prepare: weights are plain LoRA's."""

    def forward(  # type: ignore[override]  # static in peft, where a variant has no state
        self, module: Any, active_adapter: str, x: Tensor, result: Tensor, **kwargs: Any
    ) -> Tensor:
        """Add the update to the gated columns of `result`.

        Args:
            module: the LoRA layer.
            active_adapter: name of the adapter.
            x: (B, S, in).
            result: the base layer's output, (B, S, out).
            **kwargs: ignored.
        """
        if self.gate.columns is None:
            return result
        first, last = self.gate.columns
        a, b = module.lora_A[active_adapter].weight, module.lora_B[active_adapter].weight
        rows = module.lora_dropout[active_adapter](x[:, first:last])
        update = nn.functional.linear(nn.functional.linear(rows, a.to(x.dtype)), b.to(x.dtype))
        update = update * float(module.scaling[active_adapter])
        if first == 0 and last == x.shape[1]:
            return result + update
        return torch.cat([result[:, :first], result[:, first:last] + update, result[:, last:]], dim=1)

    @staticmethod
    def _refuse() -> None:
        raise AdapterError("a memory adapter cannot be merged: it acts on memory tokens only")

    @staticmethod
    def merge_safe(module: Any, active_adapter: str, orig_weight: Tensor) -> Tensor:
        """Refused."""
        GatedVariant._refuse()
        return orig_weight

    @staticmethod
    def merge_unsafe(module: Any, active_adapter: str, orig_weight: Tensor) -> None:
        """Refused."""
        GatedVariant._refuse()

    @staticmethod
    def unmerge(module: Any, active_adapter: str, orig_weight: Tensor) -> Tensor:
        """Refused."""
        GatedVariant._refuse()
        return orig_weight


def install_gate(model: nn.Module, adapter_name: str) -> Gate:
    """Gate one adapter of a model with injected LoRA layers.

    The gate is read from the `loma` keyword by a pre-hook on each attention module, which runs again
    when gradient checkpointing recomputes the layer; the MLP of the same layer finds it set.
    """
    gate = Gate()

    def set_gate(_module: nn.Module, _args: Any, kwargs: dict[str, Any]) -> None:
        call = kwargs.get("loma")
        gate.columns = None if call is None else call.gate

    for attention in attention_modules(model):
        attention.register_forward_pre_hook(set_gate, with_kwargs=True)
    for layer in model.modules():
        if isinstance(layer, LoraLayer) and adapter_name in layer.lora_A:
            layer.lora_variant[adapter_name] = GatedVariant(gate)
    return gate
