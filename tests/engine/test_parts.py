"""Smaller parts: chunks of long texts, digests, devices, text adapters that are merged in."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from families import build
from hypothesis import given
from hypothesis import strategies as st
from peft import LoraConfig, get_peft_model
from tiny_chat import save_tiny

from loma_memory.engine import device, fetch
from loma_memory.engine.chunks import chunks
from loma_memory.engine.digests import record_identity, weights_digest
from loma_memory.engine.merged import merge, merged
from loma_memory.engine.models import load
from loma_memory.errors import AdapterError, UsageError


def words(text: str) -> int:
    return len(text.split())


@given(st.text("ab .!?\n", max_size=200), st.integers(2, 20))
def test_chunks_lose_no_word_and_fit(text: str, limit: int) -> None:
    made = chunks(text, words, limit)
    assert " ".join(made).split() == text.split()
    assert all(c.strip() and words(c) <= limit for c in made)


@given(st.text(max_size=120), st.integers(1, 9))
def test_chunks_of_text_without_seams(text: str, limit: int) -> None:
    made = chunks(text, len, limit)
    assert "".join("".join(made).split()) == "".join(text.split())
    assert all(0 < len(c) <= limit for c in made)


def test_chunks_keep_paragraphs_together() -> None:
    text = "One two.\n\nThree four five.\n\nSix seven eight nine ten. Eleven twelve."
    assert chunks(text, words, 6) == [
        "One two.\nThree four five.",
        "Six seven eight nine ten.",
        "Eleven twelve.",
    ]
    assert chunks("  short  ", words) == ["short"]
    assert chunks(" \n ", words) == []


# --- digests -----------------------------------------------------------------------------------------


def test_weights_are_named_by_their_bytes(tmp_path: Path) -> None:
    one, two, other = (save_tiny(tmp_path / n, seed=s) for n, s in (("a", 0), ("b", 0), ("c", 1)))
    names = [weights_digest(Path(f), None) for f in (one, two, other)]
    assert names[0] == names[1] != names[2]
    notes = list(Path(one).glob("*.digest.json"))
    assert len(notes) == 1
    weights = Path(one) / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    os.utime(weights, ns=(1, 1))
    assert weights_digest(Path(one), None) != names[0], "a note of other bytes is not believed"
    for rubbish in ("", "[]", "{}", '{"size": 1}'):
        notes[0].write_text(rubbish)
        assert weights_digest(Path(one), None) == weights_digest(Path(one), None) != names[0]


def test_a_model_that_is_no_folder_is_named_by_its_tensors(tmp_path: Path) -> None:
    model = build("llama", dtype=torch.bfloat16, exact=False)
    name = weights_digest(tmp_path / "some" / "hub-id", model)
    assert name == weights_digest(tmp_path / "other", model)
    with torch.no_grad():
        next(model.parameters())[0, 0] += 1
    assert weights_digest(tmp_path / "other", model) != name


def test_a_recorded_identity_goes_first(tmp_path: Path) -> None:
    one, two = (Path(save_tiny(tmp_path / n, seed=s)) for n, s in (("a", 0), ("b", 1)))
    for folder in (one, two):
        record_identity(folder, "base+adapter")
    assert weights_digest(one, None) == weights_digest(two, None)


# --- devices -----------------------------------------------------------------------------------------


def test_devices_and_dtypes(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = torch.device("cpu")
    assert device.pick_device("cpu") == cpu
    assert device.pick_dtype(cpu, "float64") == torch.float64
    for has in (True, False):
        monkeypatch.setattr(device, "_cpu_has_bfloat16", lambda has=has: has)
        assert device.pick_dtype(cpu) == (torch.bfloat16 if has else torch.float32)
    for wrong in ("gpu", "", "cuda:99"):
        with pytest.raises(UsageError, match="device must be") as raised:
            device.pick_device(wrong)
        assert "\n" not in str(raised.value)
    with pytest.raises(UsageError, match="dtype must be one of"):
        device.pick_dtype(cpu, "half")


# --- text adapters -----------------------------------------------------------------------------------


@pytest.fixture
def text_adapter(tmp_path: Path) -> tuple[str, Path]:
    folder = save_tiny(tmp_path / "plain")
    config = LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM", init_lora_weights=False)
    torch.manual_seed(0)
    wrapped = get_peft_model(load(folder, device="cpu", dtype="float32").model, config)
    wrapped.save_pretrained(str(tmp_path / "adapter"))
    return folder, tmp_path / "adapter"


@torch.no_grad()
def test_merging_is_the_adapter(text_adapter: tuple[str, Path]) -> None:
    from peft import PeftModel

    folder, adapter = text_adapter
    ids = torch.tensor([[5, 6, 7]])

    def fresh() -> Any:
        return load(folder, device="cpu", dtype="float32").model

    whole = merge(fresh(), adapter)(input_ids=ids).logits
    beside = PeftModel.from_pretrained(fresh(), str(adapter))(input_ids=ids).logits
    assert torch.allclose(whole, beside, atol=1e-5)
    assert not torch.allclose(whole, fresh()(input_ids=ids).logits, atol=1e-3)


def test_a_merged_model_is_made_once_and_named_by_what_it_is_made_of(
    text_adapter: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, adapter = text_adapter
    monkeypatch.setattr(fetch, "cache_folder", lambda: tmp_path / "cache")
    told: list[str] = []
    made = merged(Path(folder), adapter, "tiny", progress=told.append)
    assert merged(Path(folder), adapter, "tiny", progress=told.append) == made
    assert len(told) == 1
    assert [p.name for p in made.parent.iterdir()] == [made.name], "nothing half-made is left"
    with_it = load(folder, device="cpu", text_adapter=str(adapter))
    assert with_it.digest != load(folder, device="cpu").digest
    weights = adapter / "adapter_model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    assert merged(Path(folder), adapter, "tiny") != made
    weights.unlink()
    with pytest.raises(AdapterError, match="cannot read the text adapter"):
        merged(Path(folder), adapter, "tiny")


def test_a_text_adapter_that_does_not_fit(text_adapter: tuple[str, Path]) -> None:
    folder, adapter = text_adapter
    config = adapter / "adapter_config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "r": 7}))
    with pytest.raises(AdapterError, match="cannot merge the text adapter") as raised:
        merge(load(folder, device="cpu", dtype="float32").model, adapter)
    assert "\n" not in str(raised.value)
