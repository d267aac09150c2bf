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
    """The columns that an adapter acts on in the current pass; shared by all layers of a model."""

    columns: tuple[int, int] | None = None


ALL_COLUMNS = (0, 1 << 62)
"""What the gate of an adapter on the text path holds: it acts on every token."""


class _GatedLinear(torch.autograd.Function):
    """A frozen linear layer's output with the update added in place.

    Written out, because autograd's own way through slices and joins copies every row of every layer
    several times over: a seventh of a training step.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        result: Tensor,
        w: Tensor,
        a: Tensor,
        b: Tensor,
        scale: float,
        first: int,
        last: int,
    ) -> Tensor:
        """`result` = W·x, (B, S, out); the rows from `first` to `last` get (scale)·B·A·x as well."""
        rows = x[:, first:last]
        low = nn.functional.linear(rows, a)
        ctx.mark_dirty(result)
        result[:, first:last] += nn.functional.linear(low, b) * scale
        ctx.save_for_backward(x, low, w, a, b)
        ctx.scale, ctx.first, ctx.last = scale, first, last
        return result

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        """Gradients of x, A and B; W is frozen."""
        x, low, w, a, b = ctx.saved_tensors
        grad = grads[0]
        gated = grad[:, ctx.first : ctx.last] * ctx.scale
        down = gated @ b
        of_x = grad @ w
        of_x[:, ctx.first : ctx.last] += down @ a
        rows = x[:, ctx.first : ctx.last]
        of_a = down.flatten(0, 1).T @ rows.flatten(0, 1)
        of_b = gated.flatten(0, 1).T @ low.flatten(0, 1)
        return of_x, None, None, of_a, of_b, None, None, None


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
        scale, base = float(module.scaling[active_adapter]), module.get_base_layer()
        dropout = module.lora_dropout[active_adapter]
        if type(base) is nn.Linear and not base.weight.requires_grad and isinstance(dropout, nn.Identity):
            weights = (base.weight, a.to(x.dtype), b.to(x.dtype))
            out: Tensor = _GatedLinear.apply(  # type: ignore[no-untyped-call]
                x, result.detach(), *weights, scale, first, last
            )
            return out
        update = nn.functional.linear(dropout(x[:, first:last]), a.to(x.dtype))
        update = nn.functional.linear(update, b.to(x.dtype)) * scale
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
    return _set_variant(model, adapter_name, gate)


def open_gate(model: nn.Module, adapter_name: str) -> None:
    """Let one adapter act on every token: PEFT's own sum, in the model's precision and written out."""
    gate = Gate()
    gate.columns = ALL_COLUMNS
    _set_variant(model, adapter_name, gate)


def _set_variant(model: nn.Module, adapter_name: str, gate: Gate) -> Gate:
    for layer in model.modules():
        if isinstance(layer, LoraLayer) and adapter_name in layer.lora_A:
            layer.lora_variant[adapter_name] = GatedVariant(gate)
            layer.cast_input_dtype_enabled = False  # else every row of every layer is copied to float32
    return gate
