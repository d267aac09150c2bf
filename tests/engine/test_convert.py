from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_gguf import write_gguf
from transformers import AutoModelForCausalLM, AutoTokenizer

from loma_memory.engine.convert import convert, hf_name, to_bfloat16, unpermute
from loma_memory.errors import ModelError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_gguf(tmp_path / "tiny.gguf")
    (tmp_path / "out").mkdir()
    convert(tmp_path / "tiny.gguf", tmp_path / "out")
    return tmp_path / "out"


@pytest.mark.parametrize("tied", [True, False])
def test_weights_are_bit_for_bit_those_of_transformers(tmp_path: Path, tied: bool) -> None:
    write_gguf(tmp_path / "tiny.gguf", tied=tied)
    (tmp_path / "out").mkdir()
    convert(tmp_path / "tiny.gguf", tmp_path / "out")
    ours = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    extra = {}
    try:  # absent in 5.0 to 5.2, which unpack unasked
        from transformers import GgufConfig
    except ImportError:
        pass
    else:
        extra["quantization_config"] = GgufConfig(gguf_file=str(tmp_path / "tiny.gguf"), dequantize=True)
    theirs = AutoModelForCausalLM.from_pretrained(
        tmp_path, gguf_file="tiny.gguf", dtype=torch.bfloat16, **extra
    )
    expected = theirs.state_dict()
    assert ours.state_dict().keys() == expected.keys()
    for name, tensor in ours.state_dict().items():
        assert tensor.dtype == torch.bfloat16
        assert torch.equal(tensor, expected[name]), name
    assert ours.config.tie_word_embeddings is tied
    tokens = torch.tensor([[1, 5, 9, 2]])
    assert torch.equal(ours(tokens).logits, theirs(tokens).logits)


def test_model_loads_in_bfloat16_with_the_files_limits(folder: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert model.dtype == torch.bfloat16
    assert model.config.max_position_embeddings == 128
    assert (model.config.num_attention_heads, model.config.num_key_value_heads) == (4, 2)
    assert model.generation_config.eos_token_id == 2


def test_tokenizer_sets_digits_apart_before_merging(folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer.tokenize("hi\n\n12") == ["hi", "ĊĊ", "1", "2"]
    assert tokenizer.tokenize("a  5") == ["a", "ĠĠ", "5"]


@pytest.mark.parametrize(
    "text", ["", "hi  there", "é 😀 \x00\x7f", "<|im_start|>user\nhi<|im_end|>\n", " 1984 "]
)
def test_tokenizer_gives_back_any_text(folder: Path, text: str) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer.decode(tokenizer(text).input_ids) == text


def test_tokenizer_knows_its_special_tokens_and_template(folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id) == (1, 2, 2)
    assert tokenizer("<|im_end|>").input_ids == [2]
    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": "hi"}], tokenize=False, add_generation_prompt=True
    )
    assert text == "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"


def test_same_bytes_every_time(tmp_path: Path) -> None:
    write_gguf(tmp_path / "tiny.gguf")
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        convert(tmp_path / "tiny.gguf", tmp_path / name)
    for file in (tmp_path / "a").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
def test_weights_are_as_readable_as_the_other_files(folder: Path) -> None:
    modes = {file.stat().st_mode for file in folder.iterdir()}
    assert len(modes) == 1


def test_bfloat16_rounds_as_torch_does() -> None:
    random = np.random.default_rng(0)
    values = (random.normal(size=20_000) * 10.0 ** random.integers(-30, 30, 20_000)).astype(np.float32)
    ties = np.array([0.0, -0.0, 1.00390625, 1.01171875, -1.00390625, 65280.0], dtype=np.float32)
    values = np.concatenate([values, ties])
    expected = torch.from_numpy(values).to(torch.bfloat16).view(torch.int16).numpy().view(np.uint16)
    assert np.array_equal(to_bfloat16(values), expected)


def test_unpermute_brings_pairs_to_halves() -> None:
    rows = np.array(["0a", "0b", "1a", "1b", "2a", "2b", "3a", "3b"]).reshape(8, 1)  # two heads of four
    assert unpermute(rows, 2).ravel().tolist() == ["0a", "1a", "0b", "1b", "2a", "3a", "2b", "3b"]


def test_names() -> None:
    assert hf_name("blk.12.ffn_gate.weight") == "model.layers.12.mlp.gate_proj.weight"
    assert hf_name("output_norm.weight") == "model.norm.weight"
    with pytest.raises(KeyError):
        hf_name("blk.0.ffn_gate_exps.weight")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"architecture": "qwen2"}, "architecture 'llama'"),
        ({"splitting": "qwen2"}, "'smollm' splitting"),
        ({"poison": True}, "not finite"),
    ],
)
def test_other_kinds_are_refused(tmp_path: Path, options: dict[str, object], message: str) -> None:
    write_gguf(tmp_path / "tiny.gguf", **options)
    with pytest.raises(ModelError, match=message):
        convert(tmp_path / "tiny.gguf", tmp_path)


@pytest.mark.parametrize("content", [b"", b"GGUF", b"not a model at all" * 100])
def test_what_is_not_gguf_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.gguf").write_bytes(content)
    with pytest.raises(ModelError, match=r"bad\.gguf is not a GGUF file"):
        convert(tmp_path / "bad.gguf", tmp_path)


def test_a_cut_off_file_is_refused(tmp_path: Path) -> None:
    write_gguf(tmp_path / "tiny.gguf")
    whole = (tmp_path / "tiny.gguf").read_bytes()
    (tmp_path / "tiny.gguf").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError):
        convert(tmp_path / "tiny.gguf", tmp_path)
