"""LoMA: where its memory stands, who sees what, and that restating is the one-pass form's repetition zone."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from families import build, loaded, with_adapter
from hypothesis import given, settings
from hypothesis import strategies as st
from programs import reader_of

from loma_memory.attention import MEMORY, TEXT, TokenLayout
from loma_memory.attention.layout import REPEAT, RETELL
from loma_memory.engine.decode import logits
from loma_memory.engine.inputs import embed
from loma_memory.engine.onepass import lay_out
from loma_memory.engine.reader import Reader
from loma_memory.engine.restating.restate import restate
from loma_memory.errors import UsageError
from loma_memory.memory import MemoryState, Segment
from loma_memory.methods import method
from loma_memory.methods.loma import LoMA, LoMARetell

TALKS: list[Any] = [
    [[[5, 6, 7, 8, 9, 10, 11], [12, 13]], [[14, 15, 16, 17, 18]]],
    [[[20, 21, 22]], [[23, 24, 25, 26, 27, 28, 29, 30, 31], [32]]],
]


def reader(how: LoMA, family: str = "llama") -> Reader:
    adapter = with_adapter(loaded(build(family)).model, repeat_rows=1)
    return reader_of(loaded(adapter.model), how, adapter.tokens)


@given(st.integers(0, 50), st.integers(1, 60), st.floats(1, 12))
@settings(deadline=None)
def test_every_part_of_the_text_has_its_token(start: int, length: int, ratio: float) -> None:
    how = LoMA(ratio)
    spots = how.memory_positions(start, [1.0] * length)
    assert len(spots) == how.slots_for(length) >= length / ratio - 1e-9  # what the method takes for rounding
    assert spots == sorted(set(spots))
    assert (spots[-1], spots[0] >= start) == (start + length - 1, True)
    assert all(b - a <= ratio + 1 for a, b in zip([start - 1, *spots], spots, strict=False))
    empty = torch.zeros(1, 1, len(spots), 2)
    segment = Segment(empty, empty, torch.tensor(spots), length)
    assert how.repeat_positions(segment) == list(range(start, start + length))


def test_who_sees_what() -> None:
    text = TokenLayout.of(TEXT, 0, 0, range(4))
    memory = TokenLayout.of(MEMORY, 0, 0, [1, 3])
    other = TokenLayout.of(MEMORY, 0, 1, [5])
    for how, kind in ((LoMA(2), REPEAT), (LoMARetell(2), RETELL)):
        again = TokenLayout.of(kind, 0, 0, range(4))
        row = TokenLayout.cat([text, memory, other, again])
        sees = how.visible(row, row)
        assert sees[4].tolist() == [1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0]  # the first memory token sees the second
        assert not sees[:7, 7:].any()  # nobody sees the repetition zone
        zone = [0, 0, 0, 0, 1, 1, 0]
        assert sees[9, :7].tolist() == zone
        assert sees[9, 7:].tolist() == ([0, 0, 1, 0] if kind == REPEAT else [1, 1, 1, 0])


@pytest.mark.parametrize("family", ["llama", "gemma3", "qwen3"])
def test_restating_is_the_repetition_zone_of_the_one_pass_form(family: str) -> None:
    source = reader(LoMA(3), family)
    states = [MemoryState(), MemoryState()]
    for t in range(2):
        _, states = source.remember(states, [talk[t] for talk in TALKS])
    segments = [s for state in states for s in state.segments]
    told = restate(source, segments)
    one = lay_out(source.method, source.sink_ids, TALKS, restate=True)
    with torch.no_grad():
        hidden = source.decoder(
            inputs_embeds=embed(source.model, source.tokens, one.ids, one.layouts),
            attention_mask=one.call.mask,
            position_ids=one.call.query_positions,
            use_cache=False,
            loma=one.call,
        ).last_hidden_state
        best = logits(source.model, hidden).argmax(-1)
    wanted = []
    for b, talk in enumerate(TALKS):
        for number in range(sum(map(len, talk))):
            row = one.layouts[b]
            wanted.append(best[b, (row.kind == REPEAT) & (row.message == number)].tolist())
    assert told == wanted
    assert [len(t) for t in told] == [len(m) for talk in TALKS for turn in talk for m in turn]
    assert [restate(source, [s])[0] for s in segments] == told  # whatever shares the batch


def test_retelling_is_fed_what_it_told() -> None:
    source = reader(LoMARetell(3))
    _, states = source.remember([MemoryState()], [TALKS[0][0]])
    told = restate(source, states[0].segments)
    # The one-pass form, fed the same tokens, says the same.
    one = lay_out(source.method, source.sink_ids, [TALKS[0][:1]], restate=True)
    row = one.layouts[0]
    embeds = embed(source.model, source.tokens, one.ids, one.layouts)
    table = source.model.get_input_embeddings()
    assert source.tokens is not None
    for number, tokens in enumerate(told):
        columns = ((row.kind == RETELL) & (row.message == number)).nonzero().flatten()
        fed = source.tokens(row.index[columns], torch.ones(len(columns), dtype=torch.bool)).clone()
        fed[1:] += table(torch.tensor(tokens[:-1], dtype=torch.int64))
        embeds[0, columns] = fed.detach()
    with torch.no_grad():
        hidden = source.decoder(
            inputs_embeds=embeds,
            attention_mask=one.call.mask,
            position_ids=one.call.query_positions,
            use_cache=False,
            loma=one.call,
        ).last_hidden_state
    best = logits(source.model, hidden).argmax(-1)[0]
    assert [best[(row.kind == RETELL) & (row.message == n)].tolist() for n in range(len(told))] == told


def test_others_cannot_restate() -> None:
    adapter = with_adapter(loaded(build("llama")).model)
    plain = reader_of(loaded(adapter.model), method("ccm-concat"), adapter.tokens)
    with pytest.raises(UsageError, match="ccm-concat cannot restate"):
        restate(plain, [])
    with pytest.raises(UsageError, match="ccm-concat is not trained to restate"):
        lay_out(plain.method, [1], TALKS, restate=True)
