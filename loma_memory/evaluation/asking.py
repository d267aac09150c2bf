"""Asking sessions something: greedy answers, and which of some options is the likeliest."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from loma_memory.engine.decode import decode, logits
from loma_memory.engine.reader import Reader, Turn
from loma_memory.engine.sampling import Sampling
from loma_memory.memory import MemoryState


def asked(reader: Reader, question: str) -> list[list[int]]:
    """The open turn of a question, up to where the reply begins."""
    form = reader.loaded.format
    return [form.message_ids("user", question), form.prefix_ids("assistant")]


def answer(
    reader: Reader,
    states: Sequence[MemoryState],
    questions: Sequence[str],
    batch: int = 20,
    max_tokens: int = 40,
) -> list[str]:
    """Greedy answers of several sessions, as chat gives them."""
    form = reader.loaded.format
    replies: list[str] = []
    for start in range(0, len(states), batch):
        turns = [asked(reader, q) for q in questions[start : start + batch]]
        done = reader.run(states[start : start + batch], turns, reserve=max_tokens)
        flat = [[i for m in t for i in m] for t in turns]
        ids: list[list[int]] = [[] for _ in turns]
        for step in decode(reader, done, flat, Sampling(repetition_penalty=1.1), max_tokens):
            for row, token in zip(ids, step, strict=True):
                if token is not None:
                    row.append(token)
        replies.extend(form.tokenizer.decode(row, skip_special_tokens=True).strip() for row in ids)
    return replies


@torch.no_grad()
def likelihoods(
    reader: Reader,
    states: Sequence[MemoryState],
    turns: Sequence[Turn],
    options: Sequence[Sequence[Sequence[int]]],
    batch: int = 20,
) -> list[list[float]]:
    """How likely each option is as what comes next.

    Args:
        reader: model, method and adapter.
        states: memory of each session.
        turns: the open turn of each session.
        options: for each session, some continuations as tokens, none of them empty.
        batch: sequences read together.

    Returns:
        For each session the mean log-probability of a token of each of its options, in nats.
    """
    rows = [(i, list(o)) for i, some in enumerate(options) for o in some]
    found: list[list[float]] = [[] for _ in options]
    for start in range(0, len(rows), batch):
        some = rows[start : start + batch]
        read = [[*turns[i], o] for i, o in some]
        done = reader.run([states[i] for i, _ in some], read)
        for b, (i, option) in enumerate(some):
            end = sum(len(m) for m in read[b])
            hidden = done.hidden[b, end - len(option) - 1 : end - 1]
            scores = torch.log_softmax(logits(reader.model, hidden).float(), dim=-1)
            told = torch.tensor(option, device=scores.device)
            found[i].append(float(scores.gather(1, told[:, None]).mean()))
    return found
