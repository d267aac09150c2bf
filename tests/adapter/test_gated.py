"""The gated layer's own backward pass, against autograd's through plain operations."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn

from loma_memory.adapter.gated import Gate, GatedVariant


class Net(nn.Module):
    def __init__(self, bias: bool) -> None:
        super().__init__()
        self.one = nn.Linear(6, 10, bias=bias)
        self.two = nn.Linear(10, 4, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.two(torch.tanh(self.one(x)))


def gated(bias: bool, dropout: float = 0.0, seed: int = 0) -> tuple[Any, Gate]:
    torch.manual_seed(seed)
    config = LoraConfig(
        r=3, lora_alpha=6, lora_dropout=dropout, target_modules=["one", "two"], init_lora_weights=False
    )
    model: Any = get_peft_model(Net(bias).double(), config, autocast_adapter_dtype=False).double()  # type: ignore
    gate = Gate()
    for layer in (model.base_model.model.one, model.base_model.model.two):
        layer.lora_variant["default"] = GatedVariant(gate)
    return model, gate


def plain(model: Any, x: Tensor, first: int, last: int) -> Tensor:
    """The same net in plain operations: y = Wx + b, plus scale·B·A·x where the gate is open."""
    inside = torch.zeros(x.shape[1], 1, dtype=x.dtype)
    inside[first:last] = 1.0

    def layer(linear: Any, value: Tensor) -> Tensor:
        a, b = linear.lora_A["default"].weight, linear.lora_B["default"].weight
        return linear.base_layer(value) + inside * (value @ a.T @ b.T) * 2.0

    net = model.base_model.model
    return layer(net.two, torch.tanh(layer(net.one, x)))


@given(st.booleans(), st.integers(0, 5), st.integers(1, 5), st.integers(0, 5), st.integers(0, 99))
def test_values_and_gradients_are_those_of_the_formula(
    bias: bool, before: int, inside: int, after: int, seed: int
) -> None:
    model, gate = gated(bias, seed=seed)
    first, last = before, before + inside
    x = torch.randn(2, before + inside + after, 6, dtype=torch.float64, requires_grad=True)
    trained = [p for n, p in model.named_parameters() if "lora_" in n]
    gate.columns = (first, last)
    out = model(x)
    expected = plain(model, x, first, last)
    assert torch.allclose(out, expected, atol=1e-12)
    weight = torch.randn_like(expected)
    got = torch.autograd.grad((out * weight).sum(), [x, *trained])
    wanted = torch.autograd.grad((expected * weight).sum(), [x, *trained])
    assert all(torch.allclose(g, w, atol=1e-11) for g, w in zip(got, wanted, strict=True))
    assert all(float(g.abs().max()) > 0 for g in got)


@pytest.mark.parametrize("why", ["dropout", "trainable"])
def test_layers_that_are_not_plain_and_frozen_go_through_autograd(why: str) -> None:
    model, gate = gated(True, dropout=0.5 if why == "dropout" else 0.0)
    model.eval()
    if why == "trainable":
        model.base_model.model.one.base_layer.weight.requires_grad_(True)
    gate.columns = (1, 3)
    x = torch.randn(2, 5, 6, dtype=torch.float64, requires_grad=True)
    out = model(x)
    assert torch.allclose(out, plain(model, x, 1, 3), atol=1e-12)
    out.sum().backward()
    if why == "trainable":
        assert model.base_model.model.one.base_layer.weight.grad is not None


def test_a_shut_gate_leaves_the_base_layers_alone() -> None:
    model, gate = gated(True)
    x = torch.randn(2, 5, 6, dtype=torch.float64)
    with model.disable_adapter():
        base = model(x)
    assert torch.equal(model(x), base)
    gate.columns = (2, 4)
    opened = model(x)
    assert torch.equal(opened[:, :2], base[:, :2])
    assert torch.equal(opened[:, 4:], base[:, 4:])
    assert not torch.allclose(opened[:, 2:4], base[:, 2:4])
