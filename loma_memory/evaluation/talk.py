"""Small talk of our own, to plant facts in where no file is given (CC0)."""

from __future__ import annotations

from loma_memory.data import Dialogue, Message

# One conversation a paragraph; user and assistant take turns, a line each.
_TALK = """
The weather has been odd this week.
It really has, one moment sunshine and the next a thunderstorm.
I got soaked on my way back from the shop.
That's annoying! Did your groceries survive?
The bread did not, but everything else was fine.
At least toast was never meant to be soft.
I might go for a walk later if it clears up.
A walk sounds nice, and the air is always fresh after rain.
Do you think it will rain again tomorrow?
I can't see a forecast from here, so take an umbrella to be safe.

I finally fixed the shelf in the hallway.
Well done! Was it hard to get it level?
It took me three tries and a lot of bad words.
Three tries is not bad at all for a shelf.
Now I want to paint the wall behind it.
Clean the wall first and put some tape along the edges.
How long should the paint dry?
Most wall paint needs four to six hours before a second coat.
Good, then I can do both coats in one day.
Yes, start early and keep the windows open.

I watched an old detective film last night.
Those are fun. Did you guess who did it?
I was sure it was the gardener, but it was the aunt.
It is always the quiet relative with the knitting needles.
The ending was a bit rushed though.
Many of them run out of time when the clues are explained.
Can you recommend another one?
Try one set on a train, the closed space makes the puzzle better.
I like trains, so that is a good idea.
Then make some popcorn and enjoy the ride.

My neighbour started keeping chickens.
How lovely, do you get fresh eggs now?
Two every Sunday, which is very kind.
That is a good reason to be on friendly terms.
The rooster is loud in the morning.
Roosters have no idea what a weekend is.
Should I say something about it?
A friendly word works better than a letter.
I will bring cake when I talk to them.
Cake solves most problems between neighbours.

I'm trying to read more this year.
Great plan! How many pages do you manage a day?
About twenty before I fall asleep.
Twenty pages a day is more than thirty books a year.
I never thought of it like that.
Small steps add up when you keep taking them.
What can I do about falling asleep?
Read in a chair instead of in bed, and a little earlier.
My chair is full of laundry.
Then folding the laundry comes first, I'm afraid.

The bus was late again this morning.
How long did you have to wait?
Almost half an hour in the cold.
That is far too long without a hot drink.
I'm thinking about buying a bicycle.
It would keep you warm and free from timetables.
Are electric ones worth the money?
If your way is long or hilly, most people say yes.
There is one steep hill near the school.
Then a little help from a motor would be welcome.

I tried a new soup recipe today.
What did you put in it?
Carrots, ginger and a little orange juice.
That sounds fresh and warm at once.
It was too sweet for me.
A squeeze of lemon or some chilli would balance it.
I have half a pot left over.
Soup freezes well, so keep it for a busy evening.
How long can it stay in the freezer?
Three months is fine for vegetable soup.

We had a power cut in our street yesterday.
Oh no, how long did it last?
Two hours, so we played cards by candle light.
That sounds almost better than a normal evening.
It was, until the candle fell over.
I hope nothing caught fire!
No, there was only wax on the table.
Put ice on the wax and it will come off easily.
I'll try that after dinner.
Scrape gently so that the wood stays nice.

Work has been very busy this month.
Is there an end in sight?
The project should be over in two weeks.
Then you will have earned a quiet weekend.
I keep forgetting to take breaks.
Set a timer, and stand up when it rings.
Would a short walk help?
Ten minutes outside can clear the head.
There is a small park behind the building.
Perfect, leave the phone on your desk.

I want to learn how to juggle.
Start with one ball and throw it from hand to hand.
That sounds too easy.
The trick is to throw it to the same height each time.
And when do I take the second ball?
When you can throw one without looking at your hands.
My cousin learned it in a single week.
With ten minutes of practice a day you can do it as well.
I'll use oranges, I have no balls.
Stand over the bed, oranges bruise when they fall.

Our choir sings in the old church on Saturday.
How exciting, what will you sing?
Mostly folk songs, and one piece in Latin.
Is the Latin one difficult?
The rhythm changes all the time.
Clap it slowly first and sing it later.
There will be cake for the audience.
Then I'm sure that every seat will be taken.
I hope that my voice holds up.
Drink warm water and don't shout before the concert.

I found a strange coin in the garden.
What does it look like?
It's small and green, with a ship on one side.
Green means that there is copper in it.
Could it be worth something?
Perhaps, but don't clean it before somebody has looked at it.
There's a museum in the next town.
They often have a day when you can bring such finds.
I'll call them on Monday.
Let me know what they say about the ship.
"""


def dialogues() -> list[Dialogue]:
    """The conversations of this file."""
    found = []
    for number, paragraph in enumerate(_TALK.strip().split("\n\n")):
        lines = paragraph.splitlines()
        pairs = zip(lines[0::2], lines[1::2], strict=True)
        turns = tuple((Message("user", u), Message("assistant", a)) for u, a in pairs)
        found.append(Dialogue(f"talk-{number}", turns))
    return found
