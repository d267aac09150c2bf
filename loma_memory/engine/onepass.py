"""The one-pass form: a whole conversation in one masked forward pass, memory tokens at the end of the row.

With an explicit mask the order of tokens in memory is free; standing together, the memory tokens of
every row are one slice, so the adapter works on contiguous columns.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from loma_memory.attention import MEMORY, TEXT, AttentionCall, TokenLayout
from loma_memory.engine.inputs import weigh
from loma_memory.engine.reader import Turn
from loma_memory.errors import UsageError
from loma_memory.methods import Method

Conversation = Sequence[Turn]
"""The turns of one conversation."""


@dataclass(frozen=True, eq=False)
class OnePass:
    """A batch of conversations laid out for one pass.

    Attributes:
        ids: token ids of sink and text, (B, T); fillers are 0.
        call: mask, positions and gate of the whole row of T + M tokens.
        layouts: what every token is, per conversation.
        text_width: T.
    """

    ids: Tensor
    call: AttentionCall
    layouts: list[TokenLayout]
    text_width: int


def lay_out(
    method: Method,
    sink_ids: Sequence[int],
    batch: Sequence[Conversation],
    multiple: int = 1,
    *,
    weights: Callable[[Sequence[int]], list[float]] | None = None,
    restate: bool = False,
) -> OnePass:
    """Lay conversations out for one pass.

    Args:
        method: gives memory tokens and the mask rule.
        sink_ids: ids of the sink.
        batch: conversations as turns of messages of token ids.
        multiple: round T and M up to a multiple of this, so that shapes repeat.
        weights: weighs the tokens of a message, for methods that place memory by weight.
        restate: add tokens that restate every message, behind the memory tokens.

    Raises:
        UsageError: the method has no one-pass form, or cannot restate.
    """
    if restate and method.restates is None:
        raise UsageError(f"method {method.name} is not trained to restate text")
    if not method.one_pass:
        raise UsageError(f"method {method.name} has no one-pass form: it is read turn by turn only")
    texts, memories, ids = [], [], []
    for conversation in batch:
        text, memory = [TokenLayout.sink(len(sink_ids))], [TokenLayout.of(MEMORY, 0, 0, [])]
        again: list[TokenLayout] = []
        flat, offset, number = list(sink_ids), 0, 0
        for t, turn in enumerate(conversation):
            for message in turn:
                start = len(sink_ids) + offset
                weight = weigh(method, weights, message)
                at = range(start, start + len(message))
                text.append(TokenLayout.of(TEXT, t, number, at, offset, weight))
                if restate and method.restates is not None:
                    again.append(_as_kind(text[-1], method.restates))
                memory.append(TokenLayout.of(MEMORY, t, number, method.memory_positions(start, weight)))
                flat.extend(message)
                offset += len(message)
                number += 1
        texts.append(TokenLayout.cat(text))
        memories.append(TokenLayout.cat([*memory, *again]))
        ids.append(flat)
    width = _up(max(map(len, texts)), multiple)
    memory_width = _up(max(map(len, memories)), multiple) if any(map(len, memories)) else 0
    rows = [
        TokenLayout.cat([x.padded(width), m.padded(memory_width)])
        for x, m in zip(texts, memories, strict=True)
    ]
    padded = torch.zeros(len(ids), width, dtype=torch.int64)
    for b, flat in enumerate(ids):
        padded[b, : len(flat)] = torch.tensor(flat)
    further = [method.derived(r) for r in rows]
    extra = max(len(f[0]) if f is not None else 0 for f in further)
    keys, mixes = list(rows), torch.zeros(len(rows), extra, len(rows[0]), dtype=torch.float64)
    for b, made in enumerate(further):
        if made is not None:
            keys[b] = TokenLayout.cat([rows[b], made[0].padded(extra)])
            mixes[b, : len(made[0])] = made[1]
    call = AttentionCall(
        gate=(width, width + memory_width) if memory_width else None,
        mask=torch.stack([method.visible(r, k) for r, k in zip(rows, keys, strict=True)])[:, None],
        query_positions=torch.stack([r.position for r in rows]),
        key_positions=torch.stack([k.position for k in keys]),
        key_exempt=torch.stack([k.exempt for k in keys]),
        mixes=mixes if extra else None,
    )
    return OnePass(padded, call, rows, width)


def _as_kind(layout: TokenLayout, kind: int) -> TokenLayout:
    """The same tokens as others of one kind."""
    return replace(layout, kind=torch.full_like(layout.kind, kind))


def _up(n: int, multiple: int) -> int:
    return -(-n // multiple) * multiple
