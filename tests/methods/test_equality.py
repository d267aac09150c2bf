"""The masked one-pass form equals the turn-by-turn form: every method, every family, float64, to 1e-9.

Equality alone cannot see a constant offset of all positions (rotation is relative), so positions are
asserted apart; and what an error would look like is shown by negative controls.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
import torch
from families import FAMILIES, PROMISED, build, loaded, with_adapter
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from programs import TWO_FORMS, Run, conversations, distance, methods, one_pass, reader_of, turn_by_turn
from torch import Tensor

from loma_memory.engine.models import LoadedModel
from loma_memory.engine.reader import Reader
from loma_memory.memory import MemoryState, Segment
from loma_memory.methods import Method, method
from loma_memory.methods.ccm_concat import CCMConcat
from loma_memory.methods.window import Window

CLOSE = 1e-9
FAR = 1e-3
QUICK = settings(
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
)


@cache
def served(family: str) -> tuple[Any, Any]:
    """Model and adapter of a family, made once."""
    model = build(family)
    adapter = with_adapter(loaded(model).model)
    return adapter.model, adapter


def reader_for(family: str, how: Method, sink: int = 3) -> Reader:
    model, adapter = served(family)
    known = loaded(model, sink=[1, 5, 9, 13, 17, 21, 25, 29][:sink])
    return reader_of(known, how, adapter.tokens)


def fixed(count: int = 2, turns: int = 4, seed: int = 3) -> list[Any]:
    """Conversations of different lengths whose later turns need what memory holds."""
    draw = random.Random(seed)
    return [
        [
            [[draw.randrange(3, 67) for _ in range(draw.randint(2, 9))] for _ in range(1 + t % 2)]
            for t in range(turns - b)
        ]
        for b in range(count)
    ]


def assert_same(reader: Reader, talks: Any, multiple: int = 1) -> tuple[Run, Run]:
    by_turn = turn_by_turn(reader, talks)
    with torch.no_grad():
        whole = one_pass(reader, talks, by_turn.states, multiple=multiple)
    assert distance(by_turn.hidden, whole.hidden) <= CLOSE
    assert distance(by_turn.slots, whole.slots) <= CLOSE
    for talk, told, masked in zip(talks, by_turn.positions, whole.positions, strict=True):
        count = sum(len(m) for t in talk for m in t)
        assert told.tolist() == list(range(reader.sink, reader.sink + count))
        assert torch.equal(told, masked)
    for kept, masked in zip(by_turn.slot_positions, whole.slot_positions, strict=True):
        assert torch.equal(kept, masked)
    return by_turn, whole


@settings(QUICK, max_examples=25)
@given(how=methods(), talks=conversations(), sink=st.integers(1, 3), multiple=st.sampled_from([1, 1, 4, 7]))
def test_one_pass_equals_turn_by_turn(how: Method, talks: Any, sink: int, multiple: int) -> None:
    assert_same(reader_for("llama", how, sink), talks, multiple)


@pytest.mark.parametrize("family", [f for f in FAMILIES if f != "llama"])
def test_one_pass_equals_turn_by_turn_in_every_family(family: str) -> None:
    # More examples for the families that the README names.
    @settings(QUICK, max_examples=7 if family in PROMISED else 3)
    @given(how=methods(), talks=conversations(2, 3), sink=st.integers(1, 8))
    def check(how: Method, talks: Any, sink: int) -> None:
        assert_same(reader_for(family, how, sink), talks)

    check()


@pytest.mark.parametrize("family", list(FAMILIES))
def test_a_long_conversation_in_every_family(family: str) -> None:
    assert_same(reader_for(family, CCMConcat(3)), fixed())


@pytest.mark.parametrize("name", TWO_FORMS)
@pytest.mark.parametrize("family", ["llama", "gemma3", "smollm3"])
def test_a_long_conversation_with_every_method(family: str, name: str) -> None:
    how = Window(10) if name == "window" else method(name, ratio=3)
    assert_same(reader_for(family, how, sink=8), fixed())


def test_the_promise_covers_every_method() -> None:
    drawn: set[str] = set()

    @settings(QUICK, max_examples=60, database=None)
    @given(how=methods())
    def note(how: Method) -> None:
        drawn.add(how.name)

    note()
    assert drawn == set(TWO_FORMS)


# --- what an error would look like -------------------------------------------------------------------


def silenced(state: MemoryState) -> MemoryState:
    """The same slots with zeros for values."""
    entries = [
        type(e)(
            e.turn,
            e.message,
            Segment(
                e.segment.keys,
                torch.zeros_like(e.segment.values),
                e.segment.positions,
                e.segment.text_tokens,
                e.segment.kind,
                e.segment.first_index,
            ),
        )
        for e in state.entries
    ]
    return state.keeping(entries)


@pytest.mark.parametrize("family", PROMISED)
def test_controls_are_seen(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = reader_for(family, CCMConcat(3))
    talks = fixed()
    by_turn, whole = assert_same(reader, talks)
    with torch.no_grad():
        ungated = one_pass(reader, talks, by_turn.states, gate=False)
        moved = one_pass(reader, talks, by_turn.states, shift=1)
        other = reader_for(family, CCMConcat(9))
        fewer = one_pass(other, talks, turn_by_turn(other, talks).states)
        nothing = reader_for(family, method("none"))
        forgetful = one_pass(nothing, talks, turn_by_turn(nothing, talks).states)
    assert distance(ungated.hidden, whole.hidden) > FAR
    assert distance(moved.hidden, whole.hidden) > FAR
    assert distance(fewer.hidden, whole.hidden) > FAR
    assert distance(forgetful.hidden, whole.hidden) > FAR
    update = type(reader.method).update
    monkeypatch.setattr(
        type(reader.method), "update", lambda self, state, new: silenced(update(self, state, new))
    )
    assert distance(turn_by_turn(reader, talks).hidden, whole.hidden) > FAR


@pytest.mark.parametrize("family", ["mistral-window", "gemma3", "gemma2", "gpt-oss", "cohere2"])
def test_a_window_ignored_in_one_program_is_seen(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from loma_memory.attention import AttentionCall

    reader = reader_for(family, CCMConcat(3))
    talks = [[[[*range(3, 20)]], [[*range(20, 37)]]]]
    by_turn, _ = assert_same(reader, talks)
    monkeypatch.setattr(AttentionCall, "windowed_mask", lambda self, window: self.mask)
    with torch.no_grad():
        blind = one_pass(reader, talks, by_turn.states)
    assert distance(by_turn.hidden, blind.hidden) > FAR


# --- gradients ---------------------------------------------------------------------------------------


def loss_of(run: Run) -> Tensor:
    """A fixed nonlinear function of the text's hidden states."""
    flat = torch.cat([h.flatten() for h in run.hidden])
    return (torch.sin(flat) * torch.linspace(0.5, 1.5, len(flat), dtype=flat.dtype)).sum()


