"""Texts of known tokens as the model itself would write them: a beam search over its next tokens.

Which tokens each part of a text has is known by the first layer of its slot (`bags`), and few of their orders
are language. So where restating is unsure of the order, the model's own next tokens tell it (a language model
as the prior of analysis by synthesis); logarithms of both probabilities are added.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from loma_memory.engine.decode import Continued, logits
from loma_memory.engine.reader import Reader
from loma_memory.memory import MemoryState

BEAMS = 24
"""Texts that are followed at once. With more of them more is right, and it takes as much longer."""

Part = tuple[Sequence[Mapping[int, float]], Sequence[int] | None]
"""Logits of the tokens likely at each place of a part, and the tokens that it has; None if not known."""


@torch.no_grad()
def spell(reader: Reader, parts: Sequence[Part]) -> list[list[int]]:
    """Likely texts of a turn, at most `BEAMS`, the likeliest first.

    They are read without earlier memory, which each of them would have to copy.

    Args:
        reader: the model.
        parts: the parts of the turn's text, one after another.

    Raises:
        UsageError: the turn is longer than the model's range.
    """
    length = sum(len(places) for places, _ in parts)
    beams: list[tuple[float, list[int], list[int]]] = [(0.0, [], [])]  # score, text, tokens left of the part
    writer = _Writer(reader, length)
    for places, bag in parts:
        beams = [(score, text, sorted(bag or [])) for score, text, _ in beams]
        for place in places:
            least = min(place.values(), default=0.0) - 1
            told = writer.told
            grown = []
            for row, (score, _, left) in enumerate(beams):
                for token in place if bag is None else dict.fromkeys(left):
                    own = 0.0 if told is None else float(told[row, token])
                    grown.append((score + place.get(token, least) + own, row, token))
            grown = sorted(grown, key=lambda g: -g[0])[:BEAMS]
            beams = [
                (score, [*beams[row][1], token], _without(beams[row][2], token))
                for score, row, token in grown
            ]
            if len(beams[0][1]) < length:
                writer.write([row for _, row, _ in grown], [token for _, _, token in grown])
    return [text for _, text, _ in beams]


class _Writer:
    """The model, reading what was chosen and telling what it would write next."""

    def __init__(self, reader: Reader, length: int) -> None:
        self.reader, self.length = reader, length
        self.further: Continued | None = None
        self.told: torch.Tensor | None = None
        """Logarithms of the next token's probabilities, (rows, vocabulary); None before the first."""

    def write(self, rows: Sequence[int], tokens: Sequence[int]) -> None:
        """Go on from some rows, each with a token."""
        # Rows of the pass are as many all along: those that no text has repeat the last one's.
        fill = BEAMS - len(tokens)
        rows, tokens = [*rows, *[rows[-1]] * fill], [*tokens, *[tokens[-1]] * fill]
        if self.further is None:
            starts = [[[token]] for token in tokens]
            done = self.reader.run([MemoryState()] * BEAMS, starts, reserve=self.length - 1)
            self.further, hidden = Continued(self.reader, done), done.hidden[:, 0]
        else:
            self.further.reorder(rows)
            hidden = self.further(torch.tensor(tokens, device=self.reader.loaded.device))
        self.told = torch.log_softmax(logits(self.reader.model, hidden).float(), -1).cpu()


def _without(left: Sequence[int], token: int) -> list[int]:
    """The tokens without one of that kind, where it is among them."""
    at = left.index(token) if token in left else len(left)
    return [*left[:at], *left[at + 1 :]]
