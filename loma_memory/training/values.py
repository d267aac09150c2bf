"""Values of planted facts for training. Evaluation has others (`loma_memory.evaluation.facts`)."""

from __future__ import annotations

import random

_ONSETS = "b br c ch cl d dr f fl g gr h j k kr l m n p pr qu r s sh sl st t th tr v w y z".split()
_VOWELS = "a e i o u ae ai ea ia io oa ou".split()
_CODAS = ["", "", "", "l", "n", "r", "s", "m", "th", "nd", "x", "ck", "rd", "lo", "na", "ra", "mi"]


def made_up(rng: random.Random, syllables: int = 2) -> str:
    """A pronounceable invented word; it can only be copied, never guessed."""
    word = "".join(rng.choice(_ONSETS) + rng.choice(_VOWELS) for _ in range(syllables)) + rng.choice(_CODAS)
    return word.capitalize()


def _split(text: str) -> list[str]:
    return [v.strip() for v in text.split(",")]


FIRST_NAMES = _split(
    "Maria, James, Aisha, Tom, Priya, Lukas, Chen, Fatima, Oliver, Sofia, Kwame, Ingrid, Diego, Hannah, Yuki,"
    "Omar, Clara, Mateo, Nadia, Erik, Grace, Samuel, Leila, Victor, Emma, Raj, Bianca, Noah, Tara, Felix,"
    "Rosa, Ivan, Mei, Peter, Zainab, Hugo, Alice, Karim, Elena, Jack, Amara, Daniel, Lucia, George, Nina,"
    "Arthur, Salma, Pavel, Julia, Marcus, Ines, Theo, Vera, Liam, Ruth, Simon, Greta, Andre, Molly, Kofi"
)
CITIES = _split(
    "Lisbon, Denver, Osaka, Nairobi, Toronto, Kraków, Lima, Dublin, Hanoi, Seattle, Cairo, Bergen, Austin,"
    "Valencia, Mumbai, Montreal, Perth, Naples, Boston, Accra, Leeds, Quito, Zagreb, Chicago, Seoul, Porto,"
    "Glasgow, Tunis, Phoenix, Munich, Brisbane, Bogotá, Vienna, Atlanta, Jakarta, Geneva, Tampa, Riga"
)
JOBS = _split(
    "nurse, plumber, accountant, teacher, baker, architect, bus driver, dentist, electrician, journalist,"
    "librarian, mechanic, pharmacist, translator, carpenter, software developer, florist, lawyer, waiter,"
    "surgeon, photographer, farmer, tailor, firefighter, biologist, barber, welder, painter, chemist, pilot"
)
ANIMALS = _split(
    "dog, cat, parrot, rabbit, hamster, turtle, horse, goldfish, lizard, guinea pig, snake, goat"
)
FOODS = _split(
    "peanuts, shellfish, eggs, milk, soy, wheat, sesame, strawberries, walnuts, mustard, celery, almonds,"
    "tomatoes, kiwi, lupin, fish, garlic, bananas, oats, cashews, mushrooms, peaches, corn, hazelnuts"
)
DISHES = _split(
    "lasagne, sushi, tacos, ramen, pancakes, paella, dumplings, pizza, moussaka, curry, falafel, pierogi,"
    "risotto, burritos, fish and chips, pad thai, goulash, apple pie, couscous, biryani, waffles, kebab"
)
COLOURS = _split(
    "red, green, blue, yellow, purple, orange, pink, brown, black, white, grey, turquoise, violet, gold,"
    "silver, maroon, navy, beige, olive, crimson, lavender, mint green, dark blue, salmon"
)
INSTRUMENTS = _split(
    "piano, guitar, violin, cello, flute, drums, trumpet, saxophone, harp, clarinet, banjo, accordion,"
    "ukulele, trombone, double bass, oboe"
)
SPORTS = _split(
    "tennis, football, swimming, basketball, chess, rowing, fencing, badminton, climbing, volleyball, judo,"
    "hockey, cycling, table tennis, rugby, surfing, running, golf, archery, boxing"
)
LANGUAGES = _split(
    "Spanish, Japanese, Arabic, Finnish, Greek, Korean, Italian, Turkish, Swahili, Polish, Mandarin, German,"
    "Portuguese, Hindi, Dutch, Russian, Welsh, Thai, Hebrew, Danish"
)
COUNTRIES = _split(
    "Portugal, Japan, Kenya, Canada, Peru, Ireland, Vietnam, Egypt, Norway, Spain, India, Mexico, Italy,"
    "Ghana, Chile, Poland, Morocco, Iceland, Greece, Thailand, Brazil, Nepal, Austria, Cuba, Turkey"
)
CARS = _split(
    "Toyota, Volvo, Ford, Fiat, Honda, Mazda, Tesla, Renault, Skoda, Nissan, Kia, Audi, Jeep, Subaru, Mini,"
    "Peugeot, Opel, Suzuki, Lexus, Hyundai"
)
MONTHS = _split(
    "January, February, March, April, May, June, July, August, September, October, November, December"
)
DAYS = _split("Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday")
STREETS = _split(
    "Oak, Mill, Church, Station, Park, King, Market, Hill, River, School, Garden, Bridge, Castle, Forest,"
    "Lake, Meadow, Orchard, Chapel, Harbour, Windmill, Cherry, Maple"
)
SUBJECTS = _split(
    "physics, history, law, economics, nursing, music, biology, geography, philosophy, chemistry, design,"
    "mathematics, psychology, linguistics, engineering, medicine, theology, statistics, drama, geology"
)
BOOKS = _split(
    "Dune, Emma, Dracula, Ulysses, Jane Eyre, The Hobbit, Moby Dick, Frankenstein, Beloved, The Stranger,"
    "Don Quixote, Middlemarch, Rebecca, The Trial, Walden, Persuasion, Ivanhoe, Heidi, Kim, Momo"
)
