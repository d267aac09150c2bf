"""Facts for measuring recall: values and wordings that training never saw."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Probe:
    """A fact told by the user, and what asks for it.

    Attributes:
        statement: what the user says.
        question: what is asked later.
        value: what a right answer contains.
        options: four values of the same kind, the right one among them.
    """

    kind: str
    statement: str
    question: str
    value: str
    options: tuple[str, ...]


def _v(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(","))


# (kind, values, statements, questions). Disjoint from loma_memory.training.values and .facts, which a
# test holds; the kinds marked "new" have no counterpart there.
PROBES: tuple[tuple[str, tuple[str, ...], tuple[str, ...], tuple[str, ...]], ...] = (
    (
        "name",
        _v(
            "Ada, Winston, Beatrix, Cedric, Delphine, Emrys, Florian, Gwendolyn, Horatio, Isolde, Jasper, Keiko"
        ),
        (
            "Let me introduce myself: {v} is what my friends call me.",
            "{v} is my name, pleased to meet you!",
        ),
        (
            "What am I called?",
            "Give me my name.",
        ),
    ),
    (
        "home",
        _v(
            "Antwerp, Salvador, Tbilisi, Calgary, Galway, Windhoek, Malmö, Adelaide, Kyoto, Rotterdam, Leipzig"
        ),
        (
            "We settled in {v} some years ago and still live there.",
            "We bought a small house in {v}, our home now.",
        ),
        (
            "What city am I living in?",
            "In what city is my house?",
        ),
    ),
    (
        "job",
        _v(
            "beekeeper, locksmith, optician, geologist, butcher, sculptor, notary, midwife, cartographer, referee"
        ),
        (
            "I trained to become a {v} and that's what I do all day.",
            "My days are full, being a {v} is a busy job.",
        ),
        (
            "What is my line of work?",
            "How do I earn my money?",
        ),
    ),
    (
        "allergy",
        _v(
            "lobster, pistachios, cinnamon, rye, apricots, lentils, coconut, mango, sunflower seeds, buckwheat"
        ),
        (
            "One bite of {v} and I get a rash, so I keep away from it.",
            "Please never put {v} in my food, I react badly to that.",
        ),
        (
            "Which food must I not eat?",
            "What do I react badly to?",
        ),
    ),
    (
        "cat's name",
        _v("Biscuit, Pepper, Nimbus, Sprocket, Domino, Truffle, Moose, Pickle, Zorro, Marble, Tango, Cleo"),
        (
            "We adopted a cat in spring, {v} is a real sweetheart.",
            "There's fur everywhere, {v} is quite a cat.",
        ),
        (
            "How is my cat called?",
            "What name did we give our cat?",
        ),
    ),
    (
        "sister's name",
        _v("Philippa, Marguerite, Odette, Saoirse, Tabitha, Ursula, Wilhelmina, Xenia, Yvette, Zelda"),
        (
            "My sister {v} is staying with us this week.",
            "I have to pick up {v}, my sister, at the station.",
        ),
        (
            "How is my sister called?",
            "What name does my sister have?",
        ),
    ),
    (
        "colour",
        _v("teal, magenta, indigo, amber, burgundy, emerald green, coral, charcoal, ivory, mustard yellow"),
        (
            "Most of my clothes are {v}, my favourite colour.",
            "You'd know my bike at once: it's {v}, the colour I like most.",
        ),
        (
            "What colour do I like the most?",
            "Which colour is my favourite?",
        ),
    ),
    (
        "dish",
        _v(
            "shakshuka, gnocchi, jambalaya, ratatouille, tempura, enchiladas, borscht, pho, schnitzel, carbonara"
        ),
        (
            "On Sundays my mother cooks {v}, the meal I love.",
            "If I could eat just one meal for ever it would be {v}.",
        ),
        (
            "What do I like to eat most?",
            "Which meal do I love?",
        ),
    ),
    (
        "instrument",
        _v("bassoon, mandolin, xylophone, tuba, bagpipes, harmonica, viola, sitar, recorder, lute"),
        (
            "There's a {v} in my room that I play every evening.",
            "I joined a band, they needed someone on {v}.",
        ),
        (
            "What instrument do I play in the evening?",
            "Which instrument is mine?",
        ),
    ),
    (
        "trip",
        _v("Madagascar, Finland, Bolivia, Jordan, Tasmania, Estonia, Uruguay, Malta, Senegal, Cambodia"),
        (
            "We're packing our bags for {v}.",
            "In two weeks we'll be on holiday in {v}.",
        ),
        (
            "What country will I visit?",
            "Which country is my holiday in?",
        ),
    ),
    (
        "number",
        _v("4471, 8026, 3958, 6640, 2719, 9183, 5307, 7265, 1894, 6072"),
        (
            "The last four digits of my phone number are {v}.",
            "My PIN is {v}, I hope I won't forget it.",
        ),
        (
            "What number did I give you?",
            "Which four digits did I tell you?",
        ),
    ),
    (
        "birthday",
        _v(
            "March 29, July 30, May 31, October 29, December 30, August 31, January 29, November 30, April 29"
        ),
        (
            "I turn a year older on {v}, my birthday.",
            "Don't forget that {v} is my birthday.",
        ),
        (
            "What day is my birthday?",
            "On what day do I turn a year older?",
        ),
    ),
    (
        "drink (new)",
        _v(
            "espresso, oolong tea, ginger ale, hot chocolate, tomato juice, lemonade, cider, buttermilk, chai"
        ),
        (
            "I'm having {v} as always, my favourite drink.",
            "Nothing wakes me up like {v}, I drink it all the time.",
        ),
        (
            "What do I always drink?",
            "Which drink do I like?",
        ),
    ),
    (
        "team (new)",
        _v("Rovers, Hornets, Falcons, Wanderers, Pirates, Comets, Mariners, Bulldogs, Eagles, Titans"),
        (
            "On Saturday we're going to see the {v} play, my favourite team.",
            "I wear the scarf of the {v}, my team.",
        ),
        (
            "What team am I a fan of?",
            "Which team is mine?",
        ),
    ),
    (
        "teacher (new)",
        _v(
            "Mrs Abernathy, Mr Delacroix, Miss Fairweather, Mr Goldberg, Mrs Hathaway, Mr Lindqvist, Mrs Okafor"
        ),
        (
            "{v} was my teacher in maths and a very kind one.",
            "I met my old teacher {v} at the market.",
        ),
        (
            "Who was my teacher?",
            "What was the name of my teacher?",
        ),
    ),
    (
        "aunt's name (new)",
        _v("Winifred, Cordelia, Philomena, Araminta, Clementine, Drusilla, Henrietta, Leopoldine, Rosamund"),
        (
            "My aunt {v} sent me a parcel.",
            "I was at my aunt's place today, {v} says hi.",
        ),
        (
            "What is the name of my aunt?",
            "How is my aunt called?",
        ),
    ),
)


def draw(rng: random.Random) -> Probe:
    """One probe; options are four different values of its kind in random order."""
    return _of(rng.choice(PROBES), rng)


def draw_others(rng: random.Random, probe: Probe, count: int) -> list[Probe]:
    """`count` probes of other kinds than `probe` and one another.

    Raises:
        ValueError: more than there are kinds.
    """
    kinds = [p for p in PROBES if p[0] != probe.kind]
    if count > len(kinds):
        raise ValueError(f"at most {len(PROBES)} facts can be told at once, got {count + 1}")
    return [_of(kind, rng) for kind in rng.sample(kinds, count)]


def together(probes: Sequence[Probe]) -> str:
    """What the user says of several facts, as one sentence."""
    said = [p.statement.rstrip(".!") for p in probes]
    for i, probe in enumerate(probes[1:], 1):
        first = said[i].split()[0]
        if first not in ("I", "I'm") and not said[i].startswith(probe.value):
            said[i] = said[i][0].lower() + said[i][1:]
    return ", and ".join(said) + "."


def _of(entry: tuple[str, tuple[str, ...], tuple[str, ...], tuple[str, ...]], rng: random.Random) -> Probe:
    kind, values, statements, questions = entry
    options = rng.sample(values, 4)
    value = rng.choice(options)
    said = rng.choice(statements).replace("{v}", value)
    return Probe(kind, said[0].upper() + said[1:], rng.choice(questions), value, tuple(options))
