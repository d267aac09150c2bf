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

from loma_memory.engine.chat_format import ChatFormat
from loma_memory.engine.pieces import COMMON, FREQUENT, LEAST, MARK, MOST, PIECE, RARE, Pieces

WHOLE = ("My", "Ġsister", "Ġis", "Ġreally")
SPELT = ("ĠW", "il", "hel", "m", "i", "n", "a", "Ġ4", "2")


@cache
def spelling() -> PreTrainedTokenizerFast:
    """A tokenizer with a token for some words, and letters for all others."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges: list[tuple[str, str]] = []
    for word in [*WHOLE, "Ġ4", "ĠW", "hel", "il"]:
        known = word[0]
        for letter in word[1:]:
            if (known, letter) not in merges:
                merges.append((known, letter))
            known += letter
    vocab = {t: i for i, t in enumerate(["<|end|>", *letters, *dict.fromkeys(a + b for a, b in merges)])}
    raw = Tokenizer(models.BPE(vocab=vocab, merges=merges))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return PreTrainedTokenizerFast(tokenizer_object=raw, eos_token="<|end|>")


def ids(text: str, tokenizer: Any) -> list[int]:
    found: list[int] = tokenizer(text, add_special_tokens=False, split_special_tokens=True).input_ids
    return found


def unscaled(weights: list[float], lightest: float) -> list[float]:
    """The same weights as they were before they were scaled, from the least that is among them."""
    return [w * lightest / min(weights) for w in weights]


def test_pieces_of_words_and_numbers_weigh_most() -> None:
    tokenizer = spelling()
    text = ids("My sister Wilhelmina is 42, really." + "." * 60, tokenizer)
    found = unscaled(Pieces(tokenizer)(text), MARK)
    for token, weight in zip(tokenizer.convert_ids_to_tokens(text), found, strict=True):
        assert weight == pytest.approx(PIECE if token in SPELT else COMMON if token in WHOLE else MARK), token


def test_a_word_after_a_line_feed_or_a_marker_is_a_word_of_its_own() -> None:
    tokenizer = spelling()
    end, my, feed = tokenizer.eos_token_id, ids("My", tokenizer), ids("\n", tokenizer)
    weigh = Pieces(tokenizer)
    found = unscaled(weigh([end, *my, *feed, *my]), MARK)
    assert found == pytest.approx([MARK, COMMON, MARK, COMMON])
    assert weigh([*my, *my]) == [MOST, MOST], "without a space between it is one word"
    assert weigh([*my, *feed, *my], 1, 2) == pytest.approx([LEAST] * 3), "markers are no words"


def test_rare_words_weigh_more_than_frequent_ones() -> None:
    class Known:
        """20,000 words, each a token; the earlier it was learned, the more frequent it is."""

        all_special_ids: tuple[int, ...] = ()

        def __len__(self) -> int:
            return 20_000

        def convert_ids_to_tokens(self, wanted: list[int]) -> list[str]:
            return [f"Ġw{i}" for i in wanted]

    weigh = Pieces(Known())
    found = unscaled([*weigh([0, FREQUENT, 500, 2000, 8000, 19_999, *[0] * 40])], COMMON)[:6]
    assert found[:2] == pytest.approx([COMMON, COMMON])
    assert found[2:] == sorted(found[2:])
    assert found[3] == pytest.approx(RARE * 0.4114, rel=1e-3)  # ln 5 / ln 50
    assert found[-1] == pytest.approx(RARE, rel=1e-3)


@given(st.text(max_size=60))
def test_no_message_weighs_much_more_or_less_than_another(text: str) -> None:
    tokens = ids(text, _bytes())
    found = _pieces()(tokens)
    assert len(found) == len(tokens)
    assert all(w > 0 for w in found)
    assert LEAST * len(tokens) - 1e-9 <= sum(found) <= MOST * len(tokens) + 1e-9


@pytest.mark.parametrize("role", ["user", "assistant"])
@pytest.mark.parametrize("text", ["", "a", "forty two."])
def test_what_a_role_is_called_weighs_nothing(role: str, text: str) -> None:
    form = ChatFormat.of(_bytes())
    whole = form.message_ids(role, text)
    before, after = len(form.prefix_ids(role)), len(form.suffix_ids(role))
    found = form.weigh(whole)
    assert len(set(found[:before] + found[len(found) - after :])) == 1
    assert found[0] == min(found)
    assert sum(found[before : len(found) - after]) == pytest.approx(
        sum(_pieces()(whole, before, len(whole) - after)[before : len(whole) - after])
    )
    assert len(form.weigh(whole[1:])) == len(whole) - 1, "also of what is no whole message"


def test_a_penalty_counts_words_and_no_pieces_or_digits() -> None:
    tokenizer = spelling()
    form = ChatFormat(tokenizer, "", {}, {}, ())
    assert not form.inner[tokenizer.convert_tokens_to_ids(list(WHOLE[1:]))].any()
    pieces = ids("4425 il hel", tokenizer)
    said = tokenizer.convert_ids_to_tokens(pieces)
    assert form.inner[pieces].tolist() == [t[0] != "Ġ" for t in said]
    assert True in form.inner[pieces]
    assert (len(form.inner), bool(form.inner[-1])) == (len(tokenizer) + 1, False)


@cache
def _bytes() -> PreTrainedTokenizerFast:
    return byte_tokenizer()


@cache
def _pieces() -> Pieces:
    return Pieces(_bytes())
