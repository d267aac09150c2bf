"""From a GGUF file to a folder that transformers loads at once: bfloat16 safetensors, config, tokenizer.

Transformers can read GGUF itself, but reads the file three times over (half a minute), gives packed
weights in some of its releases, and drops what `tokenizer.ggml.pre` says about splitting text. Here
one pass does it, in numpy alone, and the result is the same under every release: what is written is
what fingerprints are taken of. The weights are bit for bit those of transformers' own conversion.

Only the Llama architecture with a byte-level BPE vocabulary is handled, as in the models that
`fetch` knows by alias.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loma_memory.errors import ModelError

if TYPE_CHECKING:
    import numpy as np
    from gguf import GGUFReader
    from numpy.typing import NDArray

WEIGHTS = "model.safetensors"

_TOP = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
_LAYER = {
    "attn_norm.weight": "input_layernorm.weight",
    "attn_q.weight": "self_attn.q_proj.weight",
    "attn_k.weight": "self_attn.k_proj.weight",
    "attn_v.weight": "self_attn.v_proj.weight",
    "attn_output.weight": "self_attn.o_proj.weight",
    "ffn_norm.weight": "post_attention_layernorm.weight",
    "ffn_gate.weight": "mlp.gate_proj.weight",
    "ffn_up.weight": "mlp.up_proj.weight",
    "ffn_down.weight": "mlp.down_proj.weight",
}
_CONTROL_TOKEN = 3  # the token type that GGUF gives to special tokens


def convert(source: Path, folder: Path) -> None:
    """Write the model of one GGUF file into an existing folder, in the layout of transformers.

    Args:
        source: The GGUF file.
        folder: Where `model.safetensors`, `config.json`, `generation_config.json`, `tokenizer.json`,
            `tokenizer_config.json` and `chat_template.jinja` are written.

    Raises:
        ModelError: The file is not GGUF, or is not of a kind that is handled here.
    """
    from gguf import GGUFReader

    try:
        reader = GGUFReader(source)
    except (ValueError, IndexError, KeyError) as error:
        raise ModelError(f"{source.name} is not a GGUF file: {error}") from error
    try:
        _write_config(reader, folder)
        _write_tokenizer(reader, folder)
        _write_weights(reader, folder)
    except KeyError as error:
        raise ModelError(f"{source.name} lacks the entry {error}") from error


def hf_name(name: str) -> str:
    """Return the name that transformers gives to a tensor of a Llama GGUF file.

    Raises:
        KeyError: No tensor of the Llama architecture has that name.
    """
    if name.startswith("blk."):
        _, layer, rest = name.split(".", 2)
        return f"model.layers.{int(layer)}.{_LAYER[rest]}"
    return _TOP[name]


def unpermute(weight: NDArray[Any], heads: int) -> NDArray[Any]:
    """Undo llama.cpp's order of rotary rows: from interleaved pairs to two halves per head.

    Args:
        weight: A query or key projection, `(heads * head_dim, hidden)`.
        heads: How many heads its rows are divided into.
    """
    half = weight.shape[0] // heads // 2
    return weight.reshape(heads, half, 2, -1).swapaxes(1, 2).reshape(weight.shape)


def to_bfloat16(values: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Round float32 to the bits of the nearest bfloat16, ties to even, as torch does."""
    import numpy as np

    bits = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32)
    rounded = bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
    return (rounded >> np.uint32(16)).astype(np.uint16)


def _field(reader: GGUFReader, key: str) -> Any:
    """The value of one metadata entry as Python's own types; a KeyError where it is missing."""
    return reader.fields[key].contents()


