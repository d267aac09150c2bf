"""General prompts, and the model's own answers to them: what a text adapter must not unlearn."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Callable
from pathlib import Path

from loma_memory.engine.decode import decode
from loma_memory.engine.models import LoadedModel
from loma_memory.engine.reader import Reader
from loma_memory.engine.sampling import Sampling
from loma_memory.memory import MemoryState
from loma_memory.methods import method

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
)


def general_prompts(seed: int) -> list[str]:
    """All prompts in a seeded order."""
    crossed = [form.format(t=topic.strip()) for topic, form in itertools.product(_TOPICS, _FORMS)]
    prompts = [*_FIXED, *crossed]
    random.Random(seed).shuffle(prompts)
    return prompts


def own_answers(
    loaded: LoadedModel,
    file: Path,
    *,
    count: int = 240,
    max_tokens: int = 96,
    batch: int = 40,
    seed: int = 0,
    progress: Callable[[str], None] = print,
) -> list[tuple[str, str]]:
    """The model's greedy answers to general prompts, kept in `file` so that they are made once.

    Answers that run into `max_tokens` are cut at their last full sentence.
    """
    if file.exists():
        return [(p, a) for p, a in json.loads(file.read_text(encoding="utf-8"))]
    reader = Reader(loaded, method("none"))
    form = loaded.format
    prompts = general_prompts(seed)[:count]
    pairs: list[tuple[str, str]] = []
    for start in range(0, len(prompts), batch):
        some = prompts[start : start + batch]
        ids = [[*form.message_ids("user", p), *form.prefix_ids("assistant")] for p in some]
        done = reader.run([MemoryState()] * len(some), [[i] for i in ids])
        replies: list[list[int]] = [[] for _ in some]
        for step in decode(reader, done, ids, Sampling(repetition_penalty=1.1), max_tokens):
            for reply, token in zip(replies, step, strict=True):
                if token is not None:
                    reply.append(token)
        for prompt, reply in zip(some, replies, strict=True):
            text = form.tokenizer.decode(reply, skip_special_tokens=True).strip()
            if len(reply) == max_tokens:
                end = max(text.rfind(mark) for mark in (". ", "! ", "? ", ".\n"))
                text = text[: end + 1] if end > 0 else text
            if text:
                pairs.append((prompt, text))
        progress(f"own answers: {len(pairs)} of {len(prompts)}")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(pairs, ensure_ascii=False, indent=0), encoding="utf-8")
    return pairs
