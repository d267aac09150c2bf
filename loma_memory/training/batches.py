"""Batches as a function of (seed, step): a resumed run sees what an unbroken one would have seen."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from loma_memory.data import Dialogue
from loma_memory.engine.chat_format import ChatFormat
from loma_memory.errors import DataError
from loma_memory.training.encode import Encoded, Weights, encode, fit, zones
from loma_memory.training.planting import Sample, first_turns, general, plant, quote, window

_TRIES = 100


@dataclass(frozen=True)
class Mixture:
    """What batches are made of.

    Attributes:
        lengths: row lengths in tokens of text; a batch has rows of one length.
        tokens: tokens of text a batch, about.
        planted: share of rows with planted facts.
        own: share of rows with the model's own answers to general prompts.
        quoted: share of rows in which earlier messages are repeated word for word.
        zone: 0, or conversations are running text without roles, in zones of so many tokens.
        text: tokens of a turn of such zones.
        curriculum: steps over which the longest rows are let in, shortest first.
    """

    lengths: tuple[int, ...] = (256, 448, 704)
    tokens: int = 3072
    planted: float = 0.25
    own: float = 0.0
    quoted: float = 0.0
    zone: int = 0
    text: int = 112
    curriculum: int = 60


class Batches:
    """Draws batches of encoded conversations from files of dialogues."""

    def __init__(
        self,
        form: ChatFormat,
        groups: Sequence[Sequence[Dialogue]],
        mixture: Mixture,
        weights: Weights,
        *,
        own: Sequence[tuple[str, str]] = (),
        first_turn: int = 0,
        seed: int = 0,
    ) -> None:
        """Each group (file) of dialogues is drawn from equally often, whatever its size."""
        self.form, self.mixture, self.weights = form, mixture, weights
        self.groups, self.own = [list(g) for g in groups], list(own)
        self.first_turn, self.seed = first_turn, seed

    def __call__(self, step: int) -> list[Encoded]:
        """The batch of a step."""
        rng = random.Random(f"{self.seed}/{step}")
        lengths = sorted(self.mixture.lengths)
        if self.mixture.curriculum:
            open_to = 1 + step * len(lengths) // self.mixture.curriculum
            lengths = lengths[: max(1, open_to)]
        length = rng.choice(lengths)
        rows = max(1, round(self.mixture.tokens / length))
        return [self._row(rng, length) for _ in range(rows)]

    def _row(self, rng: random.Random, length: int) -> Encoded:
        for _ in range(_TRIES):
            row = self._fullest(rng, length)
            if row is not None:
                return row
        raise DataError(
            f"no row of at most {length} tokens with anything to learn in it: the conversations have no "
            f"turn {self.first_turn + 1} within that length"
        )

    def _fullest(self, rng: random.Random, length: int) -> Encoded | None:
        best: Encoded | None = None
        for _ in range(6):  # dialogues differ in length: keep the fullest of a few
            row = self._drawn(rng, length)
            if any(row.weights) and (best is None or len(row) > len(best)):
                best = row
            if best is not None and len(best) >= 0.8 * length:
                break
        return best

    def _drawn(self, rng: random.Random, length: int) -> Encoded:
        if self.mixture.zone:
            return self._running(rng, length)
        if rng.random() >= self.mixture.quoted:
            return fit(self._encode(self._sample(rng, length)), length)
        sample = self._sample(rng, length * 3 // 4)  # quotes take about a quarter of a row
        return fit(self._encode(quote(sample, rng)), length)

    def _running(self, rng: random.Random, length: int) -> Encoded:
        """A passage of a text, cut anywhere; texts shorter than that follow one another."""
        group = self.groups[rng.randrange(len(self.groups))]
        said = []
        ids: list[int] = []
        for _ in range(_TRIES):
            dialogue = rng.choice(group)
            passage = window(dialogue, rng, 2 + length // 50)  # a message of a text has some 130 tokens
            said.append(Dialogue(dialogue.id, passage.turns).text)
            ids = self.form.plain("\n".join(said))
            if len(ids) > length:
                break
        start = rng.randrange(max(1, len(ids) - length))
        return zones(ids[start : start + length], self.mixture.zone, self.mixture.text, self.first_turn)

    def _encode(self, sample: Sample) -> Encoded:
        return encode(self.form, sample, self.weights, self.first_turn)

    def _sample(self, rng: random.Random, length: int) -> Sample:
        kind = rng.random()
        if self.own and kind < self.mixture.own:
            return general(self.own, rng, rng.randint(1, max(1, length // 100)))
        group = rng.randrange(len(self.groups))
        dialogue = rng.choice(self.groups[group])
        if kind < self.mixture.own + self.mixture.planted:
            facts = rng.randint(1, max(2, min(9, length // 60)))
            room = length - 45 * facts
            if self.own and rng.random() < 0.5:
                return plant(general(self.own, rng, max(1, room // 100)), rng, facts)
            return plant(first_turns(dialogue, self._turns_in(dialogue, room)), rng, facts)
        if len(dialogue.turns) == 1:  # problems and solutions: several make a conversation
            some = [dialogue, *(rng.choice(self.groups[group]) for _ in range(length // 80))]
            return Sample(tuple(t for d in some for t in d.turns))
        return window(dialogue, rng, len(dialogue.turns) if rng.random() < 0.7 else 40)

    def _turns_in(self, dialogue: Dialogue, length: int) -> int:
        """How many of the first turns have about `length` tokens (1.3 a word and 5 a message)."""
        used = 0.0
        for n, turn in enumerate(dialogue.turns):
            used += sum(1.3 * len(m.text.split()) + 5 for m in turn)
            if used > length:
                return n
        return len(dialogue.turns)
