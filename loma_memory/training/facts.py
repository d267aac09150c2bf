"""Facts to plant in real dialogues: what the user says of themselves, and questions about it later."""

from __future__ import annotations

import random
from dataclasses import dataclass

from loma_memory.training.fact_kind import FactKind
from loma_memory.training.kinds import KINDS


@dataclass(frozen=True)
class Fact:
    """One planted fact: the statement, a question, the answer to it, and the value that must appear."""

    kind: str
    value: str
    statement: str
    question: str
    answer: str


UNKNOWN = (
    "You haven't told me that yet.",
    "I don't know, you haven't told me.",
    "You haven't mentioned that so far.",
)
"""Answers to a question about what was never said."""


_TELLING = (
    "{s}",
    "{s}",
    "{s}",
    "{s}",
    "You know, {t}",
    "Did I mention it? {s}",
    "For what it's worth, {t}",
    "Fun fact: {t}",
    "Something about me: {t}",
    "To be honest, {t}",
    "Not that it matters, but {t}",
    "Let me tell you: {t}",
)

_ASKING = (
    "Any idea what {n} is?",
    "Could you say what {n} is?",
    "I wonder if you still know {n}.",
    "Please repeat {n}.",
    "Say {n}, please.",
    "What did I say about {n}?",
    "What have I told you about {n}?",
    "Let's see if you know {n}.",
    "{N}?",
    "And {n} is ...?",
)

_NOUNS = {
    "name": "my name",
    "home": "the place where I live",
    "birthplace": "my place of birth",
    "job": "my occupation",
    "allergy": "the food I'm allergic to",
    "dish": "the food I love most",
    "colour": "the colour I love most",
    "instrument": "my instrument",
    "sport": "my sport",
    "language": "the language I'm learning",
    "trip": "my travel destination",
    "car": "the make of my car",
    "age": "my age",
    "birthday": "my birth date",
    "code": "my code",
    "room": "my room number",
    "appointment": "the time of my appointment",
    "street": "my street",
    "studies": "my field of study",
    "book": "my book",
    "employer": "my employer",
    "collection": "the things I collect",
    "fear": "the thing I'm afraid of",
    "bus": "the bus I take",
    "gate": "the gate of my flight",
    "train": "the time of my train",
    "children": "the number of my children",
    "meeting person": "the person I'm meeting",
    "present": "the present I bought",
    "lost thing": "the thing I lost",
    "hiding place": "the place where I hid it",
    "garden": "the plants in my garden",
    "subject at school": "my best subject at school",
    "hometown of parents": "my parents' home",
    "conference": "the place of the conference",
    "budget": "the sum of money",
    "dance or course": "the course I take",
    "wood or craft": "the thing I'm building",
    "date": "the date",
    "safe": "the combination of my safe",
    "bicycle lock": "the number of my bicycle lock",
    "year of the house": "the year when our house was built",
    "flight": "my flight number",
}


_TWO_NAMES = 0.5  # share of samples of several facts in which the user's own name stands beside another's


def _tell(rng: random.Random, statement: str) -> str:
    """A statement, now and then with a few words before it."""
    starts_low = statement.split()[0] in ("My", "We", "People", "Our", "Please", "They", "Just")
    lower = statement[0].lower() + statement[1:] if starts_low else statement
    return rng.choice(_TELLING).format(s=statement, t=lower)


def _ask(rng: random.Random, kind: FactKind) -> str:
    """A question of the kind's own, or a general one with its noun."""
    if rng.random() < 0.55:
        return rng.choice(kind.questions)
    noun = _NOUNS.get(kind.name, f"my {kind.name}")
    return rng.choice(_ASKING).format(n=noun, N=noun[0].upper() + noun[1:])


def draw_facts(rng: random.Random, count: int) -> list[Fact]:
    """`count` facts of different kinds; now and then the user's own name is among them, and next to it another's.

    Whose name is whose is what compressed memory mixes up first: both are names, told in the same words.
    """
    if count > len(KINDS):
        raise ValueError(f"a sample of at most {len(KINDS)} facts, got {count}")
    facts: list[Fact] = []
    kinds = sorted(KINDS, key=lambda k: rng.random() ** (1 / k.weight), reverse=True)
    if count > 1 and rng.random() < _TWO_NAMES:
        kinds.sort(key=lambda k: k.name != "name")  # a stable order: the user's own name, then the others
        kinds.insert(
            rng.randrange(2), kinds.pop(next(i for i, k in enumerate(kinds) if k.name.endswith("'s name")))
        )
    for kind in kinds[:count]:
        value = kind.draw(rng)
        statement = rng.choice(kind.statements).replace("{v}", value)
        answer = rng.choice(kind.answers).replace("{v}", value)
        statement = statement[0].upper() + statement[1:]
        facts.append(Fact(kind.name, value, _tell(rng, statement), _ask(rng, kind), answer))
    return facts
