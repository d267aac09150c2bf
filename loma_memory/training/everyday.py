"""More kinds of facts, each in words of its own, so that finding what is asked for is what is learned."""

from __future__ import annotations

import random

from loma_memory.training import values as v
from loma_memory.training.fact_kind import FactKind, kind, number, one_of
from loma_memory.training.numbers import digits


def _hour(rng: random.Random) -> str:
    return f"{rng.randint(1, 12)}:{rng.choice(('00', '10', '15', '20', '30', '40', '45', '50'))}"


def _full_name(rng: random.Random) -> str:
    return f"{rng.choice(v.FIRST_NAMES)} {rng.choice(v.SURNAMES)}"


def _password(rng: random.Random) -> str:
    return f"{rng.choice(v.THINGS)}{rng.randint(10, 999)}"


def _gate(rng: random.Random) -> str:
    return f"{rng.choice('ABCDEFG')}{rng.randint(1, 60)}"


EVERYDAY: tuple[FactKind, ...] = (
    kind(
        "collection",
        one_of(
            [
                f"{a} {t}s"
                for a in ("old", "glass", "silver", "toy")
                for t in ("bell", "button", "lamp", "kettle", "spoon")
            ],
            phrases=0.3,
        ),
        "I collect {v}, my shelves are full of them. | Whenever I see {v} at a flea market I buy them. | My attic is full of {v} that I have gathered over the years.",
        "What do I collect? | What do I buy at flea markets? | What are my shelves full of? | What have I gathered in the attic?",
        "You collect {v}.",
    ),
    kind(
        "fear",
        one_of(v.THINGS + v.ANIMALS, phrases=0.2),
        "I'm afraid of one thing only: {v}. | Nothing scares me like {v}. | I run away whenever there is talk of {v}.",
        "What am I afraid of? | What scares me? | What makes me run away?",
        "You are afraid of {v}.",
    ),
    kind(
        "shoe size",
        number(35, 48),
        "I take size {v} in shoes. | My feet are a size {v}. | Shoes fit me in {v}.",
        "What is my shoe size? | Which size do I need in shoes? | How big are my feet?",
        "Your shoe size is {v}. | You take size {v}.",
    ),
    kind(
        "bus",
        number(2, 250),
        "I take the number {v} bus to work. | Bus {v} stops right at my door. | Every morning I wait for the {v}, my bus.",
        "Which bus do I take? | What's the number of my bus? | Which bus stops at my door?",
        "You take bus {v}. | Your bus is the {v}.",
    ),
    kind(
        "gate",
        _gate,
        "My flight leaves from gate {v}. | They're boarding at {v}, so that's where I must go. | I'm waiting at gate {v}.",
        "Which gate does my flight leave from? | Where are they boarding? | At which gate am I waiting?",
        "Your gate is {v}.",
    ),
    kind(
        "password",
        _password,
        "The wifi password here is {v}. | Log in with {v} as the password. | I changed the password to {v}.",
        "What is the password? | Which password did I tell you? | How do I log in to the wifi?",
        "The password is {v}.",
    ),
    kind(
        "wake-up time",
        _hour,
        "I get up at {v} every morning. | My alarm is set to {v}. | At {v} I'm out of bed, every day.",
        "When do I get up? | What time is my alarm set to? | When am I out of bed?",
        "You get up at {v}. | Your alarm is set to {v}.",
    ),
    kind(
        "train",
        _hour,
        "My train goes at {v}. | I have to catch the {v} train. | The last train home is at {v}.",
        "When does my train go? | Which train do I have to catch? | What time is the last train?",
        "Your train goes at {v}. | It goes at {v}.",
    ),
    kind(
        "children",
        number(2, 9),
        "We have {v} children. | I'm the parent of {v} kids. | With {v} children the house is never quiet.",
        "How many children do I have? | How many kids are there in my house? | What is the number of my children?",
        "You have {v} children.",
    ),
    kind(
        "breakfast",
        one_of(v.DISHES, phrases=0.1),
        "This morning I had {v} for breakfast. | I began the day with {v} on my plate. | There was {v} on the table when I got up.",
        "What did I have for breakfast? | What was on my plate this morning? | With what did I begin the day?",
        "You had {v} for breakfast. | You had {v}.",
    ),
    kind(
        "middle name",
        one_of(v.FIRST_NAMES + v.SURNAMES, 0.3),
        "My middle name is {v}, after my grandfather. | Few people know that my middle name is {v}. | {v} is my second first name.",
        "What is my middle name? | Which name do few people know? | What's my second first name?",
        "Your middle name is {v}.",
    ),
    kind(
        "nickname",
        one_of(v.THINGS, 0.4, 0.2),
        "At school they nicknamed me {v}. | My friends call me {v} for fun, it's a nickname. | {v} is my nickname.",
        "What is my nickname? | What did they nickname me at school? | What do my friends call me for fun?",
        "Your nickname is {v}.",
    ),
    kind(
        "surname",
        one_of(v.SURNAMES, 0.3),
        "My surname is {v}. | The name on my door is {v}. | Please write {v} as my last name.",
        "What is my surname? | Which name is on my door? | What's my last name?",
        "Your surname is {v}. | Your last name is {v}.",
    ),
    kind(
        "meeting person",
        _full_name,
        "At noon I'm meeting {v} at the office. | {v} wants to see me about the contract. | I have lunch with {v} tomorrow.",
        "Whom am I meeting? | Who wants to see me? | With whom do I have lunch?",
        "You are meeting {v}. | It is {v}.",
    ),
    kind(
        "present",
        one_of(v.THINGS, phrases=0.6),
        "For her birthday I'll give my mother a {v}. | I bought a {v} as a present. | The gift that I wrapped is a {v}.",
        "What present did I buy? | What will I give my mother? | What is the gift that I wrapped?",
        "You bought a {v}. | It is a {v}.",
    ),
    kind(
        "lost thing",
        one_of(v.THINGS, phrases=0.6),
        "I lost my {v} on the tram. | My {v} is gone, I can't find it anywhere. | Somebody has stolen my {v}.",
        "What did I lose? | What is gone? | What has been stolen from me?",
        "You lost your {v}.",
    ),
    kind(
        "hiding place",
        lambda rng: f"{rng.choice(('under', 'behind', 'inside', 'next to'))} the {v.phrase(rng)}",
        "The spare key is {v}. | I hid the money {v}. | You'll find my diary {v}.",
        "Where is what I've hidden? | Where is the spare key or whatever I put away? | In what place did I hide it?",
        "It is {v}.",
    ),
    kind(
        "garden",
        one_of(v.FOODS, phrases=0.1),
        "I grow {v} in my garden. | This year I planted {v} behind the house. | My balcony is full of {v}.",
        "What do I grow? | What did I plant? | What is growing behind my house?",
        "You grow {v}.",
    ),
    kind(
        "subject at school",
        one_of(v.SUBJECTS),
        "At school I was best at {v}. | I hated every lesson but {v}. | {v} was what I liked at school.",
        "What was I best at in school? | Which lesson didn't I hate? | What did I like at school?",
        "You were best at {v}. | You liked {v}.",
    ),
    kind(
        "hometown of parents",
        one_of(v.CITIES, 0.2),
        "My parents are from {v}. | My mother and father met in {v}. | My folks still live in {v}.",
        "Where are my parents from? | Where did my mother and father meet? | Where do my folks live?",
        "Your parents are from {v}.",
    ),
    kind(
        "conference",
        one_of(v.CITIES, 0.1),
        "The conference I'm going to is in {v}. | They're sending me to {v} for work. | I have to give a talk in {v}.",
        "Where is the conference? | Where are they sending me for work? | Where do I give a talk?",
        "It is in {v}. | You are going to {v}.",
    ),
    kind(
        "budget",
        lambda rng: f"{rng.randint(2, 99) * 50} {rng.choice(('dollars', 'euros', 'pounds'))}",
        "I can spend {v} on it, no more. | My budget is {v}. | The rent here is {v} a month.",
        "How much can I spend? | What is my budget or rent? | What sum of money did I tell you?",
        "It is {v}. | You said {v}.",
    ),
    kind(
        "order number",
        digits(5),
        "The number of my order is {v}. | My parcel has the tracking number {v}. | It says {v} on my ticket.",
        "What is my order number? | Which tracking number has my parcel? | What does it say on my ticket?",
        "The number is {v}. | It is {v}.",
    ),
    kind(
        "medicine",
        one_of(v.THINGS, 0.8),
        "I have to take {v} twice a day, doctor's orders. | The pills that I take are called {v}. | They prescribed me {v}.",
        "Which medicine do I take? | What are my pills called? | What did they prescribe me?",
        "You take {v}.",
    ),
    kind(
        "project",
        one_of(v.THINGS, 0.3, 0.4),
        "At work our project has the name {v}. | I lead a project called {v}. | We named the new product {v}.",
        "What is our project called? | Which project do I lead? | How did we name the product?",
        "It is called {v}. | The project is called {v}.",
    ),
    kind(
        "boat",
        one_of(v.FIRST_NAMES + v.THINGS, 0.2, 0.4),
        "I have a sailing boat, the {v}. | My boat bears the name {v}. | We went out with the {v}, our boat.",
        "What is my boat called? | Which name does my boat bear? | With what boat did we go out?",
        "Your boat is called {v}. | It is the {v}.",
    ),
    kind(
        "dream",
        one_of(
            [
                f"{t} with a {a}"
                for t in ("a farm", "a house", "a shop", "an island")
                for a in ("windmill", "river", "cellar", "tower", "stable")
            ],
            phrases=0.3,
        ),
        "My dream is to own {v}. | One day I'd like to have {v}. | If I were rich I'd buy {v}.",
        "What do I dream of? | What would I buy if I were rich? | What would I like to have one day?",
        "You dream of {v}. | It is {v}.",
    ),
    kind(
        "dance or course",
        one_of(
            [
                "salsa",
                "first aid",
                "calligraphy",
                "bookkeeping",
                "sewing",
                "wood carving",
                "photography",
                "creative writing",
                "self-defence",
                "cooking for beginners",
                "pottery",
                "public speaking",
            ],
            phrases=0.15,
        ),
        "On Thursday evenings I take a course in {v}. | I've put my name down for {v}. | They teach me {v} at the community centre.",
        "What course do I take? | What have I put my name down for? | What do they teach me on Thursdays?",
        "You take a course in {v}.",
    ),
    kind(
        "school",
        lambda rng: f"{rng.choice(v.STREETS)} {rng.choice(('School', 'College', 'Academy', 'High'))}",
        "I went to {v}. | My kids go to {v}. | I left {v} with good marks.",
        "Which school is mine? | Which school did I tell you about? | Where did I or my kids go to school?",
        "It is {v}. | The school is {v}.",
    ),
    kind(
        "illness",
        one_of(
            [
                "a cold",
                "the flu",
                "a broken wrist",
                "back pain",
                "a sprained ankle",
                "hay fever",
                "asthma",
                "a sore throat",
                "migraine",
                "a twisted knee",
                "sunburn",
                "a toothache",
                "insomnia",
                "a stiff neck",
            ]
        ),
        "I'm at home with {v}. | The trouble is {v}, says the doctor. | I've had {v} since last week.",
        "What's wrong with my health? | Why am I at home? | What have I had since last week?",
        "You have {v}.",
    ),
    kind(
        "wood or craft",
        one_of(v.THINGS, phrases=0.5),
        "I'm building a {v} in my workshop. | The thing I'm working on in the shed is a {v}. | With my own hands I made a {v}.",
        "What am I building? | What am I working on in the shed? | What did I make with my own hands?",
        "You are building a {v}. | It is a {v}.",
    ),
    kind(
        "date",
        lambda rng: f"{rng.choice(v.MONTHS)} {rng.randint(1, 28)}",
        "We're moving house on {v}. | Our wedding day is {v}. | The exam is on {v}. | My contract ends on {v}.",
        "Which date did I tell you? | On what date does it happen? | When is it, the day I mentioned?",
        "It is on {v}. | It is {v}.",
    ),
)
"""Kinds with words of their own, beside those of `training.kinds`."""
