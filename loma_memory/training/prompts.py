"""General prompts, and the model's own answers to them: what a text adapter must not unlearn."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path

from loma_memory.data import Dialogue
from loma_memory.engine.decode import decode
from loma_memory.engine.models import LoadedModel
from loma_memory.engine.reader import Reader
from loma_memory.engine.sampling import Sampling
from loma_memory.errors import DataError
from loma_memory.memory import MemoryState
from loma_memory.methods import method
from loma_memory.training.facts import draw_facts

_TOPICS = (
    "photosynthesis, the French Revolution, black holes, baking bread, time management, the water cycle, chess,"
    "renewable energy, the human heart, jazz music, learning to swim, electric cars, the Roman Empire, gardening,"
    "public speaking, vaccines, the solar system, budgeting, meditation, bees, earthquakes, the internet, coffee,"
    "poetry, dinosaurs, healthy sleep, plastic pollution, bicycles, volcanoes, democracy, the stock market, owls,"
    "the Great Wall of China, making friends, job interviews, the ocean, artificial intelligence, rainbows, cheese"
).split(",")

_FORMS = (
    "Explain {t} in simple words.",
    "Give me three tips about {t}.",
    "Write a short paragraph about {t}.",
    "What should everyone know about {t}?",
    "Write a two-line poem about {t}.",
    "List five words related to {t}.",
    "Why is {t} interesting?",
    "Ask me a question about {t}.",
)

_FIXED = (
    "Hello!",
    "Hi, how are you?",
    "Who are you?",
    "What can you do?",
    "Tell me a joke.",
    "Thank you!",
    "What is the capital of France?",
    "What is 12 plus 30?",
    "Translate 'good morning' into Spanish.",
    "Write a short email asking for a day off.",
    "Write a Python function that reverses a string.",
    "Can you help me plan my day?",
    "I feel sad today.",
    "I had a great day!",
    "What should I cook tonight?",
    "Good night!",
    "Hi",
    "Hey there!",
    "Hello, nice to meet you.",
    "Good morning!",
    "Good evening.",
    "How is it going?",
    "What's up?",
    "How are you today?",
    "Are you a human?",
    "What are you?",
    "Who made you?",
    "Can you help me?",
    "I need your help with something.",
    "I have a question.",
    "I am bored.",
    "I am tired.",
    "I can't sleep.",
    "It is raining again.",
    "What do you think about music?",
    "What is your favourite book?",
    "Do you have feelings?",
    "Let's talk about something else.",
    "Tell me something interesting.",
    "Tell me a story.",
    "Recommend me a film.",
    "What can I do at the weekend?",
    "I want to learn something new.",
    "I don't understand.",
    "Can you explain that again?",
    "That's great, thanks.",
    "Ok.",
    "Yes, please.",
    "No.",
    "Really?",
    "Goodbye!",
    "See you tomorrow.",
    "What is 7 times 8?",
    "What is the largest planet?",
    "Who wrote Hamlet?",
    "How many days are there in a week?",
    "What is the opposite of hot?",
    "Name three fruits.",
    "Write a short poem.",
    "Write a sentence with the word 'river'.",
    "Give me a name for a boat.",
    "How do I boil an egg?",
    "How do I get better at running?",
    "What should I wear when it is cold?",
    "My computer is slow. What can I do?",
    "I just got a new job.",
    "I went for a long walk this morning.",
    "I am planning a party.",
    "I think I am getting a cold.",
    "My exam is next week.",
    "I cooked dinner for my friends.",
)


def general_prompts(seed: int) -> list[str]:
    """All fixed prompts and prompts about topics, in a seeded order."""
    crossed = [form.format(t=topic.strip()) for topic, form in itertools.product(_TOPICS, _FORMS)]
    prompts = [*_FIXED, *crossed]
    random.Random(seed).shuffle(prompts)
    return prompts


def own_prompts(dialogues: Sequence[Dialogue], seed: int) -> list[str]:
    """What a user may say that is no question about themselves.

    Greetings and small talk, some of the prompts about topics, facts told (a model that is trained on
    questions about them alone takes every message for one), and messages of real users.
    """
    rng = random.Random(seed)
    topics = [p for p in general_prompts(seed) if p not in _FIXED][:200]
    told = [draw_facts(rng, 1)[0].statement for _ in range(120)]
    said = [
        rng.choice(rng.choice(d.turns)).text for d in rng.sample(list(dialogues), min(400, len(dialogues)))
    ]
    real = [text for text in said if 3 <= len(text.split()) <= 40][:200]
    return list(dict.fromkeys([*_FIXED, *topics, *told, *real]))


def kept_answers(file: Path) -> list[tuple[str, str]]:
    """Prompts and answers as `own_answers` keeps them, those without an answer left out.

    Raises:
        DataError: no such file, or not one of `own_answers`.
    """
    try:
        return [(p, a) for p, a in dict(json.loads(file.read_text(encoding="utf-8"))).items() if a.strip()]
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise DataError(f"cannot read own answers from {file}: {error}") from None


def own_answers(
    loaded: LoadedModel,
    file: Path,
    prompts: Sequence[str],
    *,
    max_tokens: int = 96,
    batch: int = 40,
    progress: Callable[[str], None] = print,
) -> list[tuple[str, str]]:
    """The model's greedy answers to prompts, kept in `file` so that each is made once.

    Answers that run into `max_tokens` are cut at their last full sentence.
    """
    known: dict[str, str] = dict(json.loads(file.read_text(encoding="utf-8"))) if file.exists() else {}
    file.parent.mkdir(parents=True, exist_ok=True)
    missing = [p for p in prompts if p not in known]
    for start in range(0, len(missing), batch):
        some = missing[start : start + batch]
        known |= zip(some, _answers(loaded, some, max_tokens), strict=True)
        file.write_text(json.dumps(list(known.items()), ensure_ascii=False, indent=0), encoding="utf-8")
        progress(f"own answers: {start + len(some)} of {len(missing)}")
    return [(p, known[p]) for p in prompts if known[p]]


def _answers(loaded: LoadedModel, prompts: Sequence[str], max_tokens: int) -> list[str]:
    reader, form = Reader(loaded, method("none")), loaded.format
    ids = [[*form.message_ids("user", p), *form.prefix_ids("assistant")] for p in prompts]
    done = reader.run([MemoryState()] * len(ids), [[i] for i in ids])
    replies: list[list[int]] = [[] for _ in ids]
    for step in decode(reader, done, ids, Sampling(repetition_penalty=1.1), max_tokens):
        for reply, token in zip(replies, step, strict=True):
            if token is not None:
                reply.append(token)
    texts = []
    for reply in replies:
        text = form.tokenizer.decode(reply, skip_special_tokens=True).strip()
        if len(reply) == max_tokens:
            end = max(text.rfind(mark) for mark in (". ", "! ", "? ", ".\n"))
            text = text[: end + 1] if end > 0 else text
        texts.append(text)
    return texts
