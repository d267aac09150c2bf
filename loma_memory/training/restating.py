"""Restating alone: the second term of LoMA's loss, at half the cost of both (arXiv 2401.09486 §3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import DynamicCache

from loma_memory.adapter.tokens import MemoryTokens
from loma_memory.attention import AttentionCall
from loma_memory.attention.layout import RETELL
from loma_memory.engine.decode import logits
from loma_memory.engine.inputs import embed
from loma_memory.engine.onepass import OnePass, lay_out
from loma_memory.methods import Method
from loma_memory.training.encode import Encoded


class RestatingObjective(nn.Module):
    """Cross-entropy of the tokens of each row's first turn, restated from its slots alone.

    Text of a first turn depends on nothing that is trained, so it is read once without gradients and only
    memory and restating tokens are learned through. Of the text that comes later nothing is asked: what
    memory is worth to it is `MemoryObjective`'s.
    """

    def __init__(
        self, model: Any, tokens: MemoryTokens, methods: Sequence[Method], sink: Sequence[int]
    ) -> None:
        """Set up; the arguments are those of `MemoryObjective`."""
        super().__init__()
        self.model, self.tokens, self.methods, self.sink = model, tokens, list(methods), list(sink)

    def forward(self, batch: Sequence[Encoded], seed: int) -> tuple[Tensor, Tensor, dict[str, float]]:
        """Sum of cross-entropies in nats, their number, and the share that is right (see `share`)."""
        draw = torch.Generator().manual_seed(seed)
        method = self.methods[int(torch.randint(len(self.methods), (1,), generator=draw))]
        decoder, device = self.model.get_decoder(), self.model.device
        one = lay_out(method, self.sink, [e.turns[:1] for e in batch], multiple=32, restate=True)
        ids, call = one.ids.to(device), one.call.to(device)
        width = ids.shape[1]
        cache = DynamicCache()  # one told of the model drops what is out of a window; masks do that here
        with torch.no_grad():
            text = _columns(call, 0, width, width)
            decoder(input_ids=ids, attention_mask=text.mask, past_key_values=cache, use_cache=True, loma=text)
        after = _columns(call, width, len(one.layouts[0]), len(one.layouts[0]))
        states = decoder(
            inputs_embeds=embed(self.model, self.tokens, ids, one.layouts)[:, width:],
            attention_mask=after.mask,
            position_ids=after.query_positions,
            past_key_values=cache,
            use_cache=True,
            loma=after,
        ).last_hidden_state
        rows, columns, wanted = restated(one, ids, len(self.sink))
        scores = logits(self.model, states[rows, columns - width]).float()
        right = float((scores.argmax(-1) == wanted).float().mean())
        loss = nn.functional.cross_entropy(scores, wanted, reduction="sum")
        figures = {"ratio": float(getattr(method, "ratio", 0.0)), share(method): right}
        return loss, torch.tensor(float(len(wanted)), device=device), figures


def share(method: Method) -> str:
    """What the log calls the share that is right: `retold` where each token is told the one before it."""
    return "retold" if method.restates == RETELL else "restated"


def restated(one: OnePass, ids: Tensor, sink: int) -> tuple[Tensor, Tensor, Tensor]:
    """Rows and columns of the tokens that restate, and the token of text that each is to give, (N,) each."""
    rows, columns = torch.stack([r.restates for r in one.layouts]).nonzero(as_tuple=True)
    index = torch.stack([r.index for r in one.layouts])[rows, columns]
    return rows, columns, ids[rows, sink + index]


def _columns(call: AttentionCall, start: int, end: int, keys: int) -> AttentionCall:
    """The call of the queries from `start` to `end`, over the first `keys` keys."""
    mask, at, keyed = call.mask, call.query_positions, call.key_positions
    assert mask is not None
    assert at is not None
    assert keyed is not None
    return AttentionCall(
        gate=(0, end - start) if start else None,
        mask=mask[:, :, start:end, :keys],
        query_positions=at[:, start:end],
        key_positions=keyed[:, :keys],
        key_exempt=None if call.key_exempt is None else call.key_exempt[:, :keys],
        products=mask.device.type == "cpu",
    )
