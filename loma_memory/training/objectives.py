"""What is minimised: cross-entropy for the text adapter, KL to the full-context teacher for memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from loma_memory.adapter.gated import open_gate
from loma_memory.adapter.tokens import MemoryTokens
from loma_memory.attention import AttentionCall
from loma_memory.engine.decode import logits
from loma_memory.engine.inputs import embed
from loma_memory.engine.onepass import OnePass, lay_out
from loma_memory.methods import Method
from loma_memory.training.encode import Encoded, padded_ids
from loma_memory.training.readout import ALIGNMENT, readout_gap, spread_layers
from loma_memory.training.restating import restated, share


def _causal(ids: Tensor) -> AttentionCall:
    """Plain causal attention over full rows; fillers stand at the end, where no text sees them."""
    width = ids.shape[1]
    order = torch.ones(width, width, dtype=torch.bool, device=ids.device).tril()
    positions = torch.arange(width, device=ids.device).expand(len(ids), -1)
    return AttentionCall(
        mask=order.expand(len(ids), 1, -1, -1),
        query_positions=positions,
        key_positions=positions,
        products=ids.device.type == "cpu",
    )


class TextObjective(nn.Module):
    """Weighted cross-entropy of the next token, for an ordinary LoRA on the text path (CCM step 1)."""

    def __init__(self, model: Any, sink: Sequence[int], adapter_name: str = "default") -> None:
        """Set up.

        Args:
            model: the transformers model with injected LoRA layers.
            sink: header tokens of every row.
            adapter_name: the adapter to train. In training it runs through an open gate: the same sum
                as PEFT's own, in the model's precision instead of float32.
        """
        super().__init__()
        self.model, self.sink = model, list(sink)
        open_gate(model, adapter_name)

    def forward(self, batch: Sequence[Encoded], seed: int) -> tuple[Tensor, Tensor, dict[str, float]]:
        """Sum of weighted losses, sum of weights, and nothing further to log."""
        rows, weights = padded_ids(self.sink, batch)
        device = self.model.device
        ids, weight = torch.tensor(rows, device=device), torch.tensor(weights, device=device)
        call = _causal(ids)
        hidden = (
            self.model.get_decoder()(input_ids=ids, attention_mask=call.mask, use_cache=False, loma=call)
        ).last_hidden_state
        targets = (weight > 0).nonzero(as_tuple=True)
        scores = logits(self.model, hidden[targets[0], targets[1] - 1]).float()
        losses = nn.functional.cross_entropy(scores, ids[targets], reduction="none")
        return (losses * weight[targets]).sum(), weight.sum(), {}


class MemoryObjective(nn.Module):
    """KL(full context ‖ memory) at sampled positions of all turns after the first, and L_Repeat for LoMA.

    The teacher is the same frozen net without memory tokens and with all text in view, so every turn of
    the one pass teaches (cf. CCM arXiv 2312.03414 §3.2, which uses hard labels of the last output). Methods
    that restate add the cross-entropy of as many restated tokens (arXiv 2401.09486: a plain sum), aligned
    ones what queries read from memory (arXiv 2609.37587).
    """

    def __init__(
        self,
        model: Any,
        tokens: MemoryTokens,
        methods: Sequence[Method],
        sink: Sequence[int],
        positions: int = 1024,
        weights: Callable[[Sequence[int]], list[float]] | None = None,
        labels: float = 0.0,
    ) -> None:
        """Set up.

        Args:
            model: the transformers model with gated adapter layers.
            tokens: the memory-token table.
            methods: the method at each ratio to train; one is drawn a step.
            sink: header tokens of every row.
            positions: targets sampled a step.
            weights: weighs the tokens of a message, for methods that place memory by weight.
            labels: share of the true next token, beside the teacher's distribution, in what words of the
                conversation are to be predicted as; planted answers are learned from the teacher alone.
        """
        super().__init__()
        self.model, self.tokens, self.methods = model, tokens, [m.taught() for m in methods]
        self.labels = labels
        self.sink, self.positions = list(sink), positions
        self.weights = weights

    def forward(self, batch: Sequence[Encoded], seed: int) -> tuple[Tensor, Tensor, dict[str, float]]:
        """Weighted sum of KLs in nats, the sum of weights, and figures to log.

        `agree` is the share of positions with the teacher's best token, `answers` that of planted answers
        and `answers_kl` their KL.
        """
        draw = torch.Generator().manual_seed(seed)
        method = self.methods[int(torch.randint(len(self.methods), (1,), generator=draw))]
        decoder, device = self.model.get_decoder(), self.model.device
        restate = method.restates is not None
        turns = [e.turns for e in batch]
        one = lay_out(method, self.sink, turns, multiple=32, weights=self.weights, restate=restate)
        weight = torch.zeros(one.ids.shape)
        for b, encoded in enumerate(batch):
            weight[b, len(self.sink) : len(self.sink) + len(encoded)] = torch.tensor(encoded.weights)
        counted = (weight > 0).flatten()
        count = min(self.positions, int(counted.sum()))
        picked = torch.multinomial(counted.float(), count, generator=draw).sort().values
        rows, columns = picked // weight.shape[1], picked % weight.shape[1]
        weight = weight.flatten()[picked].to(device)
        total = weight.sum()
        call = one.call.to(device)
        layers = spread_layers(len(decoder.layers)) if method.aligned else []
        call.readings = dict.fromkeys(layers)
        call.products = device.type == "cpu"
        ids = one.ids.to(device)
        with torch.no_grad():
            plain = _causal(ids)
            plain.readings = dict.fromkeys(layers)
            teacher = decoder(
                input_ids=ids, attention_mask=plain.mask, use_cache=False, loma=plain
            ).last_hidden_state[rows, columns - 1]
            target = torch.log_softmax(logits(self.model, teacher).float(), dim=-1)
        states = decoder(
            inputs_embeds=embed(self.model, self.tokens, ids, one.layouts),
            attention_mask=call.mask,
            position_ids=call.query_positions,
            use_cache=False,
            loma=call,
        ).last_hidden_state
        got = torch.log_softmax(logits(self.model, states[rows, columns - 1]).float(), dim=-1)
        each = nn.functional.kl_div(got, target, reduction="none", log_target=True).sum(-1)
        loss = (each * weight).sum()
        if self.labels:
            truth = nn.functional.nll_loss(got, ids[rows, columns], reduction="none")
            loss = loss + self.labels * ((truth - each) * weight)[weight <= 1.0].sum()
        hit = (target.argmax(-1) == got.argmax(-1)).float()
        figures = {"ratio": float(getattr(method, "ratio", 0.0)), "agree": float(hit.mean())}
        answers = weight > 1.0
        if answers.any():
            figures["answers"] = float(hit[answers].mean())
            figures["answers_kl"] = float(each.detach()[answers].mean())
        if method.aligned:
            gap = readout_gap(method, one, call.readings, plain.readings, draw)
            loss, figures["readout"] = loss + ALIGNMENT * gap * total, float(gap.detach())
        if restate:
            repeat, figures[share(method)] = self._repeat(one, ids, states, draw)
            loss = loss + repeat * total
        return loss, total, figures

    def _repeat(
        self, one: OnePass, ids: Tensor, states: Tensor, draw: torch.Generator
    ) -> tuple[Tensor, float]:
        """Mean cross-entropy of sampled restated tokens, and the share that is right."""
        rows, columns, wanted = restated(one, ids, len(self.sink))
        some = torch.randperm(len(rows), generator=draw)[: self.positions]
        rows, columns, wanted = rows[some], columns[some], wanted[some]
        scores = logits(self.model, states[rows, columns]).float()
        right = float((scores.argmax(-1) == wanted).float().mean())
        return nn.functional.cross_entropy(scores, wanted), right
