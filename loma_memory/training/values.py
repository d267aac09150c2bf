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


def phrase(rng: random.Random) -> str:
    """One or two ordinary words that tell nothing of one another: as little to be guessed as an invented word."""
    thing = rng.choice(THINGS)
    how = rng.random()
    if how < 0.4:
        return thing
    return f"{rng.choice(DESCRIBING) if how < 0.8 else rng.choice(THINGS)} {thing}"


def _split(text: str) -> list[str]:
    return [v.strip() for v in text.split(",")]


FIRST_NAMES = _split(
    "Maria, James, Aisha, Tom, Priya, Lukas, Chen, Fatima, Oliver, Sofia, Kwame, Ingrid, Diego, Hannah,"
    "Yuki, Omar, Clara, Mateo, Nadia, Erik, Grace, Samuel, Leila, Victor, Emma, Raj, Bianca, Noah, Tara,"
    "Felix, Rosa, Ivan, Mei, Peter, Zainab, Hugo, Alice, Karim, Elena, Jack, Amara, Daniel, Lucia, George,"
    "Nina, Arthur, Salma, Pavel, Julia, Marcus, Ines, Theo, Vera, Liam, Ruth, Simon, Greta, Andre, Molly,"
    "Kofi, Abigail, Adrian, Alejandro, Anika, Anton, Benedict, Camille, Carmen, Conrad, Dagmar, Dmitri,"
    "Dorothea, Edith, Emilia, Esther, Ezra, Fiona, Frida, Gabriel, Giovanni, Harriet, Helena, Hiroshi,"
    "Ibrahim, Imogen, Jerome, Josephine, Katarina, Lorenzo, Magdalena, Malik, Miriam, Natasha, Nikolai,"
    "Octavia, Olga, Penelope, Quentin, Rafael, Rosalind, Sebastian, Solveig, Stefan, Tatiana, Thelma,"
    "Valentina, Vincent, Walter, Yasmin, Zachary"
)
CITIES = _split(
    "Lisbon, Denver, Osaka, Nairobi, Toronto, Kraków, Lima, Dublin, Hanoi, Seattle, Cairo, Bergen, Austin,"
    "Valencia, Mumbai, Montreal, Perth, Naples, Boston, Accra, Leeds, Quito, Zagreb, Chicago, Seoul, Porto,"
    "Glasgow, Tunis, Phoenix, Munich, Brisbane, Bogotá, Vienna, Atlanta, Jakarta, Geneva, Tampa, Riga,"
    "Aberdeen, Almaty, Auckland, Baltimore, Bangkok, Belfast, Birmingham, Bologna, Bratislava, Bristol,"
    "Budapest, Cardiff, Casablanca, Charleston, Cincinnati, Copenhagen, Cordoba, Detroit, Dresden,"
    "Edinburgh, Florence, Gdansk, Gothenburg, Hamburg, Havana, Helsinki, Houston, Istanbul, Johannesburg,"
    "Kampala, Kathmandu, Krasnodar, Lausanne, Ljubljana, Lyon, Manila, Marseille, Melbourne, Memphis,"
    "Milwaukee, Nagoya, Nashville, Novosibirsk, Oslo, Palermo, Philadelphia, Pittsburgh, Pretoria,"
    "Reykjavik, Rosario, Sacramento, Santiago, Sarajevo, Sheffield, Stuttgart, Tallinn, Timbuktu, Trieste,"
    "Utrecht, Vancouver, Vilnius, Wellington, Winnipeg, Yokohama"
)
JOBS = _split(
    "nurse, plumber, accountant, teacher, baker, architect, bus driver, dentist, electrician, journalist,"
    "librarian, mechanic, pharmacist, translator, carpenter, software developer, florist, lawyer, waiter,"
    "surgeon, photographer, farmer, tailor, firefighter, biologist, barber, welder, painter, chemist, pilot,"
    "actor, air traffic controller, animal trainer, anthropologist, antique dealer, archaeologist, art"
    "teacher, astronomer, auctioneer, bank clerk, bartender, blacksmith, bookbinder, bookseller, brewer,"
    "bricklayer, cab driver, caretaker, cashier, choir conductor, civil engineer, clockmaker, coal miner,"
    "comedian, composer, cook, court reporter, crane operator, curator, dancer, debt collector, deep sea"
    "diver, detective, dietitian, dog walker, dressmaker, economist, editor, estate agent, event planner,"
    "film critic, fisherman, flight attendant, forester, funeral director, game designer, gardener,"
    "glassblower, goldsmith, graphic designer, hotel porter, illustrator, insurance agent, interpreter,"
    "jeweller, judge, juggler, landscape gardener, lifeguard, lighthouse keeper, lorry driver, magician,"
    "marine biologist, masseur, meteorologist, milliner, model, museum guide, music teacher, novelist,"
    "nutritionist, oceanographer, park ranger, pastry chef, physiotherapist, piano tuner, poet, police"
    "officer, postman, potter, prison guard, private detective, property manager, psychiatrist, puppeteer,"
    "radio host, roofer, sailor, sheep farmer, shepherd, shoemaker, sign painter, ski instructor, social"
    "worker, sound engineer, speech therapist, stage manager, stonemason, stuntman, surveyor, tattoo artist,"
    "tax adviser, taxidermist, toy maker, train conductor, travel agent, truck driver, undertaker,"
    "upholsterer, veterinarian, violin maker, watchmaker, wedding planner, window cleaner, wine merchant,"
    "woodcarver, yoga teacher, zookeeper, zoologist"
)
ANIMALS = _split(
    "dog, cat, parrot, rabbit, hamster, turtle, horse, goldfish, lizard, guinea pig, snake, goat"
)
FOODS = _split(
    "peanuts, shellfish, eggs, milk, soy, wheat, sesame, strawberries, walnuts, mustard, celery, almonds,"
    "tomatoes, kiwi, lupin, fish, garlic, bananas, oats, cashews, mushrooms, peaches, corn, hazelnuts,"
    "anchovies, aniseed, artichokes, asparagus, aubergine, avocado, barley, basil, beetroot, blackberries,"
    "blue cheese, broccoli, brussels sprouts, butter beans, cabbage, capers, cardamom, carrots, chestnuts,"
    "chickpeas, chili powder, clams, cloves, cocoa, coriander, crab, cranberries, cucumber, cumin, currants,"
    "dates, egg whites, fennel, figs, ginger root, goat cheese, gooseberries, grapefruit, grapes, green"
    "peas, honey, horseradish, kidney beans, leeks, lemon peel, lettuce, licorice, limes, lychee, macadamia"
    "nuts, maize, maple syrup, melon, mussels, nutmeg, octopus, olives, onions, oysters, paprika, parsley,"
    "parsnips, peppermint, pine nuts, plums, pomegranate, poppy seeds, pork, prawns, pumpkin seeds, quinoa,"
    "radishes, raisins, raspberries, red cabbage, rhubarb, saffron, salmon, sardines, scallops, soybeans,"
    "spinach, squid, sweet potatoes, tamarind, tuna, turmeric, turnips, vanilla, veal, vinegar, watermelon,"
    "white beans, yeast, zucchini"
)
DISHES = _split(
    "lasagne, sushi, tacos, ramen, pancakes, paella, dumplings, pizza, moussaka, curry, falafel, pierogi,"
    "risotto, burritos, fish and chips, pad thai, goulash, apple pie, couscous, biryani, waffles, kebab,"
    "apple crumble, baked beans, baked potatoes, beef stew, beef wellington, bibimbap, black pudding,"
    "bouillabaisse, bread pudding, cabbage rolls, cannelloni, caesar salad, ceviche, cheese fondue, chicken"
    "soup, chicken wings, chili con carne, chop suey, clam chowder, corn bread, cottage pie, crab cakes,"
    "croquettes, empanadas, fish pie, French toast, fried chicken, fried rice, garlic bread, gazpacho,"
    "grilled cheese, grilled trout, guacamole, gumbo, haggis, hummus, hot dogs, Irish stew, kimchi, lamb"
    "chops, leek soup, lentil soup, liver and onions, macaroni cheese, mashed potatoes, meatballs,"
    "minestrone, mushroom soup, nachos, nasi goreng, omelette, onion rings, onion soup, pea soup, peking"
    "duck, pesto pasta, polenta, poached eggs, pork chops, pot roast, potato salad, pulled pork, pumpkin"
    "pie, quesadillas, quiche, ravioli, rice pudding, roast beef, roast duck, roast lamb, salmon teriyaki,"
    "satay, sauerkraut, scrambled eggs, shepherd's pie, smoked salmon, souvlaki, spaghetti, spare ribs,"
    "spring rolls, steak tartare, stuffed peppers, sweet and sour pork, tandoori chicken, tapas, tiramisu,"
    "tofu, tortellini, turkey sandwiches, udon noodles, veal cutlets, vegetable stew, wonton soup, Yorkshire"
    "pudding"
)
COLOURS = _split(
    "red, green, blue, yellow, purple, orange, pink, brown, black, white, grey, turquoise, violet, gold,"
    "silver, maroon, navy, beige, olive, crimson, lavender, mint green, dark blue, salmon, aquamarine,"
    "apricot orange, azure, brick red, bronze, burnt orange, canary yellow, caramel, cherry red, chestnut"
    "brown, chocolate brown, cobalt blue, copper, cream, cyan, dark green, deep purple, dusty pink, ebony,"
    "forest green, fuchsia, golden brown, hot pink, jade, khaki, lemon yellow, light blue, light grey,"
    "lilac, lime green, mauve, midnight blue, moss green, ochre, off-white, pale blue, pale green, peach,"
    "pearl grey, pine green, plum, royal blue, ruby red, rust, sand, scarlet, sepia, sky blue, slate grey,"
    "snow white, steel blue, sunflower yellow, tan, terracotta, ultramarine, vermilion, wine red"
)
INSTRUMENTS = _split(
    "piano, guitar, violin, cello, flute, drums, trumpet, saxophone, harp, clarinet, banjo, accordion,"
    "ukulele, trombone, double bass, oboe, alto flute, autoharp, balalaika, bass drum, bass guitar, bongos,"
    "bugle, castanets, celesta, church organ, concertina, cornet, cymbals, dulcimer, English horn,"
    "euphonium, fiddle, French horn, glockenspiel, gong, hurdy-gurdy, kazoo, kettledrum, keyboard, lyre,"
    "maracas, marimba, melodica, pan pipes, piccolo, pipe organ, snare drum, steel guitar, synthesizer,"
    "tambourine, tenor horn, theremin, tin whistle, triangle, vibraphone, zither"
)
SPORTS = _split(
    "tennis, football, swimming, basketball, chess, rowing, fencing, badminton, climbing, volleyball, judo,"
    "hockey, cycling, table tennis, rugby, surfing, running, golf, archery, boxing, aerobics, aikido, alpine"
    "skiing, ballet, baseball, beach volleyball, bird watching, bowling, bungee jumping,"
    "canoeing, cricket, croquet, cross-country skiing, curling, darts, deep sea fishing, discus, diving,"
    "falconry, figure skating, fly fishing, gardening, gliding, gymnastics, handball, hang gliding, high"
    "jump, hiking, horse riding, ice hockey, ice skating, karate, kayaking, kite flying, knitting, lacrosse,"
    "long jump, model railways, mountain biking, orienteering, painting miniatures, paragliding, pole vault,"
    "polo, pottery, rock climbing, roller skating, sailing, scuba diving, shot put, skateboarding,"
    "skydiving, snooker, snowboarding, speed skating, squash, stamp collecting, sumo wrestling, synchronised"
    "swimming, taekwondo, tap dancing, trampolining, triathlon, tug of war, water polo, weightlifting,"
    "windsurfing, wrestling, yoga"
)
LANGUAGES = _split(
    "Spanish, Japanese, Arabic, Finnish, Greek, Korean, Italian, Turkish, Swahili, Polish, Mandarin, German,"
    "Portuguese, Hindi, Dutch, Russian, Welsh, Thai, Hebrew, Danish, Afrikaans, Albanian, Amharic, Armenian,"
    "Basque, Bengali, Breton, Bulgarian, Burmese, Cantonese, Catalan, Croatian, Czech, Esperanto, Estonian,"
    "Farsi, French, Frisian, Gaelic, Galician, Georgian, Gujarati, Haitian Creole, Hawaiian, Hungarian,"
    "Icelandic, Indonesian, Irish, Javanese, Kazakh, Khmer, Kurdish, Lao, Latin, Latvian, Lithuanian,"
    "Luxembourgish, Macedonian, Malay, Maltese, Maori, Mongolian, Navajo, Nepali, Norwegian, Old English,"
    "Pashto, Punjabi, Quechua, Romanian, Samoan, Sanskrit, Scottish Gaelic, Serbian, Sign Language, Sinhala,"
    "Slovak, Somali, Swedish, Swiss German, Tagalog, Tamil, Telugu, Tibetan, Ukrainian, Urdu, Uzbek,"
    "Vietnamese, Xhosa, Yiddish, Yoruba, Zulu"
)
COUNTRIES = _split(
    "Portugal, Japan, Kenya, Canada, Peru, Ireland, Vietnam, Egypt, Norway, Spain, India, Mexico, Italy,"
    "Ghana, Chile, Poland, Morocco, Iceland, Greece, Thailand, Brazil, Nepal, Austria, Cuba, Turkey,"
    "Albania, Algeria, Angola, Argentina, Armenia, Australia, Azerbaijan, Bahrain, Bangladesh, Barbados,"
    "Belarus, Belgium, Belize, Benin, Bhutan, Botswana, Bulgaria, Cameroon, Colombia, Costa Rica, Croatia,"
    "Cyprus, Denmark, Dominica, Ecuador, Ethiopia, Fiji, Gabon, Germany, Grenada, Guatemala, Guyana,"
    "Honduras, Hungary, Indonesia, Israel, Jamaica, Kazakhstan, Kosovo, Kuwait, Laos, Latvia, Lebanon,"
    "Liechtenstein, Lithuania, Luxembourg, Malawi, Malaysia, Mali, Mauritius, Moldova, Monaco, Mongolia,"
    "Montenegro, Mozambique, Namibia, New Zealand, Nicaragua, North Macedonia, Oman, Pakistan, Palau,"
    "Panama, Papua New Guinea, Paraguay, Qatar, Romania, Rwanda, Samoa, San Marino, Saudi Arabia, Serbia,"
    "Seychelles, Singapore, Slovakia, Slovenia, South Africa, South Korea, Sri Lanka, Suriname, Sweden,"
    "Switzerland, Taiwan, Tanzania, Tonga, Trinidad, Tunisia, Uganda, Ukraine, Uzbekistan, Vanuatu,"
    "Venezuela, Zambia, Zimbabwe"
)
CARS = _split(
    "Toyota, Volvo, Ford, Fiat, Honda, Mazda, Tesla, Renault, Skoda, Nissan, Kia, Audi, Jeep, Subaru, Mini,"
    "Peugeot, Opel, Suzuki, Lexus, Hyundai, Alfa Romeo, Aston Martin, Bentley, Bugatti, Cadillac, Chevrolet,"
    "Chrysler, Citroen, Dacia, Daihatsu, Dodge, Ferrari, Isuzu, Jaguar, Lada, Lamborghini, Lancia, Land"
    "Rover, Lotus, Maserati, Mercedes, Mitsubishi, Pontiac, Porsche, Rolls Royce, Saab, Seat, Smart,"
    "Trabant, Vauxhall, Volkswagen"
)
MONTHS = _split(
    "January, February, March, April, May, June, July, August, September, October, November, December"
)
DAYS = _split("Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday")
STREETS = _split(
    "Oak, Mill, Church, Station, Park, King, Market, Hill, River, School, Garden, Bridge, Castle, Forest,"
    "Lake, Meadow, Orchard, Chapel, Harbour, Windmill, Cherry, Maple, Abbey, Acorn, Almond, Anchor, Barley,"
    "Beacon, Birch, Blackbird, Bramble, Brewery, Briar, Brook, Canal, Cathedral, Cedar, Cliff, Clover,"
    "Copper, Crescent, Crown, Dale, Elm, Falcon, Fern, Foundry, Fountain, Fox, Grange, Hawthorn, Hazel,"
    "High, Ivy, Juniper, Laurel, Library, Lighthouse, Linden, Manor, Monument, Moor, Nightingale, Old"
    "Bakery, Old Mill, Palace, Pear Tree, Pine, Poplar, Priory, Quarry, Queen, Railway, Rectory, Ridge,"
    "Rose, Rowan, Saddlers, Ship, Silver, Spring, Stable, Sycamore, Temple, Tower, Union, Valley, Victoria,"
    "Walnut, Water, Weaver, Willow"
)
SUBJECTS = _split(
    "physics, history, law, economics, nursing, music, biology, geography, philosophy, chemistry, design,"
    "mathematics, psychology, linguistics, engineering, medicine, theology, statistics, drama, geology,"
    "accounting, African history, agriculture, algebra, anatomy, ancient Greek, anthropology, applied"
    "physics, archaeology, architecture, art history, astronomy, biochemistry, botany, business"
    "administration, civil engineering, cognitive science, comparative literature, computer science,"
    "criminology, dentistry, ecology, education, electrical engineering, ethics, fashion design, film"
    "studies, finance, fine arts, forestry, genetics, hotel management, human geography, immunology,"
    "international relations, journalism, landscape architecture, logic, marine biology, marketing,"
    "materials science, medieval history, meteorology, microbiology, neuroscience, nutrition, oceanography,"
    "optics, organic chemistry, paleontology, pharmacy, political science, public health, quantum physics,"
    "robotics, social work, sociology, sports science, theoretical physics, tourism, urban planning,"
    "veterinary medicine, zoology"
)
BOOKS = _split(
    "Dune, Emma, Dracula, Ulysses, Jane Eyre, The Hobbit, Moby Dick, Frankenstein, Beloved, The Stranger,"
    "Don Quixote, Middlemarch, Rebecca, The Trial, Walden, Persuasion, Ivanhoe, Heidi, Kim, Momo, A"
    "Christmas Carol, Animal Farm, Anna Karenina, Anne of Green Gables, Around the World in Eighty Days,"
    "Black Beauty, Bleak House, Brave New World, Candide, Cannery Row, Catch-22, Charlotte's Web, Cold"
    "Mountain, Cranford, David Copperfield, Doctor Zhivago, East of Eden, Far from the Madding Crowd,"
    "Fathers and Sons, Germinal, Great Expectations, Gulliver's Travels, Hard Times, Howards End, King Lear,"
    "Kidnapped, Les Misérables, Little Dorrit, Little Women, Lord of the Flies, Lorna Doone, Madame Bovary,"
    "Mansfield Park, Nostromo, Notes from Underground, Oblomov, Of Mice and Men, Oliver Twist, On the Road,"
    "Peter Pan, Pinocchio, Pride and Prejudice, Robinson Crusoe, Sense and Sensibility, Siddhartha, Silas"
    "Marner, Steppenwolf, The Call of the Wild, The Castle, The Cherry Orchard, The Great Gatsby, The Jungle"
    "Book, The Magic Mountain, The Moonstone, The Old Man and the Sea, The Plague, The Secret Garden, The"
    "Tempest, The Time Machine, The Woman in White, Tom Sawyer, Treasure Island, Vanity Fair, War and Peace,"
    "Watership Down, White Fang, Wuthering Heights"
)
SURNAMES = _split(
    "Abbott, Adeyemi, Ainsworth, Alvarez, Andersson, Appleby, Armstrong, Ashworth, Atkinson, Bakshi,"
    "Baumgartner, Beaumont, Bellini, Bergstrom, Blackwood, Boateng, Bradshaw, Brennan, Bukowski, Calloway,"
    "Carmichael, Castellano, Chakraborty, Christodoulou, Cunningham, Davenport, Dimitrov, Donnelly,"
    "Drummond, Eriksen, Fairbanks, Featherstone, Ferguson, Fernandez, Fitzgerald, Fontaine, Gallagher,"
    "Garibaldi, Goldsmith, Greenwood, Gustafsson, Haddad, Hargreaves, Hashimoto, Hawkins, Henderson,"
    "Hoffmann, Holloway, Ivanova, Jankowski, Johansson, Kapoor, Kaufman, Kawasaki, Kirkpatrick, Kowalczyk,"
    "Laurent, Lieberman, Livingstone, MacGregor, Mahmoud, Marchetti, Merriweather, Montgomery, Moreau,"
    "Mukherjee, Nakamura, Ndiaye, Nightingale, Novak, Obermeyer, Okonkwo, Oyelaran, Papadopoulos, Pemberton,"
    "Petrov, Pfeiffer, Quigley, Ramirez, Rasmussen, Rosenthal, Rutherford, Sanderson, Schumacher, Shepherd,"
    "Silverstein, Sinclair, Stavropoulos, Steinberg, Sutherland, Tanaka, Thackeray, Thompson, Underwood,"
    "Valentine, Vandenberg, Villanueva, Wainwright, Weatherby, Whitaker, Winterbottom, Woodhouse, Yamamoto,"
    "Zielinski, Zimmermann"
)
DESCRIBING = _split(
    "ancient, bitter, blue, bold, brave, bright, broken, calm, clever, cold, crooked, curious, dark,"
    "distant, dry, eager, early, empty, faded, famous, fancy, flat, foggy, frozen, gentle, giant, golden,"
    "grand, hidden, hollow, humble, icy, jolly, lazy, little, lonely, loud, lucky, mad, mellow, merry,"
    "misty, modern, narrow, noble, northern, old, paper, patient, plain, polite, proud, purple, quick,"
    "quiet, rapid, red, restless, rough, royal, rusty, salty, secret, shallow, sharp, shy, silent, silver,"
    "simple, sleepy, slow, smoky, soft, solid, sour, southern, spicy, steep, sticky, stormy, strange,"
    "sudden, sweet, tall, tender, tiny, velvet, warm, western, white, wide, wild, winter, wise, wooden,"
    "young"
)
THINGS = _split(
    "acrobat, ballad, bamboo, banner, barn, basket, beacon, beetle, bell, blanket, bonfire, bottle, boulder,"
    "bucket, bundle, button, cabin, camel, candle, canoe, canyon, caravan, carpet, castle, chariot, cherry,"
    "chimney, cinder, cobweb, comb, compass, copper, corner, cottage, cradle, cricket, crow, crystal,"
    "curtain, daisy, dolphin, donkey, dragon, drummer, eagle, engine, feather, fiddle, flame, forest,"
    "fountain, fox, galaxy, garden, gate, glacier, glove, goose, grove, hammer, harbour, harvest, hedge,"
    "hermit, heron, hill, island, ivy, jacket, jungle, kettle, kingdom, kite, ladder, lagoon, lamp, lantern,"
    "leaf, letter, lily, lizard, lullaby, magnet, maple, meadow, melody, mirror, moon, mosaic, mountain,"
    "needle, nest, nettle, oasis, ocean, orchard, otter, owl, palace, panther, parade, pebble, pelican,"
    "piano, pillow, pirate, planet, pocket, pond, poppy, prairie, puzzle, pyramid, quilt, raven, ribbon,"
    "riddle, river, robin, rocket, saddle, sail, sandal, satchel, scarf, shadow, shell, shepherd, shore,"
    "signal, sky, sleigh, sparrow, spider, spoon, squirrel, stable, star, statue, storm, stove, stream,"
    "summer, sunrise, swan, table, tailor, tapestry, teapot, temple, thimble, thunder, tiger, torch, tower,"
    "trumpet, tunnel, turnip, umbrella, valley, village, violet, wagon, walnut, waterfall, wheel, whisper,"
    "whistle, willow, window, wizard, wolf, zebra"
)
