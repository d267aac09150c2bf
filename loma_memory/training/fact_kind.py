"""What a kind of fact is, and how values of it are drawn."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from loma_memory.training import values as v

Draw = Callable[[random.Random], str]


@dataclass(frozen=True)
class FactKind:
    """A kind of fact.

    Attributes:
        draw: draws a value.
        statements: ways to say it, with {v} for the value.
        questions: ways to ask for it.
        answers: ways to answer, with {v}.
        weight: how often it is drawn, beside 1 for kinds of which there are many.
    """

    name: str
    draw: Draw
    statements: tuple[str, ...]
    questions: tuple[str, ...]
    answers: tuple[str, ...]
    weight: float = 1.0


def one_of(options: Sequence[str], invented: float = 0.0, phrases: float = 0.0) -> Draw:
    """Draws from a list, or, with these probabilities, an invented word or words that tell nothing."""

    def draw(rng: random.Random) -> str:
        how = rng.random()
        if how < invented:
            return v.made_up(rng)
        return v.phrase(rng) if how < invented + phrases else rng.choice(options)

    return draw


def number(low: int, high: int) -> Draw:
    """Draws a whole number between two, both included."""
    return lambda rng: str(rng.randint(low, high))


def kind(name: str, draw: Draw, statements: str, questions: str, answers: str) -> FactKind:
    """A kind of fact; wordings are divided by `|`."""
    said, asked, replied = (
        tuple(line.strip() for line in t.strip().split("|")) for t in (statements, questions, answers)
    )
    return FactKind(name, draw, said, asked, replied)
