"""The turn-by-turn program: batches, headers, sessions beyond the model's range, refusals."""

from __future__ import annotations

import random
from functools import cache
from typing import Any

import pytest
import torch
from families import PROMISED, build, loaded, with_adapter
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from programs import conversations, distance, methods, reader_of, turn_by_turn

from loma_memory.attention import MEMORY
from loma_memory.engine.reader import Reader
from loma_memory.errors import UsageError
from loma_memory.memory import MemoryState
from loma_memory.methods import METHODS, Method, method
from loma_memory.methods.ccm_concat import CCMConcat
from loma_memory.methods.window import Window

QUICK = settings(deadline=None, suppress_health_check=list(HealthCheck))
CLOSE = 1e-9


@cache
def served(family: str, positions: int) -> tuple[Any, Any]:
    model = build(family, max_position_embeddings=positions)
    adapter = with_adapter(loaded(model).model)
    return adapter.model, adapter.tokens


def reader_for(how: Method, family: str = "llama", positions: int = 512) -> Reader:
    model, tokens = served(family, positions)
    return reader_of(loaded(model), how, tokens)


def turns(count: int, length: int, seed: int = 0) -> list[list[list[int]]]:
    draw = random.Random(seed)
    return [[[draw.randrange(3, 67) for _ in range(length)]] for _ in range(count)]


@pytest.mark.parametrize("positions", [512, 64])
def test_a_batch_is_each_of_its_sessions_alone(positions: int) -> None:
    """Also beyond the model's range: memory must not depend on what happens to share a batch."""

    @settings(QUICK, max_examples=15)
    @given(methods(), conversations(3, 6))
    def check(how: Method, talks: Any) -> None:
        reader = reader_for(how, positions=positions)
        together = turn_by_turn(reader, talks)
        for b, talk in enumerate(talks):
            alone = turn_by_turn(reader, [talk])
            assert distance(alone.hidden, [together.hidden[b]]) <= CLOSE
            assert distance(alone.slots, [together.slots[b]]) <= CLOSE
            assert torch.equal(alone.slot_positions[0], together.slot_positions[b])
            assert torch.equal(alone.positions[0], together.positions[b])

    check()


def test_sessions_of_different_age_in_one_batch() -> None:
    """Slot counts differ, so memory is padded on the left."""
    reader = reader_for(CCMConcat(2))
    long, short = turns(5, 11), turns(1, 4, seed=1)
    old = turn_by_turn(reader, [long]).states[0]
    young = turn_by_turn(reader, [short]).states[0]
    states, asked = [old, MemoryState(), young], [[[9, 8, 7]], [[5] * 12], [[4, 4], [6]]]
    together = reader.run(states, asked, write=True)
    for b, (state, turn) in enumerate(zip(states, asked, strict=True)):
        alone = reader.run([state], [turn], write=True)
        count = sum(map(len, turn))
        assert float((alone.hidden[0] - together.hidden[b, :count]).abs().max()) <= CLOSE
        assert len(alone.segments[0]) == len(turn)
        for one, other in zip(alone.segments[0], together.segments[b], strict=True):
            assert float((one.keys - other.keys).abs().max()) <= CLOSE
        assert (
            int(alone.next_position[0])
            == int(together.next_position[b])
            == reader.sink + state.text_tokens + count
        )
    seen = together.sight(1).sum(1).tolist()
    assert seen == [3 + old.slots + 3, 3 + 12, 3 + young.slots + 3]


def test_a_segment_a_message() -> None:
    reader = reader_for(CCMConcat(4))
    _, states = reader.remember([MemoryState()], [[[5] * 8, [8] * 3, [7] * 17]])
    assert [s.slots for s in states[0].segments] == [2, 1, 4]
    assert [s.text_tokens for s in states[0].segments] == [8, 3, 17]
    assert [s.kind for s in states[0].segments] == [MEMORY] * 3
    first, second, third = (s.positions.tolist() for s in states[0].segments)
    assert first == [3 + 2, 3 + 6]
    assert second == [3 + 8 + 1]
    assert third[0] >= 3 + 11
    assert third[-1] < 3 + 28
    assert reader.run([MemoryState()], [[[5] * 8]]).segments == [[]], "nothing is written unless asked"


@pytest.mark.parametrize("name", list(METHODS))
def test_memory_is_a_pure_function_of_the_transcript(name: str) -> None:
    """Neither a reply that is being made nor a system prompt leaves a trace in it."""
    reader = reader_for(method(name, ratio=2))
    _, states = reader.remember([MemoryState()], turns(1, 9))
    before = [(s.keys.clone(), s.positions.clone()) for s in states[0].segments]
    reader.run(states, [[[5, 6]]], header=[1, 2, 3, 4, 5, 6, 7], reserve=40)
    reader.run(states, [[[5, 6]]], write=True)
    for (keys, positions), segment in zip(before, states[0].segments, strict=True):
        assert torch.equal(keys, segment.keys)
        assert torch.equal(positions, segment.positions)
    again, _ = reader.remember([MemoryState()], turns(1, 9))
    assert again.segments[0][0].equal(reader.remember([MemoryState()], turns(1, 9))[0].segments[0][0])


