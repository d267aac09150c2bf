"""What tokens weigh where memory is placed."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_chat import byte_tokenizer
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from loma_memory.engine.pieces import MARK, MOST, PIECE, WORD, Pieces


@cache
def spelling() -> PreTrainedTokenizerFast:
    """A tokenizer with a token for some words, and letters for all others."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    whole = ["My", "Ġsister", "Ġis", "Ġreally", "Ġ4", "ĠW", "hel", "il"]
    merges: list[tuple[str, str]] = []
    for word in whole:
        known = word[0]
        for letter in word[1:]:
            if (known, letter) not in merges:
                merges.append((known, letter))
            known += letter
    made = [a + b for a, b in merges]
    vocab = {token: i for i, token in enumerate(["<|end|>", *letters, *dict.fromkeys(made)])}
    raw = Tokenizer(models.BPE(vocab=vocab, merges=merges))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return PreTrainedTokenizerFast(tokenizer_object=raw, eos_token="<|end|>")


def weights(text: str, tokenizer: Any) -> dict[str, list[float]]:
    ids = tokenizer(text, add_special_tokens=False).input_ids
    tokens = tokenizer.convert_ids_to_tokens(ids)
    return {"tokens": tokens, "weights": Pieces(tokenizer)(ids)}


def test_pieces_of_words_and_numbers_weigh_most() -> None:
    found = weights("My sister Wilhelmina is 42, really.", spelling())
    told = list(zip(found["tokens"], found["weights"], strict=True))
    whole = sum(PIECE if t in _PIECES else WORD if t in _WHOLE else MARK for t, _ in told)
    scale = min(1.0, MOST * len(told) / whole)
    for token, weight in told:
        expected = PIECE if token in _PIECES else WORD if token in _WHOLE else MARK
        assert weight == pytest.approx(expected * scale), token


_PIECES = ("ĠW", "il", "hel", "m", "i", "n", "a", "Ġ4", "2")
_WHOLE = ("My", "Ġsister", "Ġis", "Ġreally")


def test_a_word_after_a_line_feed_or_a_marker_is_a_word_of_its_own() -> None:
    tokenizer = spelling()
    end = tokenizer.eos_token_id
    my = tokenizer("My", add_special_tokens=False).input_ids
    feed = tokenizer("\n", add_special_tokens=False).input_ids
    assert Pieces(tokenizer)([end, *my, *feed, *my]) == [MARK, WORD, MARK, WORD]
    assert Pieces(tokenizer)([*my, *my]) == [MOST, MOST], "Without a space between it is one word."


@given(st.text(max_size=60))
def test_no_message_weighs_more_than_half_as_much_again(text: str) -> None:
    tokenizer = _bytes()
    ids = tokenizer(text, add_special_tokens=False, split_special_tokens=True).input_ids
    found = _pieces()(ids)
    assert len(found) == len(ids)
    assert all(w > 0 for w in found)
    assert sum(found) <= MOST * len(ids) + 1e-9


@cache
def _bytes() -> PreTrainedTokenizerFast:
    return byte_tokenizer()


@cache
def _pieces() -> Pieces:
    return Pieces(_bytes())
