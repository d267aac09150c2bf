"""Kinds of facts that training plants: ways to say them, to ask for them and to answer."""

from __future__ import annotations

import random
from dataclasses import replace

from loma_memory.training import values as v
from loma_memory.training.everyday import EVERYDAY
from loma_memory.training.fact_kind import FactKind, kind, number, one_of
from loma_memory.training.numbers import NUMBERS, digits


def _relative(word: str) -> FactKind:
    return kind(
        f"{word}'s name",
        one_of(v.FIRST_NAMES, 0.4),
        f"My {word} is called {{v}}. | I have a {word} named {{v}}. | My {word} {{v}} says hello, by the way."
        f" | I'm visiting my {word}, {{v}}, this weekend. | {{v}}, that's my {word}, phoned me. | You should meet {{v}}, my {word}."
        f" | I went out with {{v}} last night, my {word}.",
        f"What is my {word}'s name? | What's my {word} called? | Do you remember the name of my {word}?"
        f" | Who is my {word}? | How do you call my {word}? | Which name has my {word}? | Tell me the name of my {word}.",
        f"Your {word}'s name is {{v}}. | Your {word} is called {{v}}.",
    )


def _pet(animal: str) -> FactKind:
    return kind(
        f"{animal}'s name",
        one_of(v.FIRST_NAMES, 0.6),
        f"I have a {animal} called {{v}}. | My {animal}'s name is {{v}}. | We just got a {animal} and named it {{v}}."
        f" | {{v}} is my {animal}. | {{v}}, our {animal}, is asleep beside me. | I have to feed {{v}}, my {animal}."
        f" | Since we have {{v}} at home, a {animal}, life is fun.",
        f"What is the name of my {animal}? | What's my {animal} called? | Do you remember my {animal}'s name?"
        f" | How did I name my {animal}? | Which name has our {animal}? | What do we call the {animal}?"
        f" | Tell me the name of our {animal}.",
        f"Your {animal} is called {{v}}. | Your {animal}'s name is {{v}}.",
    )


def _person(word: str) -> FactKind:
    def draw(rng: random.Random) -> str:
        title = rng.choice(("Mr ", "Mrs ", "Dr ", "Miss ", "Ms ", ""))
        if rng.random() < 0.3:
            return title + v.made_up(rng)
        return title + rng.choice(v.SURNAMES if title else v.FIRST_NAMES)

    return kind(
        f"{word}'s name",
        draw,
        f"My {word} is {{v}}. | {{v}} is my {word}. | I talked to my {word}, {{v}}, yesterday. | My {word} {{v}} called me."
        f" | The name of my {word} is {{v}}. | My {word} goes by {{v}}.",
        f"Who is my {word}? | What's the name of my {word}? | How is my {word} called? | What is my {word}'s name?",
        f"Your {word} is {{v}}. | Your {word}'s name is {{v}}.",
    )


