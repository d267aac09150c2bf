"""The memory adapter: it acts on memory tokens only, and is kept in PEFT's own layout."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from families import FAMILIES, PROMISED, build, loaded, with_adapter
from peft import LoraConfig, PeftModel
from peft.tuners.lora.layer import LoraLayer
from programs import reader_of
from safetensors.torch import load_file, save_file
from torch import Tensor

from loma_memory.adapter import AdapterSettings, MemoryAdapter
from loma_memory.adapter.locate import locate
from loma_memory.attention import AttentionCall
from loma_memory.errors import AdapterError, LomaError, UsageError
from loma_memory.memory import MemoryState
from loma_memory.methods.ccm_concat import CCMConcat

IDS = torch.randint(3, 67, (2, 9), generator=torch.Generator().manual_seed(1))


def bare(family: str, dtype: torch.dtype) -> Any:
    return loaded(build(family, dtype=dtype, exact=False)).model


def memory_call(memory: int = 3) -> tuple[AttentionCall, Tensor]:
    """Text that sees text, and memory tokens at the end that see everything before them."""
    width = IDS.shape[1] + memory
    order = torch.ones(2, 1, width, width, dtype=torch.bool).tril()
    positions = torch.arange(width).expand(2, -1)
    return AttentionCall((IDS.shape[1], width), order, positions, positions), positions


@torch.no_grad()
def with_memory(model: Any, adapter: MemoryAdapter, gate: bool = True) -> Tensor:
    call, positions = memory_call()
    if not gate:
        call.gate = None
    text = model.get_input_embeddings()(IDS)
    memory = adapter.tokens(torch.arange(3).expand(2, -1)).to(text.dtype)
    out: Tensor = model(
        inputs_embeds=torch.cat([text, memory], 1),
        attention_mask=call.mask,
        position_ids=positions,
        loma=call,
    ).logits
    return out


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("family", list(FAMILIES))
def test_the_text_path_is_the_bare_model_bit_for_bit(family: str, dtype: torch.dtype) -> None:
    model = bare(family, dtype)
    whole = torch.ones(2, 1, 9, 9, dtype=torch.bool).tril()
    masked = model(input_ids=IDS, attention_mask=whole, loma=AttentionCall(mask=whole)).logits
    unmasked = model(input_ids=IDS).logits
    adapter = with_adapter(model)
    assert torch.equal(adapter.model(input_ids=IDS).logits, unmasked)
    call = AttentionCall(mask=whole)
    assert torch.equal(adapter.model(input_ids=IDS, attention_mask=whole, loma=call).logits, masked)
    # With memory tokens in the batch the text's rows are those of a model without an adapter.
    gated, plain = with_memory(adapter.model, adapter), with_memory(adapter.model, adapter, gate=False)
    assert torch.equal(gated[:, :9], plain[:, :9])
    assert not torch.equal(gated[:, 9:], plain[:, 9:])
    assert torch.equal(adapter.model(input_ids=IDS).logits, unmasked), "a gate that was left open"


def test_the_gate_is_what_conditional_lora_says() -> None:
    """y = W₀x on text and W₀x + (α/r)·B·A·x on memory tokens."""
    adapter = with_adapter(bare("llama", torch.float64), rank=3)
    layer = adapter.model.model.layers[0].self_attn.k_proj
    x = torch.randn(2, 12, 32, dtype=torch.float64)
    seen: list[Tensor] = []
    hook = layer.register_forward_hook(lambda _m, args, out: seen.extend([args[0], out]))
    with_memory(adapter.model, adapter)
    hook.remove()
    x, y = seen
    base = layer.base_layer(x)
    update = (
        x @ layer.lora_A["default"].weight.T @ layer.lora_B["default"].weight.T * layer.scaling["default"]
    )
    assert torch.equal(y[:, :9], base[:, :9])
    assert torch.allclose(y[:, 9:], base[:, 9:] + update[:, 9:], atol=1e-12)


def test_an_untrained_adapter_changes_nothing() -> None:
    model = bare("llama", torch.float32)
    adapter = MemoryAdapter.create(model, AdapterSettings(rank=2, alpha=2))
    assert torch.equal(with_memory(adapter.model, adapter), with_memory(adapter.model, adapter, gate=False))
    embeddings = model.get_input_embeddings().weight
    assert torch.allclose(adapter.tokens.weight[3], embeddings[3::8].mean(0), atol=1e-6)
    assert torch.equal(adapter.tokens(torch.tensor([7, 8, 90])), adapter.tokens.weight[[7, 7, 7]])


def test_gemma_memory_tokens_start_where_its_embeddings_are_scaled_to() -> None:
    model = bare("gemma3", torch.float32)
    adapter = MemoryAdapter.create(model, AdapterSettings(rank=2))
    raw = model.get_input_embeddings().weight[0::8].mean(0)
    assert torch.allclose(adapter.tokens.weight[0], raw * 32**0.5, atol=1e-5)


@pytest.mark.parametrize("family", PROMISED)
def test_nothing_trains_that_nothing_reaches(family: str) -> None:
    """The last layer's query, output and MLP have no adapter; the base is frozen."""
    adapter = with_adapter(bare(family, torch.float32))
    names = [n for n, m in adapter.model.named_modules() if isinstance(m, LoraLayer)]
    last = [n.rsplit(".", 1)[-1] for n in names if ".layers.2." in n]
    assert sorted(last) == ["k_proj", "v_proj"]
    assert len([n for n in names if ".layers.0." in n]) == 7
    trained = {id(p) for p in adapter.parameters()}
    assert all(p.requires_grad == (id(p) in trained) for p in adapter.model.parameters())
    assert not any("embed" in n or "lm_head" in n for n in names)


