"""Streaming text: whole characters, stop strings, an end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_chat import byte_tokenizer

from loma_memory.engine.replies import ReplySettings, TextStream
from loma_memory.errors import UsageError

TOKENIZER = byte_tokenizer()


def tokens_of(text: str | bytes) -> list[int]:
    """One token a byte."""
    data = text.encode() if isinstance(text, str) else text
    letters = {chr(b): b for b in range(256)}
    assert letters
    alphabet = _byte_letters()
    return [TOKENIZER.convert_tokens_to_ids(alphabet[b]) for b in data]


def _byte_letters() -> dict[int, str]:
    """The letters that byte-level tokenizers write bytes with."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [b for b in range(256) if b not in plain]
    return {**{b: chr(b) for b in plain}, **{b: chr(256 + i) for i, b in enumerate(rest)}}


def stream(ids: list[int], *, stop: tuple[str, ...] = (), most: int = 1000) -> tuple[TextStream, list[str]]:
    def steps() -> Iterator[list[int | None]]:
        for i in ids[:most]:
            yield [i]

    made = TextStream(TOKENIZER, steps(), ReplySettings(stop=stop, max_tokens=most))
    return made, list(made)


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=12).filter(lambda t: "\ufffd" not in t))
def test_pieces_are_whole_characters_and_add_up(text: str) -> None:
    made, pieces = stream(tokens_of(text))
    assert "".join(pieces) == text == made.text
    assert all(pieces)
    assert made.tokens == len(text.encode())
    assert made.finish == "stop"
    assert not any("\ufffd" in p for p in pieces)


def test_a_character_cut_by_the_limit_is_left_out() -> None:
    made, pieces = stream(tokens_of("naïve 🙂"), most=3)
    assert (pieces, made.text, made.finish, made.tokens) == (["n", "a"], "na", "length", 3)
    made, _ = stream(tokens_of("🙂"), most=2)
    assert (made.text, made.finish) == ("", "length")
    made, _ = stream(tokens_of("ok 🙂".encode()[:-1]))
    assert (made.text, made.finish) == ("ok ", "stop")


def test_bytes_that_are_no_text_do_not_hold_up_what_follows() -> None:
    made, pieces = stream(tokens_of(b"a\xffb\xc3c"))
    assert made.text == "a\ufffdb\ufffdc"
    assert "".join(pieces) == made.text


@settings(deadline=None)
@given(
    st.text("abc", max_size=14),
    st.lists(st.text("abc", min_size=1, max_size=4), max_size=3).map(tuple),
    st.integers(1, 20),
)
def test_stop_strings(text: str, stop: tuple[str, ...], most: int) -> None:
    """The reply ends before the first stop string; nothing of one is ever given out."""
    made, pieces = stream(tokens_of(text), stop=stop, most=most)
    shown = text[:most]
    found = [shown.find(s) for s in stop if s in shown]
    # The first to be complete ends the reply; where two begin, the earlier beginning counts.
    first = min((shown.find(s) + len(s), shown.find(s)) for s in stop if s in shown) if found else None
    if first is None:
        assert made.text == shown
        assert made.finish == ("length" if len(text) >= most else "stop")
    else:
        assert made.text == shown[: min(shown[: first[0]].find(s) for s in stop if s in shown[: first[0]])]
        assert made.finish == "stop"
        assert made.tokens == first[0]
    assert "".join(pieces) == made.text
    assert all(pieces)


def test_a_stop_string_over_token_borders_is_held_back_and_given_out_if_it_is_none() -> None:
    _, pieces = stream(tokens_of("yes\nUser: no"), stop=("\nUser:",))
    assert pieces == ["y", "e", "s"]
    made, pieces = stream(tokens_of("yes\nUse it"), stop=("\nUser:",))
    assert pieces[:4] == ["y", "e", "s", "\nUse "]
    assert made.text == "yes\nUse it"
    made, pieces = stream(tokens_of("wait\nUs"), stop=("\nUser:",))
    assert pieces[-1] == "\nUs", "what was held back is given out at the end"


def test_special_tokens_are_not_shown() -> None:
    made, _ = stream([*tokens_of("a"), TOKENIZER.convert_tokens_to_ids("<|im_start|>"), *tokens_of("b")])
    assert made.text == "ab"


def test_the_source_ends_where_its_sequence_does() -> None:
    def steps() -> Iterator[list[int | None]]:
        yield tokens_of("a")[:1]
        yield [None]
        raise AssertionError("asked for more")

    made = TextStream(TOKENIZER, steps(), ReplySettings())
    assert list(made) == ["a"]
    assert made.finish == "stop"


@pytest.mark.parametrize("wrong", [{"max_tokens": 0}, {"max_tokens": -3}, {"stop": ("a", "")}], ids=str)
def test_bad_settings(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        ReplySettings(**wrong)
