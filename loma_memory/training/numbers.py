"""Facts whose value is a row of digits: compressed memory drops one of two equal ones before all else."""

from __future__ import annotations

import random

from loma_memory.training import values as v
from loma_memory.training.fact_kind import Draw, FactKind, kind

_TWICE = 0.5  # share of rows of digits in which one stands next to itself


def digits(count: int, join: str = "", group: int = 0) -> Draw:
    """Draws a row of digits that begins with no zero.

    Args:
        count: how many.
        join: what stands between groups of them.
        group: digits of a group; 0 for one group.
    """

    def draw(rng: random.Random) -> str:
        row = [rng.choice("123456789"), *(rng.choice("0123456789") for _ in range(count - 1))]
        if count > 1 and rng.random() < _TWICE:
            at = rng.randrange(count - 1)
            row[at + 1] = row[at]
        size = group or count
        return join.join("".join(row[i : i + size]) for i in range(0, count, size))

    return draw


NUMBERS: tuple[FactKind, ...] = (
    kind(
        "extension",
        digits(3),
        "At work you reach me on extension {v}. | Dial {v} and it rings on my desk. | They gave me the extension {v}.",
        "What is my extension? | What must one dial for my desk? | Which extension did they give me?",
        "Your extension is {v}. | It is {v}.",
    ),
    kind(
        "bicycle lock",
        digits(4),
        "My bicycle lock opens with {v}. | I set the lock of my bicycle to {v}. | Turn the wheels of the lock to {v}, then my bicycle is free.",
        "What opens my bicycle lock? | How is the lock of my bicycle set? | What do I turn the wheels of the lock to?",
        "Your bicycle lock opens with {v}. | It is {v}.",
    ),
    kind(
        "safe",
        digits(6, "-", 2),
        "The safe at home has the combination {v}. | I changed the combination of our safe to {v}. | Nobody else knows {v}, the combination of my safe.",
        "What is the combination of my safe? | What did I change the combination to? | Which combination does nobody else know?",
        "The combination is {v}. | It is {v}.",
    ),
    kind(
        "customer number",
        digits(6),
        "They know me there as customer {v}. | My customer number is {v}. | Whenever I call them they want {v}, my customer number.",
        "What is my customer number? | As which customer do they know me? | What do they want when I call them?",
        "Your customer number is {v}. | It is {v}.",
    ),
    kind(
        "flight",
        lambda rng: f"{rng.choice(('BA', 'LH', 'AF', 'KL', 'UA', 'SK'))}{digits(4)(rng)}",
        "My flight is {v}. | I'll arrive with flight {v}. | We're booked on {v}, an early flight.",
        "What is the number of my flight? | Which flight do I arrive with? | Which flight are we booked on?",
        "Your flight is {v}. | It is {v}.",
    ),
    kind(
        "year of the house",
        lambda rng: f"1{rng.randint(7, 9)}{digits(2)(rng)}",
        "Our house was built in {v}. | The stone over our door says {v}, that's when they built it. | We live in a house of {v}.",
        "When was our house built? | Which year is on the stone over our door? | From which year is the house?",
        "It was built in {v}. | Your house is of {v}.",
    ),
    kind(
        "number plate",
        lambda rng: f"{''.join(rng.choice('ABCDEFGHKLMNPRSTUVWXYZ') for _ in range(3))} {digits(3)(rng)}",
        "The number plate of our van is {v}. | Look for a van with the plate {v}. | Somebody stole our van, it had {v} on its plate.",
        "What is our number plate? | Which plate must you look for? | What was on the plate of the van?",
        "The plate is {v}. | It is {v}.",
    ),
    kind(
        "network password",
        lambda rng: f"{v.made_up(rng)}{digits(4)(rng)}",
        "To get on our network you need {v}. | The network at our place wants the password {v}. | {v} is the password that gets guests online here.",
        "What does one need to get on our network? | Which password gets guests online? | What does the network at our place want?",
        "The password is {v}. | You need {v}.",
    ),
)
"""Kinds with numbers; drawn as often as everyday ones."""