# --- at rest -----------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    adapter = with_adapter(bare("llama", torch.float32))
    adapter.save(tmp_path / "adapter", base_digest="b2:base")
    return tmp_path / "adapter"


def test_saved_and_loaded_bit_equal(folder: Path, tmp_path: Path) -> None:
    original = with_adapter(bare("llama", torch.float32))
    back = MemoryAdapter.load(bare("llama", torch.float32), folder, base_digest="b2:base")
    for a, b in zip(original.parameters(), back.parameters(), strict=True):
        assert torch.equal(a, b)
    assert back.settings == AdapterSettings(rank=3, alpha=3, base_digest="b2:base")
    # A loaded adapter is frozen; torch multiplies by weights that need gradients in another order.
    assert not any(p.requires_grad for p in back.model.parameters())
    original.model.requires_grad_(False)
    assert torch.equal(with_memory(original.model, original), with_memory(back.model, back))
    back.save(tmp_path / "again")
    for name in ("adapter_model.safetensors", "loma_memory_tokens.safetensors", "loma_adapter.json"):
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes()


def test_the_layout_is_pefts(folder: Path) -> None:
    files = {f.name for f in folder.iterdir()} - {"README.md"}
    assert files == {
        "adapter_config.json",
        "adapter_model.safetensors",
        "loma_adapter.json",
        "loma_memory_tokens.safetensors",
    }
    described = json.loads((folder / "adapter_config.json").read_text())
    assert described["peft_type"] == "LORA"
    assert described["r"] == 3
    assert described["base_model_name_or_path"] is None
    assert not any(str(folder.parent) in f.read_text() for f in folder.glob("*.json"))


def test_weights_may_be_kept_in_half_the_bytes(tmp_path: Path) -> None:
    adapter = with_adapter(bare("llama", torch.float32))
    adapter.save(tmp_path, dtype=torch.bfloat16)
    kept = load_file(tmp_path / "adapter_model.safetensors")
    assert {t.dtype for t in kept.values()} == {torch.bfloat16}
    back = MemoryAdapter.load(bare("llama", torch.float32), tmp_path)
    for a, b in zip(adapter.parameters()[:-1], back.parameters()[:-1], strict=True):
        assert torch.equal(a.bfloat16(), b.bfloat16())


@torch.no_grad()
def test_a_plain_peft_load_leaves_the_model_as_it_is(folder: Path) -> None:
    model = bare("llama", torch.float32)
    before = model(input_ids=IDS).logits
    wrapped: Any = PeftModel.from_pretrained(model, str(folder))
    assert torch.equal(wrapped(input_ids=IDS).logits, before)
    with pytest.raises(Exception, match=r"merg"):
        wrapped.merge_and_unload()


def test_merging_is_refused() -> None:
    adapter = with_adapter(bare("llama", torch.float32))
    layer = adapter.model.model.layers[0].self_attn.k_proj
    before = layer.base_layer.weight.clone()
    for safe in (False, True):
        with pytest.raises(AdapterError, match="cannot be merged"):
            layer.merge(safe_merge=safe)
    assert torch.equal(layer.base_layer.weight, before)


@torch.no_grad()
def test_a_second_ordinary_adapter_stays_ordinary() -> None:
    adapter = with_adapter(bare("llama", torch.float32))
    alone = with_memory(adapter.model, adapter)
    config = LoraConfig(r=2, target_modules=["k_proj"], init_lora_weights=False, task_type="CAUSAL_LM")
    adapter._wrapped.add_adapter("other", config)
    adapter._wrapped.set_adapter("other")
    reference = bare("llama", torch.float32)(input_ids=IDS).logits
    other = adapter.model(input_ids=IDS).logits
    assert not torch.equal(other, reference), "it acts on text, as ordinary ones do"
    adapter._wrapped.set_adapter("default")
    assert torch.equal(with_memory(adapter.model, adapter), alone)
    assert torch.equal(adapter.model(input_ids=IDS).logits, reference)


