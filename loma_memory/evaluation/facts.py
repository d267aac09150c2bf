"""Facts for measuring recall: values and wordings that training never saw."""

from __future__ import annotations

import random
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
        ("Oh, I forgot to introduce myself: {v}.", "Just so we're not strangers, the name's {v}."),
        ("Tell me my name, please.", "How am I called?"),
    ),
    (
        "home",
        _v(
            "Antwerp, Salvador, Tbilisi, Calgary, Galway, Windhoek, Malmö, Adelaide, Kyoto, Rotterdam, Leipzig"
        ),
        ("These days my flat is in {v}.", "I've been living over in {v} for a while now."),
        ("In which city is my home?", "Tell me the city I live in."),
    ),
    (
        "job",
        _v(
            "beekeeper, locksmith, optician, geologist, butcher, sculptor, notary, midwife, cartographer, referee"
        ),
        ("For work I'm employed as a {v}.", "I make a living as a {v}."),
        ("Tell me what my profession is.", "What kind of work do I do?"),
    ),
    (
        "allergy",
        _v(
            "lobster, pistachios, cinnamon, rye, apricots, lentils, coconut, mango, sunflower seeds, buckwheat"
        ),
        (
            "My doctor says I have to stay away from {v} because of an allergy.",
            "Careful: {v} make me ill, I'm allergic.",
        ),
        ("Which food makes me ill?", "Remind me what my allergy is."),
    ),
    (
        "cat's name",
        _v("Biscuit, Pepper, Nimbus, Sprocket, Domino, Truffle, Moose, Pickle, Zorro, Marble, Tango, Cleo"),
        ("At home a cat by the name of {v} is waiting for me.", "Our cat answers to {v}."),
        ("By what name does my cat go?", "Tell me the name of my cat."),
    ),
    (
        "sister's name",
        _v("Philippa, Marguerite, Odette, Saoirse, Tabitha, Ursula, Wilhelmina, Xenia, Yvette, Zelda"),
        ("I grew up with one sister; she is called {v}.", "{v}, that's my sister, phoned me today."),
        ("Tell me what my sister is called.", "By what name does my sister go?"),
    ),
    (
        "colour",
        _v("teal, magenta, indigo, amber, burgundy, emerald green, coral, charcoal, ivory, mustard yellow"),
        (
            "Of all the colours there are I'd always pick {v}.",
            "If I paint a room, it has to be {v}, my favourite colour.",
        ),
        ("Which colour would I pick?", "Name my favourite colour."),
    ),
    (
        "dish",
        _v(
            "shakshuka, gnocchi, jambalaya, ratatouille, tempura, enchiladas, borscht, pho, schnitzel, carbonara"
        ),
        (
            "Nothing beats {v}, that's my favourite dish.",
            "For my birthday I always cook {v}, my favourite meal.",
        ),
        ("Name my favourite dish.", "Which meal do I like most?"),
    ),
    (
        "instrument",
        _v("bassoon, mandolin, xylophone, tuba, bagpipes, harmonica, viola, sitar, recorder, lute"),
        ("On weekends I play {v} in a little orchestra.", "I take lessons on the {v}."),
        ("Name the instrument that I play.", "On which instrument do I take lessons?"),
    ),
    (
        "trip",
        _v("Madagascar, Finland, Bolivia, Jordan, Tasmania, Estonia, Uruguay, Malta, Senegal, Cambodia"),
        ("Our tickets for {v} arrived, we leave in spring.", "We'll spend our holidays in {v} this time."),
        ("Name the country I'm travelling to.", "Where will I spend my holidays?"),
    ),
    (
        "number",
        _v("4471, 8026, 3958, 6640, 2719, 9183, 5307, 7265, 1894, 6072"),
        ("The number of my locker at the gym is {v}.", "I wrote it down: the code for the gate is {v}."),
        ("Tell me the number I mentioned.", "Which number did I tell you?"),
    ),
    (
        "birthday",
        _v(
            "March 29, July 30, May 31, October 29, December 30, August 31, January 29, November 30, April 29"
        ),
        (
            "We throw a party every year on {v}, my birthday.",
            "You can congratulate me on {v}, that's my birthday.",
        ),
        ("Tell me the date of my birthday.", "On what date do I have my birthday?"),
    ),
    (
        "drink (new)",
        _v(
            "espresso, oolong tea, ginger ale, hot chocolate, tomato juice, lemonade, cider, buttermilk, chai"
        ),
        ("In the morning I always have {v}.", "I start every day with {v}."),
        ("What do I drink in the morning?", "With which drink do I start the day?"),
    ),
    (
        "team (new)",
        _v("Rovers, Hornets, Falcons, Wanderers, Pirates, Comets, Mariners, Bulldogs, Eagles, Titans"),
        (
            "I never miss a game of the {v}, my favourite team.",
            "I've supported the {v} since I was a kid, they're my team.",
        ),
        ("Which team do I support?", "Name my favourite team."),
    ),
    (
        "teacher (new)",
        _v(
            "Mrs Abernathy, Mr Delacroix, Miss Fairweather, Mr Goldberg, Mrs Hathaway, Mr Lindqvist, Mrs Okafor"
        ),
        ("At school the best teacher I ever had was {v}.", "My old teacher {v} wrote me a letter."),
        ("Name the teacher I told you about.", "What is my old teacher called?"),
    ),
)


def draw(rng: random.Random) -> Probe:
    """One probe; options are four different values of its kind in random order."""
    kind, values, statements, questions = rng.choice(PROBES)
    options = rng.sample(values, 4)
    value = rng.choice(options)
    said = rng.choice(statements).replace("{v}", value)
    return Probe(kind, said[0].upper() + said[1:], rng.choice(questions), value, tuple(options))
