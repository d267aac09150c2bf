"""Decoding: one token a step for every sequence of a pass, until each has stopped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from loma_memory.attention import AttentionCall
from loma_memory.engine.reader import Pass, Reader
from loma_memory.engine.sampling import Sampling


def logits(model: Any, hidden: Tensor) -> Tensor:
    """Output logits of hidden states, (..., vocabulary), as the family's own head computes them."""
    config = model.config.get_text_config()
    scores: Tensor = model.get_output_embeddings()(hidden)
    scale = getattr(config, "logits_scaling", None)  # Granite
    if scale:
        scores = scores / scale
    scale = getattr(config, "logit_scale", None)  # Cohere
    if scale:
        scores = scores * scale
    cap = getattr(config, "final_logit_softcapping", None)  # Gemma 2
    if cap:
        scores = torch.tanh(scores / cap) * cap
    return scores


class Continued:
    """Text read on after a pass, one token a sequence at a time."""

    def __init__(self, reader: Reader, done: Pass) -> None:
        """`done`: the pass that `reader` made; its cache grows from here on."""
        self.reader, self.done, self.count = reader, done, 0
        self.positions, self.exempt = done.key_positions, done.exempt
        self.position = done.next_position.clone()

    def __call__(self, token: Tensor) -> Tensor:
        """Last hidden states of the next token of each sequence, (B,): (B, hidden)."""
        self.count += 1
        read = self.done.sight(self.count)
        visible = torch.cat([read, read.new_ones(len(token), self.count)], dim=1)
        self.positions = torch.cat([self.positions, self.position[:, None]], dim=1)
        self.exempt = torch.cat([self.exempt, self.exempt.new_zeros(len(token), 1)], dim=1)
        call = AttentionCall(
            mask=visible[:, None, None],
            query_positions=self.position[:, None],
            key_positions=self.positions,
            key_exempt=self.exempt,
        )
        with self.reader.lock:
            hidden: Tensor = self.reader.decoder(
                input_ids=token[:, None],
                attention_mask=call.mask,
                position_ids=self.position[:, None],
                past_key_values=self.done.cache,
                use_cache=True,
                loma=call,
            ).last_hidden_state[:, -1]
        self.position = self.position + 1
        return hidden

    def reorder(self, rows: Sequence[int]) -> None:
        """Let each sequence go on from row `rows[i]` instead; all stand at the same positions."""
        self.done.cache.reorder_cache(torch.tensor(rows, device=self.position.device))


@torch.no_grad()
def decode(
    reader: Reader,
    done: Pass,
    prompts: Sequence[Sequence[int]],
    sampling: Sampling,
    max_tokens: int,
) -> Iterator[list[int | None]]:
    """Generate after a pass.

    Args:
        reader: the reader that made the pass.
        done: the pass over the turns so far, each ending where the reply begins.
        prompts: the tokens of each turn so far, for the repetition penalty and the lengths.
        sampling: how tokens are chosen.
        max_tokens: at most so many a sequence.

    Yields:
        One token a sequence, None for those that have stopped; stop tokens are not yielded.
    """
    model, device = reader.model, reader.loaded.device
    batch = len(prompts)
    stops = torch.tensor(reader.loaded.format.stop_ids, dtype=torch.int64, device=device)
    generator = sampling.generator(device)
    lengths = torch.tensor([len(p) for p in prompts], device=device)
    hidden = done.hidden[torch.arange(batch, device=device), lengths - 1]
    seen = torch.full((batch, int(lengths.max())), -1, device=device)
    for b, prompt in enumerate(prompts):
        seen[b, : len(prompt)] = torch.tensor(list(prompt), device=device)
    inner = reader.loaded.format.inner.to(device)
    seen = _words(seen, inner)
    further = Continued(reader, done)
    alive = torch.ones(batch, dtype=torch.bool, device=device)
    for step in range(1, max_tokens + 1):
        token = sampling.choose(logits(model, hidden), seen, generator)
        alive = alive & ~torch.isin(token, stops)
        if not bool(alive.any()):
            return
        yield [int(t) if a else None for t, a in zip(token.tolist(), alive.tolist(), strict=True)]
        if step == max_tokens:
            return
        seen = torch.cat([seen, _words(token[:, None], inner)], dim=1)
        hidden = further(token)


def _words(ids: Tensor, inner: Tensor) -> Tensor:
    """The token ids that a repetition penalty counts, the others as −1."""
    return ids.masked_fill(inner[ids.clamp(0, len(inner) - 1)], -1)