def _write_json(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _write_config(reader: GGUFReader, folder: Path) -> None:
    architecture = _field(reader, "general.architecture")
    if architecture != "llama":
        raise ModelError(
            f"only GGUF files of architecture 'llama' are converted; this one is {architecture!r}"
        )
    hidden = _field(reader, "llama.embedding_length")
    heads = _field(reader, "llama.attention.head_count")
    tokens = {
        "bos_token_id": _field(reader, "tokenizer.ggml.bos_token_id"),
        "eos_token_id": _field(reader, "tokenizer.ggml.eos_token_id"),
        "pad_token_id": _field(reader, "tokenizer.ggml.padding_token_id"),
    }
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "attention_bias": False,
        "attention_dropout": 0.0,
        **tokens,
        "dtype": "bfloat16",
        "head_dim": hidden // heads,
        "hidden_act": "silu",
        "hidden_size": hidden,
        "initializer_range": 0.02,
        "intermediate_size": _field(reader, "llama.feed_forward_length"),
        "max_position_embeddings": _field(reader, "llama.context_length"),
        "mlp_bias": False,
        "num_attention_heads": heads,
        "num_hidden_layers": _field(reader, "llama.block_count"),
        "num_key_value_heads": _field(reader, "llama.attention.head_count_kv"),
        "rms_norm_eps": _field(reader, "llama.attention.layer_norm_rms_epsilon"),
        "rope_parameters": {"rope_theta": _field(reader, "llama.rope.freq_base"), "rope_type": "default"},
        "tie_word_embeddings": all(tensor.name != "output.weight" for tensor in reader.tensors),
        "use_cache": True,
        "vocab_size": _field(reader, "llama.vocab_size"),
    }
    _write_json(folder / "config.json", config)
    _write_json(folder / "generation_config.json", tokens)


def _write_tokenizer(reader: GGUFReader, folder: Path) -> None:
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    kind = _field(reader, "tokenizer.ggml.model"), _field(reader, "tokenizer.ggml.pre")
    if kind != ("gpt2", "smollm"):
        raise ModelError(
            f"only the 'gpt2' vocabulary with 'smollm' splitting is converted; this one is {kind}"
        )
    tokens: list[str] = _field(reader, "tokenizer.ggml.tokens")
    merges: list[str] = _field(reader, "tokenizer.ggml.merges")
    types: list[int] = _field(reader, "tokenizer.ggml.token_type")

    vocabulary = {token: index for index, token in enumerate(tokens)}
    pairs = [(left, right) for left, _, right in (merge.partition(" ") for merge in merges)]
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=pairs))
    # 'smollm' splitting is GPT-2's after every digit has been set apart. Left out, "\n\n1." and
    # "a  5" would be cut into other tokens than the model was trained on.
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(
        [
            AddedToken(token, special=True, normalized=False)
            for token, type_ in zip(tokens, types, strict=True)
            if type_ == _CONTROL_TOKEN
        ]
    )
    tokenizer.save(str(folder / "tokenizer.json"))

    def token(name: str) -> str:
        return tokens[int(_field(reader, f"tokenizer.ggml.{name}_token_id"))]

    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": token("bos"),
        "eos_token": token("eos"),
        "pad_token": token("padding"),
        "unk_token": token("unknown"),
        "clean_up_tokenization_spaces": False,
        "model_max_length": _field(reader, "llama.context_length"),
    }
    _write_json(folder / "tokenizer_config.json", settings)
    template = _field(reader, "tokenizer.chat_template")
    (folder / "chat_template.jinja").write_text(template, encoding="utf-8")


def _write_weights(reader: GGUFReader, folder: Path) -> None:
    """Write the tensors in safetensors format, one at a time: this way one of them at most is in memory.

    The format is eight bytes of header length, the header as JSON, the tensors. The package's own
    writers take all tensors at once, and their signature for bfloat16 without torch has changed.
    """
    import numpy as np
    from gguf import dequantize

    heads = {
        "attn_q.weight": _field(reader, "llama.attention.head_count"),
        "attn_k.weight": _field(reader, "llama.attention.head_count_kv"),
    }
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for tensor in reader.tensors:
        start, end = end, end + 2 * int(tensor.n_elements)
        shape = [int(size) for size in reversed(tensor.shape)]  # GGUF names the fastest axis first
        header[hf_name(tensor.name)] = {"dtype": "BF16", "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # tensors begin at a multiple of eight

    with (folder / WEIGHTS).open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for tensor in reader.tensors:
            values = dequantize(tensor.data, tensor.tensor_type)
            if not np.isfinite(values).all():
                raise ModelError(f"tensor {tensor.name} holds a value that is not finite")
            rotary = heads.get(tensor.name.split(".", 2)[-1])
            if rotary is not None:
                values = unpermute(values, rotary)
            file.write(to_bfloat16(values).tobytes())