def gradients(adapter: Any, program: Callable[[], Run]) -> list[Tensor]:
    """Gradient of the loss for every parameter."""
    for parameter in adapter.parameters():
        parameter.grad = None
        parameter.requires_grad_(True)
    loss_of(program()).backward()
    return [torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in adapter.parameters()]


@pytest.mark.parametrize("family", [*PROMISED, "glm4"])
def test_gradients_through_time_are_those_of_the_one_pass_form(family: str) -> None:
    reader, adapter = reader_for(family, CCMConcat(3)), served(family)[1]
    talks = fixed()
    states = turn_by_turn(reader, talks).states
    by_turn = gradients(adapter, lambda: turn_by_turn(reader, talks, graded=True))
    whole = gradients(adapter, lambda: one_pass(reader, talks, states))
    products = gradients(adapter, lambda: one_pass(reader, talks, states, products=True))
    ungated = gradients(adapter, lambda: one_pass(reader, talks, states, gate=False))
    scale = max(float(g.abs().max()) for g in whole)
    assert scale > FAR
    assert distance(by_turn, whole) <= CLOSE * max(1.0, scale)
    assert distance(products, whole) <= CLOSE * max(1.0, scale)
    assert distance(ungated, whole) > FAR * scale
    table = len(whole) - 1
    assert float(whole[table].abs().max()) > FAR, "the memory-token table gets no gradient"
    silent = [g for g in whole[:-1] if not float(g.abs().max()) > 0]
    assert not silent, f"{len(silent)} adapter weights get no gradient"


def test_a_gradient_is_the_finite_difference() -> None:
    reader, adapter = reader_for("llama", CCMConcat(2)), served("llama")[1]
    talks = fixed(count=1, turns=3)
    states = turn_by_turn(reader, talks).states
    slopes = gradients(adapter, lambda: one_pass(reader, talks, states))
    for number in (0, len(slopes) // 2, len(slopes) - 1):
        parameter, slope = adapter.parameters()[number], slopes[number]
        at = tuple(int(i) for i in (slope.abs() == slope.abs().max()).nonzero()[0])
        step, found = 1e-5, []
        for sign in (1, -1):
            with torch.no_grad():
                parameter[at] += sign * step
                found.append(float(loss_of(turn_by_turn(reader, talks))))
                parameter[at] -= sign * step
        assert (found[0] - found[1]) / (2 * step) == pytest.approx(float(slope[at]), rel=1e-5)


def test_a_reader_needs_an_adapter_where_its_method_does() -> None:
    from loma_memory.errors import UsageError

    known: LoadedModel = loaded(build("llama"))
    with pytest.raises(UsageError, match="ccm-concat needs an adapter"):
        Reader(known, CCMConcat())
