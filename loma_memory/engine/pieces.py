"""How much a token weighs where memory tokens are placed: pieces of rare words and of numbers weigh more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

PIECE, WORD, MARK = 4.0, 0.6, 0.2
"""Weight of a piece of a word or number, of a word that is one token, and of everything else; about 1 a token
in ordinary dialogues, so that a ratio is what it says."""

MOST = 1.5
"""What a token of a message may weigh on average: in languages that the tokenizer spells out, and in rows of
numbers, everything is a piece."""


class Pieces:
    """Weighs the tokens of a message by the words that they are part of.

    A tokenizer gives frequent words a token each and spells rare ones, names and numbers out in pieces.
    A language model guesses much of the former and nothing of the latter, and a slot that stands for
    several pieces gives them back in the wrong order or in part; so slots are dealt out by weight.
    """

    def __init__(self, tokenizer: Any) -> None:
        """Looks at the text of every token of the vocabulary, once."""
        special = set(tokenizer.all_special_ids)
        # What a token's text begins and ends with: "w" a letter or digit, " " a space before one.
        self._first, self._last = [], []
        for i, raw in enumerate(tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))):
            text = "" if i in special or raw is None else raw
            leads = text[:1] in _SPACES and _in_word(text[1:2])
            self._first.append(" " if leads else "w" if _in_word(text[:1]) else "")
            self._last.append("w" if _in_word(text[-1:]) else "")

    def __call__(self, ids: Sequence[int]) -> list[float]:
        """The weight of each token."""
        weights: list[float] = []
        for place, i in enumerate(ids):
            goes_on = self._first[i] == "w" and place > 0 and self._last[ids[place - 1]] == "w"
            if goes_on:
                weights[-1] = PIECE
            weights.append(PIECE if goes_on else WORD if self._first[i] else MARK)
        scale = min(1.0, MOST * len(ids) / max(sum(weights), MARK))
        return [w * scale for w in weights]


_SPACES = ("Ġ", "▁", " ")  # how byte-level and sentence-piece tokenizers write a space
_NO_LETTERS = (*_SPACES, "Ċ", "ĉ")  # nor are byte-level line feeds and tabs


def _in_word(character: str) -> bool:
    return character.isalnum() and character not in _NO_LETTERS
