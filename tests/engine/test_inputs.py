"""What memory tokens start from: the table, and the mean of the text that each stands for."""

from __future__ import annotations

from typing import Any

import torch
from families import build
from hypothesis import given, settings
from hypothesis import strategies as st

from loma_memory.adapter.tokens import MemoryTokens
from loma_memory.attention import MEMORY, TEXT
from loma_memory.attention.layout import REPEAT
from loma_memory.engine.inputs import embed, spans, table_rows
from loma_memory.engine.onepass import lay_out
from loma_memory.methods import method
from loma_memory.methods.ccm_concat import CCMConcat
from loma_memory.methods.loma import LoMA


def test_parts_by_hand() -> None:
    one = lay_out(CCMConcat(2), [1], [[[[5, 6, 7, 8], [9]], [[10, 11, 12, 13, 14]]]])
    matrix = spans(one.layouts[0], one.text_width)
    #           sink  5    6    7    8    9   10   11   12   13   14
    assert matrix.tolist() == [
        [0, 0.5, 0.5, 0, 0, 0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0.5, 0.5, 0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 0.5, 0.5, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 0, 0, 0.5, 0.5, 0],
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
    ]


def test_what_weighs_more_counts_more_in_the_mean() -> None:
    heavy = {7: 3.0, 9: 0.5}
    one = lay_out(
        CCMConcat(3), [1], [[[[5, 6, 7, 8, 9]]]], weights=lambda message: [heavy.get(i, 1.0) for i in message]
    )
    matrix = spans(one.layouts[0], one.text_width)
    #                                sink  5    6     7     8    9
    assert torch.allclose(matrix[0], torch.tensor([0, 0.5, 0.5, 0, 0, 0]))
    assert torch.allclose(matrix[1], torch.tensor([0, 0, 0, 3.0, 1.0, 0.5]) / 4.5)


@settings(deadline=None)
@given(
    st.lists(
        st.lists(st.lists(st.integers(3, 60), min_size=1, max_size=12), min_size=1, max_size=3),
        min_size=1,
        max_size=3,
    ),
    st.floats(1, 9),
    st.sampled_from([1, 5]),
)
def test_every_token_of_a_message_has_its_part_in_one_memory_token(
    talk: Any, ratio: float, multiple: int
) -> None:
    one = lay_out(CCMConcat(ratio), [1, 2], [talk], multiple)
    row, width = one.layouts[0], one.text_width
    matrix = spans(row, width)
    text, memory = row[:width], row[width:]
    assert torch.equal((matrix > 0).sum(0), (text.kind == TEXT).long())
    real = memory.kind == MEMORY
    assert torch.allclose(matrix.sum(1), real.float())
    for j in real.nonzero().flatten().tolist():
        columns = (matrix[j] > 0).nonzero().flatten()
        assert set(text.message[columns].tolist()) == {int(memory.message[j])}
        assert columns.tolist() == list(range(int(columns[0]), int(columns[-1]) + 1)), "a run of tokens"


def test_embeddings() -> None:
    model, tokens = build("gemma3"), MemoryTokens(8, 32)
    torch.nn.init.normal_(tokens.weight)
    one = lay_out(CCMConcat(2), [1], [[[[5, 6, 7, 8]]], [[[9, 10]]]])
    made = embed(model, tokens, one.ids, one.layouts)
    text = model.get_input_embeddings()(one.ids)
    assert torch.equal(made[:, : one.text_width], text)
    wanted = text[0, 1:3].mean(0) + tokens.weight[0]
    assert torch.allclose(made[0, one.text_width], wanted, atol=1e-6)
    assert torch.allclose(made[0, one.text_width + 1], text[0, 3:5].mean(0) + tokens.weight[1], atol=1e-6)
    plain = lay_out(method("full"), [1], [[[[5, 6, 7, 8]]]])
    assert torch.equal(embed(model, None, plain.ids, plain.layouts), model.get_input_embeddings()(plain.ids))


@given(st.floats(1, 9), st.lists(st.integers(1, 12), min_size=1, max_size=4))
@settings(deadline=None)
def test_a_token_that_restates_knows_how_far_its_part_still_goes(ratio: float, lengths: list[int]) -> None:
    how = LoMA(ratio)
    tokens = MemoryTokens(3, 2, repeat_rows=4)
    tokens.weight.data[:, 0] = torch.arange(7.0)
    one = lay_out(how, [1], [[[[5] * n for n in lengths]]], multiple=8, restate=True)
    row = one.layouts[0][one.text_width :]
    got = table_rows(tokens, [row])[0, :, 0].tolist()
    for message in range(len(lengths)):
        mine = row.message == message
        ends = row.position[mine & (row.kind == MEMORY)].tolist()
        for i in (mine & (row.kind == REPEAT)).nonzero().flatten().tolist():
            left = min(e - int(row.position[i]) for e in ends if e >= int(row.position[i]))
            assert got[i] == 3 + min(left, 3)
    for i in (row.kind == MEMORY).nonzero().flatten().tolist():
        assert got[i] == min(int(row.index[i]), 2)