# --- headers -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", PROMISED)
@pytest.mark.parametrize("length", [1, 3, 12])
def test_a_system_prompt_stands_right_before_the_text(family: str, length: int) -> None:
    """Shorter or longer than the sink, it moves neither text nor memory."""
    reader = reader_for(CCMConcat(2), family)
    _, states = reader.remember([MemoryState()], turns(1, 9))
    told: list[Any] = []
    hook = reader.decoder.register_forward_pre_hook(lambda _m, _a, k: told.append(k), with_kwargs=True)
    done = reader.run(states, [[[5, 6, 7]]], header=list(range(20, 20 + length)))
    hook.remove()
    head, text = told[0]["position_ids"][0].tolist(), told[1]["position_ids"][0].tolist()
    assert head == list(range(3 - length, 3))
    assert text == [12, 13, 14]
    slots = states[0].segments[0]
    assert torch.equal(done.key_positions[0, length : length + slots.slots], slots.positions)
    past = done.cache.layers[0].keys[0, :, length : length + slots.slots]
    assert torch.equal(past, slots.keys[0]), "not one bit of the slots has changed"
    plain = reader.run(states, [[[5, 6, 7]]])
    assert float((plain.hidden - done.hidden).abs().max()) > 1e-3, "the prompt has no effect"
    same = reader.run(states, [[[5, 6, 7]]], header=reader.sink_ids)
    assert torch.equal(plain.hidden, same.hidden)


def test_a_header_is_what_a_plain_model_makes_of_it() -> None:
    """With method full and no earlier turns, header and text are one plain text."""
    reader = reader_for(method("full"))
    ids = [11, 12, 13, 14, 15, 16]
    done = reader.run([MemoryState()], [[[5, 6, 7]]], header=ids)
    with torch.no_grad():
        plain = reader.decoder(input_ids=torch.tensor([[*ids, 5, 6, 7]])).last_hidden_state[:, 6:]
    assert float((done.hidden - plain).abs().max()) < 1e-5  # float32 tables at other positions


def test_headers_are_made_once_and_forgotten_in_order() -> None:
    reader = reader_for(method("full"))
    first = reader.header([9, 9])
    assert reader.header([9, 9]) is first
    for i in range(3, 12):
        reader.header([i])
        reader.header([11, 11])
    assert reader.header([9, 9]) is not first
    with pytest.raises(UsageError, match="a system prompt may hold 256 tokens, this one has 257"):
        reader.header([5] * 257)


# --- the model's range -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(METHODS))
@pytest.mark.parametrize("family", ["llama", "gemma3", "smollm3", "glm4"])
def test_a_session_goes_on_far_beyond_the_models_range(family: str, name: str) -> None:
    small, large = (
        reader_for(Window(20) if name == "window" else method(name, ratio=4), family, limit)
        for limit in (64, 512)
    )
    told: list[int] = []
    hook = small.decoder.register_forward_pre_hook(
        lambda _m, _a, k: told.append(int(k["position_ids"].max())), with_kwargs=True
    )
    talk = turns(18, 19)
    short, long = turn_by_turn(small, [talk]), turn_by_turn(large, [talk])
    hook.remove()
    assert max(told) < 64, "positions that the model was not made for"
    assert torch.isfinite(short.hidden[0]).all()
    assert short.states[0].text_tokens == 18 * 19
    assert short.states[0].slots == long.states[0].slots
    inside = 3 * 19  # the first turns fit both: nothing differs until the range is reached
    assert torch.equal(short.hidden[0][:inside], long.hidden[0][:inside])
    changed = float((short.hidden[0][inside:] - long.hidden[0][inside:]).abs().max())
    assert changed > 1e-6, "beyond it the distance to the sink, at least, is another"
    # And a reply can still be asked for.
    done = small.run(short.states, [[[5, 6, 7]]], reserve=20)
    assert int(done.next_position[0]) + 20 <= 64


def test_slots_are_moved_and_not_worn_by_moving() -> None:
    """What is stored stays as it was written, however often the session is read."""
    reader = reader_for(CCMConcat(4), positions=64)
    state = turn_by_turn(reader, [turns(10, 19)]).states[0]
    before = [s.keys.clone() for s in state.segments]
    for _ in range(3):
        reader.run([state], [[[5] * 10]], reserve=30)
    assert all(torch.equal(a, s.keys) for a, s in zip(before, state.segments, strict=True))


# --- refusals ----------------------------------------------------------------------------------------


def test_turns_that_do_not_fit_are_refused() -> None:
    reader = reader_for(method("full"), positions=64)
    reader.run([MemoryState()], [[[5] * 61]])
    with pytest.raises(UsageError, match="a turn may hold 61 tokens with this model, this one has 62"):
        reader.run([MemoryState()], [[[5] * 31, [5] * 31]])
    reader.run([MemoryState()], [[[5] * 41]], reserve=20)
    with pytest.raises(
        UsageError, match="a turn may hold 41 tokens with this model and 20 kept for the reply"
    ):
        reader.run([MemoryState()], [[[5] * 42]], reserve=20)
    with pytest.raises(UsageError, match="at least one token"):
        reader.run([MemoryState()], [[[]]])
    with pytest.raises(UsageError, match="at least one token"):
        reader.run([MemoryState(), MemoryState()], [[[5]], []])


@settings(QUICK, max_examples=25)
@given(st.lists(st.lists(st.integers(3, 66), max_size=6), min_size=1, max_size=4))
def test_an_empty_message_in_a_turn_has_no_slots(messages: list[list[int]]) -> None:
    reader = reader_for(CCMConcat(2))
    if not any(messages):
        return
    done, states = reader.remember([MemoryState()], [messages])
    assert [s.text_tokens for s in done.segments[0]] == [len(m) for m in messages]
    assert [s.slots > 0 for s in done.segments[0]] == [bool(m) for m in messages]
    reader.remember(states, [messages])