def _liking(word: str) -> FactKind:
    return kind(
        f"favourite {word}",
        one_of(v.STREETS + v.BOOKS + v.SURNAMES, 0.2, 0.4),
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

_SINGLE: tuple[FactKind, ...] = (
    kind(
        "name",
        one_of(v.FIRST_NAMES, 0.4),
        "They named me {v} when I was born. | {v} speaking. | It's {v} again. | Everybody knows me as {v}."
        " | My name is {v}. | I'm {v}. | You can call me {v}. | Hi, {v} here. | By the way, I'm called {v}."
        " | People call me {v}.",
        "How should you address me? | What do people call me? | Under which name do you know me? | My name, what is it?"
        " | What is my name? | What's my name? | Do you remember my name? | Who am I? | Can you tell me my name?"
        " | What did I say my name was?",
        "Your name is {v}. | You are {v}. | You're {v}. | You're called {v}. | You are called {v}.",
    ),
    kind(
        "home",
        one_of(v.CITIES, 0.3),
        "Life here in {v} is good. | I come to you from {v}, where I live. | I rent a room in {v}. | These days {v} is my home."
        " | I live in {v}. | I'm based in {v}. | I moved to {v} last year. | My home is in {v}. | I've got a flat in {v}.",
        "Where is my flat? | Where do you think I live? | In which place am I at home? | Which city do I call home?"
        " | Where do I live? | Which city do I live in? | What town do I live in? | Do you remember where I live?"
        " | Where is my home?",
        "You live in {v}. | Your home is in {v}.",
    ),
    kind(
        "birthplace",
        one_of(v.CITIES, 0.3),
        "My family comes from {v}, and so do I. | I spent my childhood in {v}. | {v} is where I was born."
        " | I was born in {v}. | I grew up in {v}. | I'm originally from {v}. | My hometown is {v}.",
        "Where did I spend my childhood? | In which city was I born? | Where does my family come from?"
        " | Where was I born? | Where am I from originally? | What is my hometown? | Where did I grow up?",
        "You are from {v}. | You come from {v}.",
    ),
    kind(
        "job",
        one_of(v.JOBS, phrases=0.1),
        "I make my living as a {v}. | After school I became a {v}. | As a {v} I work long hours. | They hired me as a {v}. | Being a {v} pays my rent."
        " | I work as a {v}. | I'm a {v}. | My job is {v}. | I earn my living as a {v}. | I've been a {v} for years.",
        "How do I make a living? | What is my work? | What kind of work do I do all day? | What pays my rent? | What did they hire me as?"
        " | What is my job? | What do I do for a living? | What do I work as? | What's my profession?"
        " | Do you remember my job?",
        "You work as a {v}. | You are a {v}.",
    ),
    kind(
        "allergy",
        one_of(v.FOODS, phrases=0.1),
        "I get ill when I eat {v}. | My skin itches after eating {v}. | {v} make me sick, so none for me. | The doctor told me to stay away from {v}."
        " | I'm allergic to {v}. | I can't eat {v}, I have an allergy. | {v} give me a bad allergic reaction."
        " | I have an allergy to {v}. | Just so you know, I'm allergic to {v}.",
        "What makes me ill? | What must be left out of my meals? | What should a cook leave out for me? | What did the doctor tell me to stay away from?"
        " | What am I allergic to? | Which food do I have an allergy to? | What food should I avoid? | What can't I eat?"
        " | What should I avoid at dinner?",
        "You are allergic to {v}. | You should avoid {v}, you are allergic to {v}.",
    ),
    kind(
        "dish",
        one_of(v.DISHES, phrases=0.1),
        "Nothing tastes better to me than {v}. | For dinner I always want {v}. | Give me {v} and I'm happy."
        " | My favourite food is {v}. | I love {v} more than any other food. | I could eat {v} every day."
        " | The dish I like best is {v}.",
        "What do I prefer to eat? | What tastes best to me? | What do I always want for dinner? | What should you cook to make me happy?"
        " | What is my favourite food? | Which dish do I like best? | What food do I love? | What could I eat every day?",
        "Your favourite food is {v}. | You like {v} best.",
    ),
    kind(
        "colour",
        one_of(v.COLOURS, phrases=0.1),
        "Everything I own is {v}, I just love that colour. | I painted my whole room {v}, it's my colour. | If I could, I'd wear {v} all the time."
        " | My favourite colour is {v}. | I like {v} better than all other colours. | My favorite color is {v}."
        " | {v} is the colour I love most.",
        "What colour do I love? | What is my colour? | Which colour would I paint a room in? | What colour should you choose for me?"
        " | What is my favourite colour? | What's my favorite color? | Which colour do I like best?"
        " | Do you remember my favourite colour?",
        "Your favourite colour is {v}. | You like {v} best.",
    ),
    kind(
        "instrument",
        one_of(v.INSTRUMENTS, phrases=0.1),
        "In our band I'm on the {v}. | You can hear me on the {v} every evening. | I spend hours with my {v}."
        " | I play the {v}. | I'm learning the {v}. | I've played the {v} since I was a child. | I practise the {v} daily.",
        "What do I practise? | What am I on in our band? | What kind of music lessons do I take?"
        " | Which instrument do I play? | What instrument do I play? | What do I play? | Do you recall my instrument?",
        "You play the {v}.",
    ),
    kind(
        "sport",
        one_of(v.SPORTS, phrases=0.1),
        "On Sundays I go for {v}. | {v} keeps me fit. | I'd give anything for a good round of {v}."
        " | My favourite sport is {v}. | I do {v} twice a week. | I'm really into {v}. | My hobby is {v}.",
        "How do I keep fit? | What do I do on Sundays? | What do I do in my free time? | Which sport do I love?"
        " | What is my favourite sport? | Which sport do I do? | What is my hobby? | What am I really into?",
        "Your sport is {v}. | You like {v}.",
    ),
    kind(
        "language",
        one_of(v.LANGUAGES),
        "I go to an evening class for {v}. | Soon I'll speak {v}. | My new challenge is {v}, I've bought a grammar."
        " | I'm learning {v}. | I take {v} lessons. | I'm trying to speak {v}. | I started studying {v} this year.",
        "What language will I soon speak? | What is my evening class about? | Which language have I taken up?"
        " | Which language am I learning? | What language do I study? | What am I learning to speak?",
        "You are learning {v}.",
    ),
    kind(
        "trip",
        one_of(v.COUNTRIES, 0.2),
        "Our plane to {v} leaves soon. | I'm saving money to travel to {v}. | We'll spend our honeymoon in {v}."
        " | I'm flying to {v} next month. | My next holiday is in {v}. | I booked a trip to {v}. | We go to {v} this summer.",
        "Where will I travel? | Which country do I travel to? | What is the goal of my journey? | Where does my plane go?"
        " | Where am I going on holiday? | Where is my next trip? | Which country am I flying to? | Where did I book a trip to?",
        "You are going to {v}. | Your trip is to {v}.",
    ),
    kind(
        "car",
        one_of(v.CARS),
        "You'll see my {v} in front of the house. | I go to work in my {v}. | There is a {v} in my garage."
        " | I drive a {v}. | My car is a {v}. | I just bought a {v}. | I own an old {v}.",
        "What is in my garage? | What do I go to work in? | Which make is my car?"
        " | What car do I drive? | Which car do I have? | What kind of car do I own? | What's my car?",
        "You drive a {v}. | Your car is a {v}.",
    ),
    kind(
        "age",
        number(18, 90),
        "I have lived for {v} years. | There were {v} candles on my cake. | At {v} I still feel young."
        " | I'm {v} years old. | I just turned {v}. | I am {v}. | My age is {v}.",
        "How many years have I lived? | How many candles were on my cake? | How old did I say I am?"
        " | How old am I? | What is my age? | Do you remember how old I am? | What age am I?",
        "You are {v} years old. | You are {v}.",
    ),
    kind(
        "birthday",
        lambda rng: f"{rng.choice(v.MONTHS)} {rng.randint(1, 28)}",
        "My party is on {v}, the day I was born. | On {v} I'll be a year older. | You may congratulate me on {v}."
        " | My birthday is on {v}. | I was born on {v}. | I celebrate my birthday on {v}. | Mark {v}, it's my birthday.",
        "When will I be a year older? | When can you congratulate me? | What is my date of birth?"
        " | When is my birthday? | What date is my birthday? | On which day was I born? | Do you remember my birthday?",
        "Your birthday is on {v}. | You were born on {v}.",
    ),
    kind(
        "code",
        digits(4),
        "Keep the number {v} for me. | To open it, type {v}. | The secret number is {v}."
        " | My locker code is {v}. | The code of my locker is {v}. | Please remember the code {v}. | My door code is {v}.",
        "Which number did I give you? | What must I type to open it? | What is the secret number?"
        " | What is my code? | What's the code? | Which code did I tell you? | Do you remember the code?",
        "The code is {v}. | Your code is {v}.",
    ),
    kind(
        "room",
        number(10, 999),
        "You'll find me in room {v}. | I sleep in room {v} of the hotel. | Send it up to room {v}."
        " | I'm staying in room {v}. | My room number is {v}. | They gave me room {v}. | My office is room {v}.",
        "Where will you find me in the building? | Which room do I sleep in? | What's the number of my room?"
        " | What is my room number? | Which room am I in? | What room did I say I have?",
        "Your room number is {v}. | You are in room {v}.",
    ),
    kind(
        "appointment",
        lambda rng: f"{rng.choice(v.DAYS)} at {rng.randint(1, 12)} {rng.choice(['am', 'pm'])}",
        "I must not miss {v}, they are waiting for me. | They gave me {v} for the visit. | Let's say {v} for my haircut."
        " | My dentist appointment is on {v}. | I see the doctor on {v}. | I have a meeting on {v}. | My interview is {v}.",
        "When are they waiting for me? | For when is my visit? | What time was I given?"
        " | When is my appointment? | On which day is my appointment? | When do I have to be there?",
        "Your appointment is on {v}. | It is on {v}.",
    ),
    kind(
        "street",
        lambda rng: (
            f"{v.made_up(rng) if rng.random() < 0.3 else rng.choice(v.STREETS)} {rng.choice(['Street', 'Road', 'Lane', 'Avenue'])}"
        ),
        "The postman finds me on {v}. | Come and see us on {v}. | Our front door opens onto {v}."
        " | My house is on {v}. | I live on {v}. | Our flat is in {v}. | We moved to {v}.",
        "Where does the postman find me? | What's the name of the street where I live? | On which street can you visit us?"
        " | Which street do I live on? | What street is my house on? | What is my street?",
        "You live on {v}. | Your house is on {v}.",
    ),
    kind(
        "studies",
        one_of(v.SUBJECTS),
        "At college I take {v}. | I'll have a diploma in {v} soon. | My lectures are on {v}."
        " | I study {v}. | I'm a student of {v}. | I'm doing a degree in {v}. | My subject at university is {v}.",
        "What will my diploma be in? | What are my lectures on? | What am I taking at college?"
        " | What do I study? | What is my subject? | What am I doing a degree in? | Which subject do I study?",
        "You study {v}. | Your subject is {v}.",
    ),
    kind(
        "book",
        one_of(v.BOOKS),
        "There's a copy of {v} beside my bed. | Everyone should read {v}, it changed my life. | I've finished {v} three times."
        " | My favourite book is {v}. | I'm reading {v}. | I can't put down {v}. | I read {v} every year.",
        "What lies beside my bed to read? | Which book changed my life? | Which book have I finished three times?"
        " | Which book am I reading? | What is my favourite book? | What book did I tell you about?",
        "The book is {v}. | It is {v}.",
    ),
    kind(
        "employer",
        lambda rng: (
            f"{v.made_up(rng)}{rng.choice([' Labs', ' Ltd', ' & Sons', ' Group', 'soft', ' Foods', ''])}"
        ),
        "Every morning I go to the office of {v}. | {v} pays me well. | I've been with {v} since school."
        " | I work for {v}. | My company is {v}. | I started at {v} in spring. | My employer is {v}.",
        "Who pays me? | Which firm am I with? | Whose office do I go to?"
        " | Which company do I work for? | Who is my employer? | Where do I work? | What is my company called?",
        "You work for {v}. | Your employer is {v}.",
    ),
)

KINDS: tuple[FactKind, ...] = (
    *(replace(k, weight=3.0) for k in (*_SINGLE, *EVERYDAY, *NUMBERS)),
    *(
        _relative(w)
        for w in ("sister", "brother", "wife", "husband", "best friend", "daughter", "son", "boss")
    ),
    *(_pet(a) for a in v.ANIMALS[:8]),
    *(_person(w) for w in _PERSONS),
    *(_liking(w) for w in _LIKINGS),
)
"""Kinds of facts that training plants."""
