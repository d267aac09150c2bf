"""Real dialogues with facts planted in them and asked for later."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from loma_memory.data import Dialogue, Message
from loma_memory.training.facts import UNKNOWN, Fact, draw_facts
from loma_memory.training.kinds import KINDS

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


_TWO_IN_ONE = 0.45  # share of facts told in one sentence with the one before
_SOON = 0.35  # share of questions asked at any time after the telling instead of at the end
_QUOTED, _LONGEST_QUOTE = 0.3, 40  # share of turns after which a message is quoted; words of it


@dataclass(frozen=True)
class Sample:
    """A conversation to train on.

    Attributes:
        turns: exchanges of messages.
        answers: (turn, message in turn) of the answers to planted questions.
        own: the same of the model's own answers to general prompts.
    """

    turns: tuple[tuple[Message, ...], ...]
    answers: frozenset[tuple[int, int]] = frozenset()
    own: frozenset[tuple[int, int]] = frozenset()


def _lead(rng: random.Random, question: str) -> str:
    lead = rng.choice(_LEADS)
    keep = not lead or lead.rstrip().endswith((".", ":"))
    return lead + (question if keep else question[0].lower() + question[1:])


def _together(rng: random.Random, told: Sequence[Fact]) -> list[tuple[str, list[Fact]]]:
    """What the user says of the facts, and which: one a message, or two in one sentence."""
    said: list[tuple[str, list[Fact]]] = []
    for fact in told:
        if said and rng.random() < _TWO_IN_ONE:
            (before, facts), now = said.pop(), fact.statement
            starts_low = now.split()[0] in ("My", "We", "People", "Our", "Please", "They", "Just")
            if starts_low or now.startswith("I"):
                now = now[0].lower() + now[1:] if starts_low else now
                joined = f"{before.rstrip('.!')}{rng.choice([' and ', ', and ', ', also, '])}{now}"
            else:
                joined = f"{before} {now}"
            said.append((joined, [*facts, fact]))
        else:
            said.append((fact.statement, [fact]))
    return said


def plant(base: Sample, rng: random.Random, facts: int) -> Sample:
    """Plant facts in a conversation and ask for them after it.

    A statement stands alone, answered by a word of thanks, or joins the user's own message. Questions come
    in any order after the last turn, some at any time after the telling; now and then one asks for what was
    never said. The answers are learned, and what was to be learned in `base`; not the words of thanks, or a
    model says nothing else.
    """
    plain, own, answer = range(3)
    turns = [(list(t), own if (i, 1) in base.own else plain) for i, t in enumerate(base.turns)]
    told = draw_facts(rng, facts)
    said = _together(rng, told)
    for statement, _ in said:
        spot = rng.randrange(max(1, len(turns) - 1))
        user = turns[spot][0][0]
        how = rng.random()
        if how < 0.4:
            reply = rng.choice(_ACKS)
            turns.insert(spot, ([Message("user", statement), Message("assistant", reply)], plain))
        elif how < 0.7:
            turns[spot][0][0] = Message(user.role, f"{user.text} {statement}")
        else:
            turns[spot][0][0] = Message(user.role, f"{statement} {user.text}")
    asked: list[list[Message]] = []
    for statement, its in said:
        for fact in its:
            question = [Message("user", _lead(rng, fact.question)), Message("assistant", fact.answer)]
            if rng.random() < _SOON:
                after = next(i for i, (t, _) in enumerate(turns) if statement in t[0].text) + 1
                turns.insert(rng.randint(after, len(turns)), (question, answer))
            else:
                asked.append(question)
    if rng.random() < 0.05:
        kind = rng.choice([k for k in KINDS if k.name not in {f.kind for f in told}])
        asked.append([Message("user", rng.choice(kind.questions)), Message("assistant", rng.choice(UNKNOWN))])
    rng.shuffle(asked)
    turns += [(t, answer) for t in asked]
    marked = [
        frozenset((i, 1) for i, (_, what) in enumerate(turns) if what == learned) for learned in (answer, own)
    ]
    return Sample(tuple(tuple(t) for t, _ in turns), *marked)


_QUOTES = (
    ("Earlier I said this: {t}", "user"),
    ("As I told you: {t}", "user"),
    ("I said: {t}", "user"),
    ("You said: {t}", "assistant"),
    ("Your words were: {t}", "assistant"),
)


def quote(base: Sample, rng: random.Random) -> Sample:
    """Repeat earlier messages word for word, one after every few turns.

    Full context predicts a repeated message almost surely, so every word of it tells what memory has kept:
    dense lessons in keeping words, where planted facts have a few a row. Quotes are learned as answers are.
    """
    turns: list[tuple[Message, ...]] = []
    marks: dict[str, set[tuple[int, int]]] = {"answers": set(), "own": set()}
    for i, turn in enumerate(base.turns):
        for name, marked in (("answers", base.answers), ("own", base.own)):
            marks[name].update((len(turns), m) for m in range(len(turn)) if (i, m) in marked)
        turns.append(turn)
        if i < 2 or rng.random() > _QUOTED:
            continue
        said = [m for t in base.turns[: i - 1] for m in t if 3 <= len(m.text.split()) <= _LONGEST_QUOTE]
        if said:
            source = rng.choice(said)
            lead = rng.choice([q for q, role in _QUOTES if role == source.role])
            marks["answers"].add((len(turns), 0))
            turns.append((Message("user", lead.format(t=source.text)),))
    return Sample(tuple(turns), frozenset(marks["answers"]), frozenset(marks["own"]))


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
    return Sample(told, own=frozenset((i, 1) for i in range(len(told))))
