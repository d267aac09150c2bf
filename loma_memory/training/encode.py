"""Samples as tokens, with a weight on every token that is to be predicted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from loma_memory.engine.chat_format import ChatFormat
from loma_memory.training.planting import Sample


@dataclass(frozen=True)
class Encoded:
    """A conversation in tokens.

    Attributes:
        turns: turns of messages of token ids.
        weights: weight of each token of text as a target, flat; role markers weigh 0.
    """

    turns: tuple[tuple[tuple[int, ...], ...], ...]
    weights: tuple[float, ...]

    def __len__(self) -> int:
        return len(self.weights)

    @property
    def flat(self) -> list[int]:
        """All tokens of text in order."""
        return [i for turn in self.turns for message in turn for i in message]


@dataclass(frozen=True)
class Weights:
    """Weights of targets: words of the user, of the assistant, planted answers, the model's own answers."""

    user: float
    assistant: float
    answer: float
    own: float = 1.0


def encode(form: ChatFormat, sample: Sample, weights: Weights, first_turn: int = 0) -> Encoded:
    """Encode a sample; targets in turns before `first_turn` weigh 0."""
    turns: list[tuple[tuple[int, ...], ...]] = []
    flat: list[float] = []
    for t, turn in enumerate(sample.turns):
        messages = []
        for m, message in enumerate(turn):
            ids, words = form.targets(message.role, message.text)
            if (t, m) in sample.answers:
                weight = weights.answer
            elif (t, m) in sample.own:
                weight = weights.own
            else:
                weight = weights.assistant if message.role == "assistant" else weights.user
            flat.extend(weight if w and t >= first_turn else 0.0 for w in words)
            messages.append(tuple(ids))
        turns.append(tuple(messages))
    return Encoded(tuple(turns), tuple(flat))


def zones(ids: Sequence[int], zone: int, text: int, first_turn: int = 0) -> Encoded:
    """Running text without roles, as `eval stream` reads it: turns of `text` tokens, a message a zone.

    Tokens beyond the last whole zone are dropped; those of turns before `first_turn` weigh 0.
    """
    whole = len(ids) // zone * zone
    turns = [
        tuple(tuple(ids[at : at + zone]) for at in range(start, min(start + text, whole), zone))
        for start in range(0, whole, text)
    ]
    return Encoded(tuple(turns), tuple(float(n >= first_turn * text) for n in range(whole)))


def fit(encoded: Encoded, limit: int) -> Encoded:
    """The same conversation without its last turns, so that its text is at most `limit` tokens."""
    turns, used = [], 0
    for turn in encoded.turns:
        size = sum(len(m) for m in turn)
        if used + size > limit:
            break
        turns.append(turn)
        used += size
    return Encoded(tuple(turns), encoded.weights[:used])


def padded_ids(sink: Sequence[int], batch: Sequence[Encoded]) -> tuple[list[list[int]], list[list[float]]]:
    """Rows of sink and text, and target weights, filled with zeros to one length."""
    rows = [[*sink, *e.flat] for e in batch]
    weights = [[0.0] * len(sink) + list(e.weights) for e in batch]
    width = max(map(len, rows))
    return (
        [r + [0] * (width - len(r)) for r in rows],
        [w + [0.0] * (width - len(w)) for w in weights],
    )
