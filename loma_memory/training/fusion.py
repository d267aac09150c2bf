"""Training of LoCoCo's convolutions: KL from full context, turn by turn (arXiv 2406.05317 §3.3).

A convolution learns from the turn right after its use: what it condenses is taken as given. A LoRA on the
text path may be trained with it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from loma_memory.engine.decode import logits
from loma_memory.engine.models import LoadedModel
from loma_memory.engine.reader import Reader
from loma_memory.errors import UsageError
from loma_memory.memory import MemoryState, Segment
from loma_memory.methods import method
from loma_memory.methods.lococo import LoCoCo
from loma_memory.training.encode import Encoded


class FusionObjective(nn.Module):
    """KL(full context ‖ cache) of the words of turns 2 and later."""

    def __init__(self, loaded: LoadedModel, how: LoCoCo, *, lora: bool = False, zones: bool = False) -> None:
        """Set up.

        Args:
            loaded: the frozen model, with a gated LoRA where one is trained as well.
            how: the method with the convolutions to train.
            lora: let that LoRA act on the text that reads the cache, not on the teacher.
            zones: take a turn's messages into the cache one after another, as `eval stream` does.

        Raises:
            UsageError: a method without convolutions.
        """
        super().__init__()
        if how.fusion is None:
            raise UsageError("there are no convolutions to train")
        self.fusion, self.how, self.model = how.fusion, how, loaded.model
        self.zones = zones
        self.reader, self.teacher = Reader(loaded, how, opened=lora), Reader(loaded, method("full"))

    def forward(self, batch: Sequence[Encoded], seed: int) -> tuple[Tensor, Tensor, dict[str, float]]:
        """Weighted sum of KLs in nats, the sum of weights, and figures to log."""
        states = [MemoryState()] * len(batch)
        full = self.teacher.run(states, [[e.flat] for e in batch]).hidden
        starts = [0] * len(batch)
        losses, counted = list[Tensor](), list[float]()
        hits = 0
        for turn in range(max(len(e.turns) for e in batch)):
            rows = [b for b, e in enumerate(batch) if turn < len(e.turns)]
            done = self.reader.graded([states[b] for b in rows], [batch[b].turns[turn] for b in rows])
            for i, b in enumerate(rows):
                size = sum(map(len, batch[b].turns[turn]))
                weights = batch[b].weights[starts[b] : starts[b] + size]
                places = [n for n, w in enumerate(weights) if w > 0 and n > 0]
                at = torch.tensor(places, dtype=torch.int64) - 1
                states[b] = self._folded(states[b], done.segments[i])
                if turn > 0 and len(at):
                    target = self._log_probabilities(full[b, starts[b] + at]).detach()
                    got = self._log_probabilities(done.hidden[i, at])
                    each = nn.functional.kl_div(got, target, reduction="none", log_target=True).sum(-1)
                    losses.append(each * torch.tensor([weights[n] for n in places], device=each.device))
                    counted += [weights[n] for n in places]
                    hits += int((got.argmax(-1) == target.argmax(-1)).sum())
                starts[b] += size
        every = torch.cat(losses) if losses else full.new_zeros(0).float()
        count = torch.tensor(sum(counted) or 1.0, device=full.device)
        # Where no conversation outgrew the cache no convolution was used: the gradient is 0, not missing.
        unused = torch.stack([p.sum() * 0.0 for p in self.fusion.parameters()]).sum()
        return every.sum() + unused, count, {"agree": hits / max(1, len(every))}

    def _folded(self, state: MemoryState, segments: Sequence[Segment]) -> MemoryState:
        for part in [[s] for s in segments] if self.zones else [segments]:
            state = self.how.update(state, part)
        return state

    def _log_probabilities(self, hidden: Tensor) -> Tensor:
        return torch.log_softmax(logits(self.model, hidden).float(), dim=-1)
