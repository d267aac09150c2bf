"""Tiny random chat models with a tokenizer of their own: bytes for tokens, and no download."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

CHATML = (
    "{% for message in messages %}"
    "<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]


def byte_tokenizer(template: str = CHATML) -> PreTrainedTokenizerFast:
    """A tokenizer with one token a byte, three special ones, and a chat template."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {token: i for i, token in enumerate([*SPECIAL, *letters])}
    raw = Tokenizer(models.BPE(vocab=vocab, merges=[]))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw,
        bos_token="<|im_start|>",
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=SPECIAL,
        clean_up_tokenization_spaces=False,
    )
    tokenizer.chat_template = template
    return tokenizer


def tiny_model(
    tokenizer: PreTrainedTokenizerFast, *, seed: int = 0, positions: int = 2048
) -> LlamaForCausalLM:
    """Two random layers of width 32."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=positions,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return LlamaForCausalLM(config)


def save_tiny(folder: Path, *, template: str = CHATML, seed: int = 0, positions: int = 2048) -> str:
    """A tiny model's folder, as `Chatbot` and `Engine.load` take it."""
    tokenizer = byte_tokenizer(template)
    tiny_model(tokenizer, seed=seed, positions=positions).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def save_tiny_adapter(model: str, folder: Path, *, rank: int = 4, **settings: Any) -> str:
    """An untrained memory adapter for a tiny model."""
    from loma_memory.adapter import AdapterSettings, MemoryAdapter
    from loma_memory.engine.models import load

    loaded = load(model, device="cpu", dtype="float32")
    adapter = MemoryAdapter.create(loaded.model, AdapterSettings(rank=rank, **settings))
    adapter.save(folder, base_digest=loaded.digest)
    return str(folder)
