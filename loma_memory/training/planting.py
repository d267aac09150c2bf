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


def plant(dialogue: Dialogue, rng: random.Random, turns: int, facts: int) -> Sample:
    """Plant facts in the first `turns` exchanges of a dialogue and ask for them after.

    A statement stands alone or joins the user's own message; the reply is the dialogue's own or a word
    of thanks. Questions come in any order at later turns; now and then one asks for what was never said.
    """
    base = [list(t) for t in dialogue.turns[:turns]]
    told = draw_facts(rng, facts)
    for fact in told:
        spot = rng.randrange(max(1, len(base) - 1))
        user = base[spot][0]
        how = rng.random()
        if how < 0.4:
            reply = rng.choice(_ACKS)
            if rng.random() < 0.2:
                reply = f"{reply} {fact.value}, you say."
            base.insert(spot, [Message("user", fact.statement), Message("assistant", reply)])
        elif how < 0.7:
            base[spot][0] = Message(user.role, f"{user.text} {fact.statement}")
        else:
            base[spot][0] = Message(user.role, f"{fact.statement} {user.text}")
    asked = [[Message("user", _lead(rng, f.question)), Message("assistant", f.answer)] for f in told]
    if rng.random() < 0.05:
        kind = rng.choice([k for k in KINDS if k.name not in {f.kind for f in told}])
        asked.append([Message("user", rng.choice(kind.questions)), Message("assistant", rng.choice(UNKNOWN))])
    rng.shuffle(asked)
    whole = base + asked
    answers = frozenset((len(base) + i, 1) for i in range(len(asked)))
    return Sample(tuple(tuple(t) for t in whole), answers)


def window(dialogue: Dialogue, rng: random.Random, turns: int) -> Sample:
    """A run of `turns` consecutive exchanges of a dialogue."""
    spare = len(dialogue.turns) - turns
    start = rng.randint(0, spare) if spare > 0 else 0
    return Sample(dialogue.turns[start : start + turns])


def general(pairs: Sequence[tuple[str, str]], rng: random.Random) -> Sample:
    """One to three prompts with the model's own answers, as one conversation."""
    chosen = rng.sample(list(pairs), min(len(pairs), rng.randint(1, 2)))
    turns = tuple((Message("user", p), Message("assistant", a)) for p, a in chosen)
    return Sample(turns, frozenset((i, 1) for i in range(len(turns))))