def test_each_model_object_has_a_gate_of_its_own() -> None:
    one, two = (with_adapter(bare("llama", torch.float32)) for _ in range(2))
    a = reader_of(loaded(one.model), CCMConcat(2), one.tokens)
    b = reader_of(loaded(two.model), CCMConcat(2), two.tokens)
    first = a.run([MemoryState()], [[[5, 6, 7]]], write=True)
    b.run([MemoryState()], [[[5, 6, 7, 8, 9]]], write=True)
    again = a.run([MemoryState()], [[[5, 6, 7]]], write=True)
    assert again.segments[0][0].equal(first.segments[0][0])


# --- damage ------------------------------------------------------------------------------------------


def fails(folder: Path, match: str, **more: Any) -> None:
    with pytest.raises(AdapterError, match=match) as raised:
        MemoryAdapter.load(bare("llama", torch.float32), folder, **more)
    assert "\n" not in str(raised.value)
    assert raised.value.exit_code == 1


FILES = [
    "loma_adapter.json",
    "loma_memory_tokens.safetensors",
    "adapter_config.json",
    "adapter_model.safetensors",
]


def test_missing_and_foreign_files(folder: Path, tmp_path: Path) -> None:
    for name in FILES:
        broken = tmp_path / name.replace(".", "-")
        shutil.copytree(folder, broken)
        (broken / name).unlink()
        fails(broken, "loma_adapter.json is missing" if name == "loma_adapter.json" else "cannot read")
    fails(tmp_path / "nowhere", "no memory adapter at .*nowhere")
    fails(folder, "trained on other weights", base_digest="b2:other")


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"\xff\xfe\x00", None], ids=str)
def test_damaged_files(folder: Path, name: str, damage: bytes | None) -> None:
    file = folder / name
    file.write_bytes(file.read_bytes()[:-20] if damage is None else damage)
    fails(folder, "adapter")


def test_pickles_are_never_opened(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without safetensors PEFT would take adapter_model.bin."""
    weights = load_file(folder / "adapter_model.safetensors")
    torch.save(weights, folder / "adapter_model.bin")
    (folder / "adapter_model.safetensors").unlink()
    monkeypatch.setattr(torch, "load", lambda *a, **k: pytest.fail("torch.load was called"))
    fails(folder, "adapter_model.safetensors")


def test_weights_of_another_shape_or_name(folder: Path) -> None:
    file = folder / "adapter_model.safetensors"
    weights = load_file(file)
    first = sorted(weights)[0]
    save_file({k: v for k, v in weights.items() if k != first}, file)
    fails(folder, "1 weights are missing or foreign")
    save_file(
        {**weights, "base_model.model.model.layers.9.self_attn.k_proj.lora_A.weight": torch.ones(3, 32)}, file
    )
    fails(folder, "1 weights are missing or foreign")
    save_file({**weights, first: torch.ones(3, 5)}, file)
    fails(folder, "cannot load the adapter")
    table = folder / "loma_memory_tokens.safetensors"
    save_file(weights, file)
    save_file({"weight": torch.zeros(8, 5)}, table)
    fails(folder, "must be 8 × 32 for this model, it is 8 × 5")
    save_file({"other": torch.zeros(8, 32)}, table)
    fails(folder, "cannot read")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("bias", "all"), ("modules_to_save", ["lm_head"]), ("use_dora", True), ("peft_type", "IA3"),
        ("lora_bias", True), ("trainable_token_indices", [1]), ("layer_replication", [[0, 2]]),
    ],
)  # fmt: skip
def test_adapters_that_would_touch_text_are_refused(folder: Path, key: str, value: Any) -> None:
    file = folder / "adapter_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), key: value}))
    fails(folder, f"{key} must be")


@pytest.mark.parametrize(
    "changes",
    [{"format": 2}, {"rank": 0}, {"rank": "x"}, {"surplus": 1}, {"table_rows": 0}, {"dropout": 1.0}],
    ids=str,
)
def test_settings_that_break_a_rule(folder: Path, changes: dict[str, Any]) -> None:
    file = folder / "loma_adapter.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))
    fails(folder, "loma_adapter.json")


def test_settings_are_checked_when_made() -> None:
    for wrong in ({"rank": 0}, {"table_rows": 0}, {"dropout": -0.1}, {"dropout": 1.0}):
        with pytest.raises(UsageError):
            AdapterSettings(**wrong)  # type: ignore[arg-type]


def test_locating(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub
    from huggingface_hub.errors import LocalEntryNotFoundError

    def offline(*_a: Any, **_k: Any) -> str:
        raise LocalEntryNotFoundError("offline\nmore")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", offline)
    assert locate(folder) == folder
    assert locate(str(folder)) == folder
    for wrong, words in (
        (tmp_path, "loma_adapter.json is missing"),
        ("nowhere", "no such folder"),
        ("./a/b", "no such folder"),
        ("some/name", "here or on the hub: offline$"),
    ):
        with pytest.raises(LomaError, match=words):
            locate(wrong)


def test_from_the_hub(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    asked: list[Any] = []

    def download(name: str, allow_patterns: list[str]) -> str:
        asked.append((name, allow_patterns))
        return str(folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert locate("some/name") == folder
    assert asked == [("some/name", ["*.json", "*.safetensors"])]
