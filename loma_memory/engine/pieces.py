"""How much a token weighs where memory tokens are placed: pieces of rare words and of numbers weigh more."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

PIECE, RARE, COMMON, MARK = 5.5, 2.6, 0.2, 0.1
"""Weight of a piece of a word or number, of the rarest word that is one token, of the most frequent ones, and
of everything else; about 1 a token in ordinary dialogues, so that a ratio is what it says."""

FREQUENT = 400
"""Rank up to which a word counts as most frequent. Tokens are numbered in the order in which a tokenizer
learned them, which is that of their frequency; what a word tells grows with the log of its rank (Zipf)."""

LEAST, MOST = 0.75, 2.0
"""What a token of a message weighs on average at least and at most: the simplest words say something, too;
in languages that the tokenizer spells out, and in rows of numbers, everything is a piece."""


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
        self._whole = [_word_weight(i, len(self._first)) for i in range(len(self._first))]

    @property
    def inner(self) -> list[bool]:
        """Which tokens of the vocabulary begin with a letter or digit, without a space: pieces and digits."""
        return [first == "w" for first in self._first]

    def __call__(self, ids: Sequence[int], first: int = 0, last: int | None = None) -> list[float]:
        """The weight of each token.

        Args:
            ids: a message.
            first: where its text begins; role markers before it are no words.
            last: where its text ends.
        """
        weights = [MARK] * len(ids)
        for place in range(first, len(ids) if last is None else last):
            i = ids[place]
            if self._first[i] == "w" and place > first and self._last[ids[place - 1]] == "w":
                weights[place - 1] = weights[place] = PIECE
            elif self._first[i]:
                weights[place] = self._whole[i]
        mean = max(sum(weights) / max(1, len(ids)), MARK)
        scale = min(max(1.0, LEAST / mean), MOST / mean)
        return [w * scale for w in weights]


_SPACES = ("Ġ", "▁", " ")  # how byte-level and sentence-piece tokenizers write a space
_NO_LETTERS = (*_SPACES, "Ċ", "ĉ")  # nor are byte-level line feeds and tabs


def _word_weight(rank: int, vocabulary: int) -> float:
    share = math.log(max(rank, 1) / FREQUENT) / math.log(max(vocabulary, FREQUENT + 1) / FREQUENT)
    return max(COMMON, RARE * share)


def _in_word(character: str) -> bool:
    return character.isalnum() and character not in _NO_LETTERS
