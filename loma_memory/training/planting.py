"""Real dialogues with facts planted in them and asked for later."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from loma_memory.data import Dialogue, Message
from loma_memory.training.facts import KINDS, UNKNOWN, draw_facts

_ACKS = (
    "Good to know!",
    "Thanks for telling me.",
    "Got it.",
    "Noted.",
    "Oh, nice!",
    "I see.",
    "I'll remember that.",
)
_LEADS = ("", "", "", "By the way, ", "One question: ", "Remind me: ", "Quick question. ", "Now tell me: ")


@dataclass(frozen=True)
class Sample:
    """A conversation to train on.

    Attributes:
        turns: exchanges of messages.
        answers: (turn, message in turn) of the messages that the text adapter learns to say.
    """

    turns: tuple[tuple[Message, ...], ...]
    answers: frozenset[tuple[int, int]] = frozenset()


def _lead(rng: random.Random, question: str) -> str:
    lead = rng.choice(_LEADS)
    keep = not lead or lead.rstrip().endswith((".", ":"))
    return lead + (question if keep else question[0].lower() + question[1:])


def plant(base: Sample, rng: random.Random, facts: int) -> Sample:
    """Plant facts in a conversation and ask for them after it.

    A statement stands alone, answered by a word of thanks, or joins the user's own message. Questions come
    in any order after the last turn; now and then one asks for what was never said. The answers are
    learned, and what was to be learned in `base`; not the words of thanks, or a model says nothing else.
    """
    turns = [(list(t), (i, 1) in base.answers) for i, t in enumerate(base.turns)]
    told = draw_facts(rng, facts)
    for fact in told:
        spot = rng.randrange(max(1, len(turns) - 1))
        user = turns[spot][0][0]
        how = rng.random()
        if how < 0.4:
            reply = rng.choice(_ACKS)
            if rng.random() < 0.2:
                reply = f"{reply} {fact.value}, you say."
            turns.insert(spot, ([Message("user", fact.statement), Message("assistant", reply)], False))
        elif how < 0.7:
            turns[spot][0][0] = Message(user.role, f"{user.text} {fact.statement}")
        else:
            turns[spot][0][0] = Message(user.role, f"{fact.statement} {user.text}")
    asked = [[Message("user", _lead(rng, f.question)), Message("assistant", f.answer)] for f in told]
    if rng.random() < 0.05:
        kind = rng.choice([k for k in KINDS if k.name not in {f.kind for f in told}])
        asked.append([Message("user", rng.choice(kind.questions)), Message("assistant", rng.choice(UNKNOWN))])
    rng.shuffle(asked)
    turns += [(t, True) for t in asked]
    answers = frozenset((i, 1) for i, (_, learned) in enumerate(turns) if learned)
    return Sample(tuple(tuple(t) for t, _ in turns), answers)


def first_turns(dialogue: Dialogue, turns: int) -> Sample:
    """The first exchanges of a dialogue, at least one."""
    return Sample(dialogue.turns[: max(1, turns)])


def window(dialogue: Dialogue, rng: random.Random, turns: int) -> Sample:
    """A run of `turns` consecutive exchanges of a dialogue."""
    spare = len(dialogue.turns) - turns
    start = rng.randint(0, spare) if spare > 0 else 0
    return Sample(dialogue.turns[start : start + turns])


def general(pairs: Sequence[tuple[str, str]], rng: random.Random, turns: int) -> Sample:
    """Some prompts with the model's own answers, all to be learned, as one conversation."""
    chosen = rng.sample(list(pairs), min(len(pairs), turns))
    told = tuple((Message("user", p), Message("assistant", a)) for p, a in chosen)
    return Sample(told, frozenset((i, 1) for i in range(len(told))))
