"""Facts to plant in real dialogues: what the user says of themselves, and questions about it later."""

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
    """

    name: str
    draw: Draw
    statements: tuple[str, ...]
    questions: tuple[str, ...]
    answers: tuple[str, ...]


@dataclass(frozen=True)
class Fact:
    """One planted fact: the statement, a question, the answer to it, and the value that must appear."""

    kind: str
    value: str
    statement: str
    question: str
    answer: str


def one_of(options: Sequence[str], invented: float = 0.0, syllables: int = 2) -> Draw:
    """Draws from a list, or, with probability `invented`, a made-up word."""

    def draw(rng: random.Random) -> str:
        return v.made_up(rng, syllables) if rng.random() < invented else rng.choice(options)

    return draw


def _number(low: int, high: int) -> Draw:
    return lambda rng: str(rng.randint(low, high))


def _kind(name: str, draw: Draw, statements: str, questions: str, answers: str) -> FactKind:
    parts = [tuple(line.strip() for line in t.strip().split("|")) for t in (statements, questions, answers)]
    return FactKind(name, draw, *parts)


def _relative(word: str) -> FactKind:
    return _kind(
        f"{word}'s name",
        one_of(v.FIRST_NAMES, 0.4),
        f"My {word} is called {{v}}. | I have a {word} named {{v}}. | My {word} {{v}} says hello, by the way."
        f" | I'm visiting my {word}, {{v}}, this weekend.",
        f"What is my {word}'s name? | What's my {word} called? | Do you remember the name of my {word}?"
        f" | Who is my {word}?",
        f"Your {word}'s name is {{v}}. | Your {word} is called {{v}}.",
    )


def _pet(animal: str) -> FactKind:
    return _kind(
        f"{animal}'s name",
        one_of(v.FIRST_NAMES, 0.6),
        f"I have a {animal} called {{v}}. | My {animal}'s name is {{v}}. | We just got a {animal} and named it {{v}}."
        f" | {{v}} is my {animal}.",
        f"What is the name of my {animal}? | What's my {animal} called? | Do you remember my {animal}'s name?"
        f" | How did I name my {animal}?",
        f"Your {animal} is called {{v}}. | Your {animal}'s name is {{v}}.",
    )


def _person(word: str) -> FactKind:
    def draw(rng: random.Random) -> str:
        title = rng.choice(("Mr ", "Mrs ", "Dr ", "Miss ", "Ms ", ""))
        return title + (v.made_up(rng) if rng.random() < 0.6 else rng.choice(v.FIRST_NAMES))

    return _kind(
        f"{word}'s name",
        draw,
        f"My {word} is {{v}}. | {{v}} is my {word}. | I talked to my {word}, {{v}}, yesterday. | My {word} {{v}} called me."
        f" | The name of my {word} is {{v}}. | My {word} goes by {{v}}.",
        f"Who is my {word}? | What's the name of my {word}? | How is my {word} called? | What is my {word}'s name?",
        f"Your {word} is {{v}}. | Your {word}'s name is {{v}}.",
    )


def _liking(word: str) -> FactKind:
    return _kind(
        f"favourite {word}",
        one_of(v.FIRST_NAMES + v.STREETS + v.BOOKS, 0.6),
        f"My favourite {word} is {{v}}. | No {word} is better than {{v}}. | I adore {{v}}, the best {word} there is."
        f" | When it comes to a {word}, I choose {{v}}. | {{v}} is the {word} I love. | I'm a big fan of {{v}}, the {word}."
        f" | For years {{v}} has been my {word} of choice. | Every week I enjoy {{v}}, my favourite {word}.",
        f"What is my favourite {word}? | Which {word} do I love? | What {word} do I choose? | Which {word} am I a fan of?"
        f" | Which {word} do I enjoy every week?",
        f"Your favourite {word} is {{v}}. | You love {{v}}. | It is {{v}}.",
    )


_PERSONS = (
    "neighbour",
    "coach",
    "doctor",
    "landlord",
    "roommate",
    "cousin",
    "uncle",
    "hairdresser",
    "tutor",
    "colleague",
)
_LIKINGS = (
    "film song band animal season flower game singer dessert fruit snack hotel restaurant park beach museum comic"
    " magazine painter writer shop cheese tea beer juice club actor podcast"
).split()

KINDS: tuple[FactKind, ...] = (
    _kind(
        "name",
        one_of(v.FIRST_NAMES, 0.4),
        "My name is {v}. | I'm {v}. | You can call me {v}. | Hi, {v} here. | By the way, I'm called {v}."
        " | People call me {v}.",
        "What is my name? | What's my name? | Do you remember my name? | Who am I? | Can you tell me my name?"
        " | What did I say my name was?",
        "Your name is {v}. | You are {v}. | You're {v}.",
    ),
    _kind(
        "home",
        one_of(v.CITIES, 0.3),
        "I live in {v}. | I'm based in {v}. | I moved to {v} last year. | My home is in {v}. | I've got a flat in {v}.",
        "Where do I live? | Which city do I live in? | What town do I live in? | Do you remember where I live?"
        " | Where is my home?",
        "You live in {v}. | Your home is in {v}.",
    ),
    _kind(
        "birthplace",
        one_of(v.CITIES, 0.3),
        "I was born in {v}. | I grew up in {v}. | I'm originally from {v}. | My hometown is {v}.",
        "Where was I born? | Where am I from originally? | What is my hometown? | Where did I grow up?",
        "You are from {v}. | You come from {v}.",
    ),
    _kind(
        "job",
        one_of(v.JOBS),
        "I work as a {v}. | I'm a {v}. | My job is {v}. | I earn my living as a {v}. | I've been a {v} for years.",
        "What is my job? | What do I do for a living? | What do I work as? | What's my profession?"
        " | Do you remember my job?",
        "You work as a {v}. | You are a {v}.",
    ),
    _kind(
        "allergy",
        one_of(v.FOODS),
        "I'm allergic to {v}. | I can't eat {v}, I have an allergy. | {v} give me a bad allergic reaction."
        " | I have an allergy to {v}. | Just so you know, I'm allergic to {v}.",
        "What am I allergic to? | Which food do I have an allergy to? | What food should I avoid? | What can't I eat?"
        " | What should I avoid at dinner?",
        "You are allergic to {v}. | You should avoid {v}, you are allergic to {v}.",
    ),
    _kind(
        "dish",
        one_of(v.DISHES),
        "My favourite food is {v}. | I love {v} more than any other food. | I could eat {v} every day."
        " | The dish I like best is {v}.",
        "What is my favourite food? | Which dish do I like best? | What food do I love? | What could I eat every day?",
        "Your favourite food is {v}. | You like {v} best.",
    ),
    _kind(
        "colour",
        one_of(v.COLOURS),
        "My favourite colour is {v}. | I like {v} better than all other colours. | My favorite color is {v}."
        " | {v} is the colour I love most.",
        "What is my favourite colour? | What's my favorite color? | Which colour do I like best?"
        " | Do you remember my favourite colour?",
        "Your favourite colour is {v}. | You like {v} best.",
    ),
    _kind(
        "instrument",
        one_of(v.INSTRUMENTS),
        "I play the {v}. | I'm learning the {v}. | I've played the {v} since I was a child. | I practise the {v} daily.",
        "Which instrument do I play? | What instrument do I play? | What do I play? | Do you recall my instrument?",
        "You play the {v}.",
    ),
    _kind(
        "sport",
        one_of(v.SPORTS),
        "My favourite sport is {v}. | I do {v} twice a week. | I'm really into {v}. | My hobby is {v}.",
        "What is my favourite sport? | Which sport do I do? | What is my hobby? | What am I really into?",
        "Your sport is {v}. | You like {v}.",
    ),
    _kind(
        "language",
        one_of(v.LANGUAGES),
        "I'm learning {v}. | I take {v} lessons. | I'm trying to speak {v}. | I started studying {v} this year.",
        "Which language am I learning? | What language do I study? | What am I learning to speak?",
        "You are learning {v}.",
    ),
    _kind(
        "trip",
        one_of(v.COUNTRIES, 0.2),
        "I'm flying to {v} next month. | My next holiday is in {v}. | I booked a trip to {v}. | We go to {v} this summer.",
        "Where am I going on holiday? | Where is my next trip? | Which country am I flying to? | Where did I book a trip to?",
        "You are going to {v}. | Your trip is to {v}.",
    ),
    _kind(
        "car",
        one_of(v.CARS),
        "I drive a {v}. | My car is a {v}. | I just bought a {v}. | I own an old {v}.",
        "What car do I drive? | Which car do I have? | What kind of car do I own? | What's my car?",
        "You drive a {v}. | Your car is a {v}.",
    ),
    _kind(
        "age",
        _number(18, 90),
        "I'm {v} years old. | I just turned {v}. | I am {v}. | My age is {v}.",
        "How old am I? | What is my age? | Do you remember how old I am? | What age am I?",
        "You are {v} years old. | You are {v}.",
    ),
    _kind(
        "birthday",
        lambda rng: f"{rng.choice(v.MONTHS)} {rng.randint(1, 28)}",
        "My birthday is on {v}. | I was born on {v}. | I celebrate my birthday on {v}. | Mark {v}, it's my birthday.",
        "When is my birthday? | What date is my birthday? | On which day was I born? | Do you remember my birthday?",
        "Your birthday is on {v}. | You were born on {v}.",
    ),
    _kind(
        "code",
        _number(1000, 9999),
        "My locker code is {v}. | The code of my locker is {v}. | Please remember the code {v}. | My door code is {v}.",
        "What is my code? | What's the code? | Which code did I tell you? | Do you remember the code?",
        "The code is {v}. | Your code is {v}.",
    ),
    _kind(
        "room",
        _number(10, 999),
        "I'm staying in room {v}. | My room number is {v}. | They gave me room {v}. | My office is room {v}.",
        "What is my room number? | Which room am I in? | What room did I say I have?",
        "Your room number is {v}. | You are in room {v}.",
    ),
    _kind(
        "appointment",
        lambda rng: f"{rng.choice(v.DAYS)} at {rng.randint(1, 12)} {rng.choice(['am', 'pm'])}",
        "My dentist appointment is on {v}. | I see the doctor on {v}. | I have a meeting on {v}. | My interview is {v}.",
        "When is my appointment? | On which day is my appointment? | When do I have to be there?",
        "Your appointment is on {v}. | It is on {v}.",
    ),
    _kind(
        "street",
        lambda rng: (
            f"{v.made_up(rng) if rng.random() < 0.3 else rng.choice(v.STREETS)} {rng.choice(['Street', 'Road', 'Lane', 'Avenue'])}"
        ),
        "My house is on {v}. | I live on {v}. | Our flat is in {v}. | We moved to {v}.",
        "Which street do I live on? | What street is my house on? | What is my street?",
        "You live on {v}. | Your house is on {v}.",
    ),
    _kind(
        "studies",
        one_of(v.SUBJECTS),
        "I study {v}. | I'm a student of {v}. | I'm doing a degree in {v}. | My subject at university is {v}.",
        "What do I study? | What is my subject? | What am I doing a degree in? | Which subject do I study?",
        "You study {v}. | Your subject is {v}.",
    ),
    _kind(
        "book",
        one_of(v.BOOKS),
        "My favourite book is {v}. | I'm reading {v}. | I can't put down {v}. | I read {v} every year.",
        "Which book am I reading? | What is my favourite book? | What book did I tell you about?",
        "The book is {v}. | It is {v}.",
    ),
    _kind(
        "employer",
        lambda rng: (
            f"{v.made_up(rng)}{rng.choice([' Labs', ' Ltd', ' & Sons', ' Group', 'soft', ' Foods', ''])}"
        ),
        "I work for {v}. | My company is {v}. | I started at {v} in spring. | My employer is {v}.",
        "Which company do I work for? | Who is my employer? | Where do I work? | What is my company called?",
        "You work for {v}. | Your employer is {v}.",
    ),
    *(
        _relative(w)
        for w in ("sister", "brother", "wife", "husband", "best friend", "daughter", "son", "boss")
    ),
    *(_pet(a) for a in v.ANIMALS[:8]),
    *(_person(w) for w in _PERSONS),
    *(_liking(w) for w in _LIKINGS),
)
"""Kinds of facts that training plants."""

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
}


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
    """`count` facts of different kinds."""
    facts = []
    for kind in rng.sample(KINDS, count):
        value = kind.draw(rng)
        statement = rng.choice(kind.statements).replace("{v}", value)
        answer = rng.choice(kind.answers).replace("{v}", value)
        statement = statement[0].upper() + statement[1:]
        facts.append(Fact(kind.name, value, _tell(rng, statement), _ask(rng, kind), answer))
    return facts
