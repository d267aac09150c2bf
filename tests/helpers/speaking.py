"""A tiny random model that reads text byte by byte, with an adapter that has a large effect."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from families import with_adapter
from programs import reader_of
from tiny_chat import byte_tokenizer, tiny_model

from loma_memory.data import Dialogue, Message
from loma_memory.engine.models import LoadedModel, prepare
from loma_memory.engine.reader import Reader
from loma_memory.evaluation import talk
from loma_memory.methods import Method


@cache
def served() -> tuple[LoadedModel, Any]:
    """The model and its memory-token table, made once."""
    tokenizer = byte_tokenizer()
    model = tiny_model(tokenizer, positions=512)
    with torch.no_grad():
        for number, weight in enumerate(model.parameters()):
            if weight.dim() == 2:
                weight.normal_(0, 0.25, generator=torch.Generator().manual_seed(number))
    known = prepare(model, tokenizer, "tiny", "b2:tiny")
    adapter = with_adapter(known.model)
    return LoadedModel("tiny", adapter.model, known.format, known.digest, known.limit), adapter.tokens


def speaking(how: Method) -> Reader:
    """A reader of that model."""
    known, tokens = served()
    return reader_of(known, how, tokens)


def short(count: int = 5) -> list[Dialogue]:
    """Dialogues of two to five turns."""
    made = []
    for i, d in enumerate(talk.dialogues()[:count]):
        turns = tuple(tuple(Message(m.role, m.text[:14]) for m in t) for t in d.turns[: 2 + i % 4])
        made.append(Dialogue(d.id, turns))
    return made
