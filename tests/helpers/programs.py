"""The two programs of a method, side by side: one masked pass, and turn by turn through the reader."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor
from transformers import DynamicCache

from loma_memory.attention import TokenLayout
from loma_memory.engine.inputs import embed
from loma_memory.engine.onepass import Conversation, lay_out
from loma_memory.engine.reader import Reader
from loma_memory.memory import MemoryState
from loma_memory.methods import METHODS, Method
from loma_memory.methods.ccm_concat import CCMConcat
from loma_memory.methods.ccm_merge import CCMMerge, CCMMergeEMA
from loma_memory.methods.ccm_stream import CCMStream
from loma_memory.methods.gist import Gist
from loma_memory.methods.loma import LoMA, LoMARetell
from loma_memory.methods.replace import Replace
from loma_memory.methods.window import Window


@dataclass
class Run:
    """What a program made of some conversations.

    Attributes:
        hidden: last hidden states of the text, (tokens, hidden) each.
        slots: keys and values of what is kept, (2, L, Hkv, slots, D) each.
        positions: positions of the text as the model was told, (tokens,) each.
        slot_positions: positions of what is kept, (slots,) each.
        states: memory at the end (turn by turn only).
    """

    hidden: list[Tensor]
    slots: list[Tensor]
    positions: list[Tensor]
    slot_positions: list[Tensor]
    states: list[MemoryState]


def turn_by_turn(reader: Reader, conversations: Sequence[Conversation], *, graded: bool = False) -> Run:
    """Read conversations one turn after the other, together."""
    hidden: list[list[Tensor]] = [[] for _ in conversations]
    positions: list[list[Tensor]] = [[] for _ in conversations]
    states = [MemoryState() for _ in conversations]
    told: list[Tensor] = []
    hook = reader.decoder.register_forward_pre_hook(
        lambda _m, _a, kwargs: told.append(kwargs["position_ids"]), with_kwargs=True
    )
    try:
        for t in range(max(map(len, conversations))):
            rows = [i for i, c in enumerate(conversations) if t < len(c)]
            turns = [conversations[i][t] for i in rows]
            before = [states[i] for i in rows]
            # `run` is the same under torch.no_grad
            done = reader.graded(before, turns) if graded else reader.run(before, turns, write=True)
            for b, i in enumerate(rows):
                length = sum(map(len, turns[b]))
                hidden[i].append(done.hidden[b, :length])
                positions[i].append(told[-1][b, :length])
                states[i] = reader.method.update(states[i], done.segments[b])
    finally:
        hook.remove()
    like = reader.header(reader.sink_ids)[0]
    return Run(
        [torch.cat(h) for h in hidden],
        [torch.stack(s.keys_values(like[:, :, :0], like[:, :, :0])) for s in states],
        [torch.cat(p) for p in positions],
        [s.layout().position for s in states],
        states,
    )


def one_pass(
    reader: Reader,
    conversations: Sequence[Conversation],
    states: Sequence[MemoryState],
    *,
    multiple: int = 1,
    gate: bool = True,
    shift: int = 0,
    products: bool = False,
) -> Run:
    """Read whole conversations in one masked pass.

    Args:
        reader: model, method and adapter.
        conversations: what is read.
        states: say which tokens are kept in the end.
        multiple: widths are rounded up to it.
        gate: negative control: False leaves the adapter off.
        shift: negative control: memory tokens stand so many positions too far.
        products: attend by plain products.
    """
    weigh = reader.loaded.format.weigh
    one = lay_out(reader.method, reader.sink_ids, conversations, multiple, weights=weigh)
    call, positions = one.call, one.call.query_positions
    assert positions is not None
    assert call.key_positions is not None
    call.products = products
    if not gate:
        call.gate = None
    if shift:
        positions = positions.clone()
        positions[:, one.text_width :] += shift
        call.query_positions = positions
        call.key_positions = call.key_positions.clone()
        call.key_positions[:, one.text_width : positions.shape[1]] += shift
    cache = DynamicCache()
    out = reader.decoder(
        inputs_embeds=embed(reader.model, reader.tokens, one.ids, one.layouts),
        attention_mask=call.mask,
        position_ids=positions,
        past_key_values=cache,
        use_cache=True,
        loma=call,
    ).last_hidden_state
    kv = torch.stack(
        [torch.stack([x.keys for x in cache.layers]), torch.stack([x.values for x in cache.layers])]
    )
    if call.mixes is not None:  # the means are keys and values of the pass, though of no token
        kv = torch.cat([kv, call.mixes[None, None, :, None].to(kv.dtype) @ kv], dim=4)
    hidden, slots, told, slot_positions = [], [], [], []
    for b, conversation in enumerate(conversations):
        first, count = len(reader.sink_ids), sum(len(m) for t in conversation for m in t)
        hidden.append(out[b, first : first + count])
        told.append(positions[b, first : first + count])
        made = reader.method.derived(one.layouts[b])
        row = one.layouts[b] if made is None else TokenLayout.cat([one.layouts[b], made[0]])
        columns = torch.tensor(_columns(row, states[b].layout()), dtype=torch.int64)
        slots.append(kv[:, :, b].index_select(3, columns))
        slot_positions.append(call.key_positions[b, columns])
    return Run(hidden, slots, told, slot_positions, list(states))


def _columns(row: TokenLayout, kept: TokenLayout) -> list[int]:
    place = {
        key: column
        for column, key in enumerate(
            zip(row.kind.tolist(), row.message.tolist(), row.index.tolist(), strict=True)
        )
    }
    wanted = zip(kept.kind.tolist(), kept.message.tolist(), kept.index.tolist(), strict=True)
    return [place[key] for key in wanted]


def distance(a: Sequence[Tensor], b: Sequence[Tensor]) -> float:
    """The largest absolute difference; shapes must be equal."""
    worst = 0.0
    for x, y in zip(a, b, strict=True):
        assert x.shape == y.shape, (x.shape, y.shape)
        if x.numel():
            worst = max(worst, float((x - y).abs().max()))
    return worst


tokens = st.integers(3, 66)
messages = st.lists(tokens, min_size=1, max_size=9).map(tuple)
turns = st.lists(messages, min_size=1, max_size=3).map(tuple)


def conversations(most: int = 3, longest: int = 4) -> Any:
    """Batches of conversations of different lengths."""
    return st.lists(st.lists(turns, min_size=1, max_size=longest).map(tuple), min_size=1, max_size=most)


TWO_FORMS = tuple(name for name, m in METHODS.items() if m.one_pass)
"""Methods that have both programs."""


def methods(names: Sequence[str] = TWO_FORMS) -> Any:
    """Every method that has both programs, with settings of its own."""
    made: dict[str, Any] = {
        "window": st.integers(1, 24).map(Window),
        "ccm-concat": st.floats(1, 12).map(CCMConcat),
        "ccm-stream": st.builds(CCMStream, st.floats(1, 12), st.integers(1, 9)),
        "gist": st.floats(1, 12).map(Gist),
        "loma": st.floats(1, 12).map(LoMA),
        "loma-retell": st.floats(1, 12).map(LoMARetell),
        "ccm-merge": st.integers(1, 5).map(CCMMerge),
        "ccm-merge-ema": st.integers(1, 5).map(CCMMergeEMA),
        "replace": st.integers(1, 5).map(Replace),
    }
    return st.sampled_from(names).flatmap(lambda n: made.get(n, st.just(METHODS[n].create(None))))


def reader_of(loaded: Any, how: Method, tokens: Any = None) -> Reader:
    """A reader; the memory-token table goes only to methods that have memory tokens."""
    return Reader(loaded, how, tokens if how.needs_adapter else None)
