"""Decoding: greedy replies are those of transformers' own generate, alone and in batches."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch
from families import FAMILIES, FakeFormat, build, loaded, with_adapter
from programs import reader_of

from loma_memory.engine.decode import decode, logits
from loma_memory.engine.reader import Reader
from loma_memory.engine.sampling import Sampling
from loma_memory.memory import MemoryState
from loma_memory.methods import METHODS, Method, method
from loma_memory.methods.ccm_concat import CCMConcat
from loma_memory.methods.window import Window

GREEDY = Sampling()
# No window hides the sink from text here, so these models are asked within their window.
FIRST, SECOND = [[31, 32, 33, 34], [35, 36]], [[40, 41, 42]]


@cache
def served(family: str, window: int | None) -> tuple[Any, Any]:
    model = build(family, **({} if window is None else {"sliding_window": window}))
    adapter = with_adapter(loaded(model).model)
    return adapter.model, adapter.tokens


def reader_for(how: Method, family: str = "llama", stops: tuple[int, ...] = ()) -> Reader:
    model, tokens = served(family, None)
    return reader_of(loaded(model, stops=stops), how, tokens)


def replies(
    reader: Reader, states: Any, turns: Any, count: int, sampling: Sampling = GREEDY
) -> list[list[int]]:
    done = reader.run(states, turns, reserve=count)
    flat = [[i for m in t for i in m] for t in turns]
    rows: list[list[int]] = [[] for _ in turns]
    for step in decode(reader, done, flat, sampling, count):
        for row, token in zip(rows, step, strict=True):
            if token is not None:
                row.append(token)
    return rows


@pytest.mark.parametrize(
    "family", [f for f in FAMILIES if f not in ("mistral-window", "gemma3", "gemma2", "gpt-oss", "cohere2")]
)
def test_full_context_is_transformers_generate(family: str) -> None:
    reader = reader_for(method("full"), family)
    _, states = reader.remember([MemoryState()], [FIRST])
    said = replies(reader, states, [SECOND], 12)[0]
    whole = [*reader.sink_ids, *(i for t in (FIRST, SECOND) for m in t for i in m)]
    plain = build(family)  # untouched: its own attention, no adapter
    ids = torch.tensor([whole])
    out = plain.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        do_sample=False,
        max_new_tokens=12,
        eos_token_id=None,
        pad_token_id=0,
    )
    assert said == out[0, len(whole) :].tolist()
    assert len(set(said)) > 1


@pytest.mark.parametrize("family", list(FAMILIES))
def test_logits_are_the_models_own(family: str) -> None:
    reader = reader_for(method("full"), family)
    ids = torch.tensor([[5, 6, 7, 8]])
    with torch.no_grad():
        hidden = reader.decoder(input_ids=ids).last_hidden_state
        assert torch.allclose(logits(reader.model, hidden), reader.model(input_ids=ids).logits, atol=1e-12)


def methods_near() -> list[Method]:
    return [Window(4) if n == "window" else method(n, ratio=2) for n in METHODS]


@pytest.mark.parametrize("how", methods_near(), ids=lambda m: m.name)
@pytest.mark.parametrize("family", ["llama", "gemma3", "mistral-window"])
def test_a_reply_is_decoded_as_it_will_be_read(family: str, how: Method) -> None:
    """Each greedy token is the one that reading prompt and reply together makes likeliest."""
    reader = reader_for(how, family)
    _, states = reader.remember([MemoryState()], [FIRST])
    _, states = reader.remember(states, [[[50, 51, 52, 53, 54]]])
    said = replies(reader, states, [SECOND], 10)[0]
    prompt = [i for m in SECOND for i in m]
    read = reader.run(states, [[[*prompt, *said]]]).hidden[0, len(prompt) - 1 : -1]
    assert logits(reader.model, read).argmax(-1).tolist() == said


@pytest.mark.parametrize("family", ["llama", "qwen3", "gemma3", "smollm3", "gpt-oss"])
def test_a_batch_says_what_each_would_say_alone(family: str) -> None:
    reader = reader_for(CCMConcat(2), family)
    _, old = reader.remember([MemoryState()], [FIRST])
    _, old = reader.remember(old, [[[50, 51, 52, 53, 54, 55, 56]]])
    states, turns = [old[0], MemoryState(), old[0]], [SECOND, [[60]], [[61, 62], [63, 64, 65]]]
    for sampling in (GREEDY, Sampling(repetition_penalty=1.5)):
        together = replies(reader, states, turns, 9, sampling)
        for b in range(3):
            assert replies(reader, [states[b]], [turns[b]], 9, sampling) == [together[b]]


def test_the_penalty_spares_what_is_inside_words(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = reader_for(method("full"))
    states, turns = [MemoryState()], [[[40, 41, 42]]]
    free = replies(reader, states, turns, 12)
    held = Sampling(repetition_penalty=10.0)
    monkeypatch.setattr(FakeFormat, "inner", torch.ones(300, dtype=torch.bool))
    assert replies(reader, states, turns, 12, held) == free
    monkeypatch.setattr(FakeFormat, "inner", torch.zeros(300, dtype=torch.bool))
    said = replies(reader, states, turns, 12, held)[0]
    assert len({*said, 40, 41, 42}) == 15, "with all of them counted nothing is said twice"


def test_stop_tokens_end_a_sequence_and_not_its_neighbours() -> None:
    free = reader_for(method("full"))
    states, turns = [MemoryState()] * 2, [[[40, 41, 42]], [[50, 51]]]
    whole = replies(free, states, turns, 10)
    stop = whole[0][3]
    first = whole[0].index(stop)
    ended = replies(reader_for(method("full"), stops=(stop,)), states, turns, 10)
    assert ended[0] == whole[0][:first], "the stop token is not part of the reply"
    other = whole[1].index(stop) if stop in whole[1] else 10
    assert ended[1] == whole[1][:other]
    at_once = reader_for(method("full"), stops=(whole[0][0], whole[1][0]))
    assert replies(at_once, states, turns, 10) == [[], []]


def test_as_many_tokens_as_asked_for() -> None:
    reader = reader_for(method("full"))
    for count in (1, 2, 7):
        assert len(replies(reader, [MemoryState()], [SECOND], count)[0]) == count


def test_seeded_draws_repeat_and_others_do_not() -> None:
    reader = reader_for(method("full"))

    def said(seed: int | None) -> list[int]:
        return replies(reader, [MemoryState()], [SECOND], 12, Sampling(temperature=1.0, seed=seed))[0]

    assert said(1) == said(1)
    assert len({tuple(said(s)) for s in range(5)}) > 1
