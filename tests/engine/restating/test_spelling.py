"""Texts of known tokens by what the model would write: as likely as one pass over each says."""

from __future__ import annotations

from functools import cache
from itertools import pairwise, permutations, product

import pytest
import torch
from families import build, loaded, with_adapter
from hypothesis import given, settings
from hypothesis import strategies as st
from programs import reader_of

from loma_memory.engine.decode import logits
from loma_memory.engine.reader import Reader
from loma_memory.engine.restating import spelling
from loma_memory.engine.restating.spelling import Part, spell
from loma_memory.errors import UsageError
from loma_memory.memory import MemoryState
from loma_memory.methods import method


@cache
def reader(family: str = "llama") -> Reader:
    adapter = with_adapter(loaded(build(family)).model, repeat_rows=4)
    return reader_of(loaded(adapter.model), method("loma", ratio=3), adapter.tokens)


def worth(source: Reader, text: tuple[int, ...], parts: list[Part]) -> float:
    """What restating says of a text, and what one pass over it says of each token but the first."""
    done = source.run([MemoryState()], [[list(text)]])
    told = torch.log_softmax(logits(source.model, done.hidden[0]).float(), -1)
    own = sum(float(told[i, token]) for i, token in enumerate(text[1:]))
    places = [place for of, _ in parts for place in of]
    return own + sum(p.get(t, min(p.values(), default=0.0) - 1) for t, p in zip(text, places, strict=True))


@st.composite
def problems(draw: st.DrawFn) -> list[Part]:
    """Two parts of at most 6 texts each, so that all of them are followed."""
    place = st.dictionaries(st.integers(3, 40), st.floats(-3, 3), max_size=5)
    bags = [draw(st.lists(st.integers(3, 40), min_size=1, max_size=n)) for n in (3, 2)]
    return [([draw(place) for _ in bag], bag) for bag in bags]


@settings(max_examples=25)
@given(problems())
def test_with_room_enough_all_texts_are_told_likeliest_first(parts: list[Part]) -> None:
    source = reader()
    told = spell(source, parts)
    orders = [set(permutations(bag or ())) for _, bag in parts]
    every = {sum(some, ()) for some in product(*orders)}
    assert sorted(map(tuple, told)) == sorted(every)
    likely = [worth(source, tuple(text), parts) for text in told]
    assert all(a >= b - 1e-3 for a, b in pairwise(likely))


@pytest.mark.parametrize("family", ["llama", "gemma2", "qwen3"])
def test_a_text_that_the_model_wrote_is_found_again(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Restating says nothing here. Greedy steps are the likeliest from one token on, so a few are enough."""
    source = reader(family)
    text = [3]
    for _ in range(11):
        hidden = source.run([MemoryState()], [[text]]).hidden[0, -1]
        likely = logits(source.model, hidden).topk(len(text) + 1).indices.tolist()
        text.append(next(t for t in likely if t not in text))
    parts: list[Part] = [([{} for _ in range(4)], sorted(text[at : at + 4])) for at in (0, 4, 8)]
    parts[0][0][0] = {3: 20.0}  # type: ignore[index]
    monkeypatch.setattr(spelling, "BEAMS", 600)
    told = spell(source, parts)
    assert len(told) == 600
    assert text in told
    assert worth(source, tuple(told[0]), parts) >= worth(source, tuple(text), parts) - 1e-3


def test_tokens_of_a_part_that_are_not_known_are_those_likely_there() -> None:
    source = reader()
    likely = {t: -0.1 * t for t in range(5, 25)}
    told = spell(source, [([{7: 0.0}], [7]), ([likely], None)])
    assert {text[0] for text in told} == {7}
    assert [text[1] for text in told] == sorted({text[1] for text in told}, key=[t[1] for t in told].index)
    assert {text[1] for text in told} == set(likely)


def test_a_turn_has_to_fit_the_model() -> None:
    source = reader()
    many = source.loaded.limit
    with pytest.raises(UsageError, match="a turn may hold"):
        spell(source, [([{7: 0.0}] * many, [7] * many)])
