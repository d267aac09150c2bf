"""Text and memory trained together: the gradients of two adapters on a layer, and what a run leaves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from families import build, loaded
from peft import LoraConfig, get_peft_model
from peft.tuners.lora.layer import LoraLayer
from torch import Tensor

from loma_memory.adapter import AdapterSettings, MemoryAdapter
from loma_memory.attention import AttentionCall
from loma_memory.engine.onepass import lay_out
from loma_memory.errors import AdapterError
from loma_memory.methods import method
from loma_memory.training.encode import Encoded
from loma_memory.training.objectives import MemoryObjective
from loma_memory.training.text_path import TEXT, TextPath

TALK = (((3, 4, 5, 6), (7, 8, 9)), ((10, 11, 12), (13, 14, 15, 16)), ((17, 18), (19, 20, 21)))
IDS = torch.randint(3, 67, (2, 9), generator=torch.Generator().manual_seed(1))


def text_adapter(folder: Path) -> Path:
    """A text adapter that changes something, as PEFT saves it."""
    model = loaded(build("llama", dtype=torch.float32, exact=False)).model
    wrapped = get_peft_model(model, LoraConfig(r=2, lora_alpha=4, target_modules="all-linear"))
    torch.manual_seed(3)
    for name, parameter in wrapped.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_(0, 0.1)
    wrapped.save_pretrained(str(folder))
    return folder


def together(folder: Path, dtype: torch.dtype = torch.float64) -> tuple[TextPath, MemoryAdapter]:
    path = TextPath(loaded(build("llama", dtype=dtype, exact=False)), text_adapter(folder))
    adapter = MemoryAdapter.create(path.model, AdapterSettings(rank=3, alpha=3))
    torch.manual_seed(4)
    for name, parameter in path.model.named_parameters():
        if "lora_B.default" in name:
            parameter.data.normal_(0, 0.1)
    path.open()
    return path, adapter


def gradients(model: Any, call: AttentionCall, x: Tensor) -> dict[str, Tensor]:
    model.zero_grad()
    model(inputs_embeds=x, attention_mask=call.mask, loma=call).logits.square().sum().backward()
    return {n: p.grad.clone() for n, p in model.named_parameters() if "lora_" in n and p.grad is not None}


def test_both_adapters_get_the_gradients_that_autograd_gives(tmp_path: Path) -> None:
    """Written out for a frozen layer; where the layer trains too, autograd goes its own way."""
    path, _ = together(tmp_path)
    for parameter in path.model.parameters():
        parameter.data = parameter.data.double()
    call = AttentionCall((6, 9), torch.ones(2, 1, 9, 9, dtype=torch.bool).tril())
    x = path.model.get_input_embeddings()(IDS).detach()
    written = gradients(path.model, call, x)
    path.model.requires_grad_(True)
    own = gradients(path.model, call, x)
    assert written.keys() == own.keys()
    memory = sum(".default." in n for n in written)
    assert sum(f".{TEXT}." in n for n in written) == memory + 10, "five more layers, the last of the net"
    assert all(float(written[n].abs().max()) > 0 for n in written)
    for name, gradient in own.items():
        assert torch.allclose(written[name], gradient, atol=1e-9), name


def test_text_and_memory_tokens_get_what_is_theirs(tmp_path: Path) -> None:
    path, _ = together(tmp_path)
    layer = path.model.model.layers[0].self_attn.k_proj
    assert isinstance(layer, LoraLayer)
    seen: list[Tensor] = []
    hook = layer.register_forward_hook(lambda _m, args, out: seen.extend([args[0], out]))
    call = AttentionCall((6, 9), torch.ones(2, 1, 9, 9, dtype=torch.bool).tril())
    path.model(input_ids=IDS, attention_mask=call.mask, loma=call)
    hook.remove()
    x, y = seen

    def update(name: str) -> Tensor:
        a, b = layer.lora_A[name].weight.double(), layer.lora_B[name].weight.double()
        return x @ a.T @ b.T * layer.scaling[name]

    text = layer.base_layer(x) + update(TEXT)
    assert torch.allclose(y[:, :6], text[:, :6], atol=1e-6)
    assert torch.allclose(y[:, 6:], (text + update("default"))[:, 6:], atol=1e-6)


def test_the_teacher_sees_all_and_stays_as_it_was(tmp_path: Path) -> None:
    """With the adapter that the teacher has merged in, rows that see all text have nothing to learn."""
    path, adapter = together(tmp_path, torch.float32)
    base = loaded(build("llama", dtype=torch.float32, exact=False))
    from loma_memory.engine.merged import merge

    teacher = loaded(merge(base.model, tmp_path)).model
    row = Encoded(TALK, (0.0,) * 7 + (1.0,) * 12)
    how = [method("ccm-concat", ratio=2.0)]
    objective = MemoryObjective(path.model, adapter.tokens, how, [1, 5, 9], teacher=teacher)
    memory, _, _ = objective([row] * 2, 0)
    memory.backward()
    assert float(memory.detach()) > 1e-3
    moved = {n for n, p in path.model.named_parameters() if p.grad is not None and p.grad.abs().max() > 0}
    assert any(f".{TEXT}." in n for n in moved)
    assert any(".default." in n for n in moved)
    assert all(p.grad is None for p in teacher.parameters())


def test_rows_that_see_all_text_see_no_memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path, adapter = together(tmp_path, torch.float32)
    from loma_memory.engine.merged import merge
    from loma_memory.training import objectives

    teacher = loaded(merge(build("llama", dtype=torch.float32, exact=False), tmp_path)).model
    monkeypatch.setattr(objectives, "SHOWN", 1.0)
    row = Encoded(TALK, (0.0,) * 7 + (1.0,) * 12)
    objective = MemoryObjective(
        path.model, adapter.tokens, [method("ccm-concat", ratio=2.0)], [1, 5, 9], teacher=teacher
    )
    loss, _, figures = objective([row] * 2, 0)
    assert float(loss.detach()) < 1e-4
    assert figures["agree"] == 1.0
    one = lay_out(method("ccm-concat", ratio=2.0), [1, 5, 9], [TALK, TALK])
    objectives._show_all(one, torch.tensor([True, False]))
    mask = one.call.mask
    assert mask is not None
    width = one.text_width
    assert not mask[0, 0, :width, width:].any()
    assert mask[1, 0, :width, width:].any()
    assert mask[0, 0, :width, :width].sum() == width * (width + 1) // 2


def test_a_missing_text_adapter_is_named(tmp_path: Path) -> None:
    with pytest.raises(AdapterError, match=r"cannot load the text adapter in .*nowhere"):
        TextPath(loaded(build("llama", dtype=torch.float32, exact=False)), tmp_path / "nowhere")
