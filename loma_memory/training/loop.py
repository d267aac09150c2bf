"""The training loop: accelerate, cosine schedule, checkpoints that resume to the same losses."""

from __future__ import annotations

import json
import math
import random
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator  # type: ignore[import-untyped]
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from loma_memory.errors import DataError, UsageError
from loma_memory.training.encode import Encoded

LOG = "log.jsonl"
CHECKPOINT = "checkpoint.safetensors"


@dataclass(frozen=True)
class LoopSettings:
    """How long and how fast.

    Attributes:
        steps: optimiser steps.
        lr: peak learning rate.
        warmup: steps of linear warm-up.
        save_every: steps between checkpoints.
        clip: largest norm of the gradient.
        seed: seeds sampling and dropout.
    """

    steps: int = 300
    lr: float = 1e-3
    warmup: int = 10
    save_every: int = 50
    clip: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise UsageError(f"steps must be at least 1, got {self.steps}")
        if not 0.0 < self.lr < 1.0:
            raise UsageError(f"lr must be between 0 and 1, got {self.lr}")
        if self.save_every < 1:
            raise UsageError(f"save_every must be at least 1, got {self.save_every}")

    def rate(self, step: int) -> float:
        """Learning rate of a step (from 0): linear warm-up, then cosine down to a hundredth."""
        if step < self.warmup:
            return self.lr * (step + 1) / self.warmup
        done = (step - self.warmup) / max(1, self.steps - self.warmup)
        return self.lr * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, done))))


def train(
    objective: nn.Module,
    parameters: Sequence[nn.Parameter],
    batches: Callable[[int], Sequence[Encoded]],
    settings: LoopSettings,
    folder: str | Path,
    *,
    tables: Sequence[nn.Parameter] = (),
    resume: bool = True,
    report: Callable[[str], None] = print,
    on_save: Callable[[int], None] | None = None,
) -> list[dict[str, Any]]:
    """Train.

    Args:
        objective: called with a batch and a seed; returns the sum of losses, their number, and figures.
        parameters: what is trained: matrices by Muon, whatever has another shape by AdamW.
        batches: the batch of a step.
        settings: see `LoopSettings`.
        folder: gets the log (JSON lines), the checkpoint and whatever `on_save` writes.
        tables: of the parameters, those that are rows to look up; AdamW trains them too.
        resume: go on from the folder's checkpoint when there is one.
        report: told one line a step.
        on_save: called after each checkpoint with the tokens of text trained on so far.

    Returns:
        The log: one object a step with step, loss, tokens, seconds and figures.

    Raises:
        DataError: the checkpoint in the folder belongs to other settings.
    """
    accelerator = Accelerator()
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    parameters = [p for p in parameters if p.requires_grad]
    model = accelerator.prepare(objective)
    optimizers = [accelerator.prepare(o) for o in _optimizers(parameters, tables, settings.lr)]
    done = _resume(folder, parameters, optimizers, settings) if resume else 0
    log = _read_log(folder, done)
    rank, world = accelerator.process_index, accelerator.num_processes
    text_tokens = int(log[-1]["tokens"]) if log else 0
    spent = float(log[-1]["seconds"]) if log else 0.0
    with (folder / LOG).open("w", encoding="utf-8") as lines:
        for entry in log:
            lines.write(json.dumps(entry) + "\n")
        for step in range(done, settings.steps):
            began = time.perf_counter()
            seed = random.Random(f"{settings.seed}:{step}").getrandbits(62)
            torch.manual_seed(seed)
            batch = batches(step)
            mine = list(batch[rank::world])
            for group in (g for o in optimizers for g in o.param_groups):
                group["lr"] = settings.rate(step)
            total, count, figures = model(mine, seed)
            everything = accelerator.reduce(torch.stack([total.detach(), count.detach()]), reduction="sum")
            # DDP averages gradients over processes, so each scales by their number.
            accelerator.backward(total * world / everything[1])
            norm = accelerator.clip_grad_norm_(parameters, settings.clip)
            for optimizer in optimizers:
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
            size = sum(len(e) for e in batch)
            text_tokens += size
            took = time.perf_counter() - began
            spent += took
            entry = {
                "step": step + 1,
                "loss": float(everything[0] / everything[1]),
                "lr": settings.rate(step),
                "norm": float(norm),
                "tokens": text_tokens,
                "seconds": round(spent, 2),
                "tokens_per_second": round(size / took, 1),
                **figures,
            }
            log.append(entry)
            if accelerator.is_main_process:
                lines.write(json.dumps(entry) + "\n")
                lines.flush()
                report(_line(entry, settings.steps, log))
            if (step + 1) % settings.save_every == 0 or step + 1 == settings.steps:
                if accelerator.is_main_process:
                    _save(folder, parameters, optimizers, settings, step + 1)
                    if on_save is not None:
                        on_save(text_tokens)
                accelerator.wait_for_everyone()
    return log


def _optimizers(
    parameters: Sequence[nn.Parameter], tables: Sequence[nn.Parameter], lr: float
) -> list[torch.optim.Optimizer]:
    """Muon (Jordan et al. 2024), at the step size of AdamW, for matrices; AdamW for the rest.

    On low-rank updates Muon learns faster per token than AdamW (docs/training.md).
    """
    apart = {id(p) for p in tables}
    matrices = [p for p in parameters if p.ndim == 2 and id(p) not in apart]
    others = [p for p in parameters if p.ndim != 2 or id(p) in apart]
    made: list[torch.optim.Optimizer] = []
    if matrices:
        made.append(torch.optim.Muon(matrices, lr, weight_decay=0.0, adjust_lr_fn="match_rms_adamw"))
    if others:
        made.append(torch.optim.AdamW(others, lr, betas=(0.9, 0.98), weight_decay=0.0))
    return made


def _line(entry: dict[str, Any], steps: int, log: Sequence[dict[str, Any]]) -> str:
    recent = list(log[-20:])
    pace = (recent[-1]["seconds"] - recent[0]["seconds"]) / max(1, len(recent) - 1) or entry["seconds"]
    left = int(pace * (steps - entry["step"]))
    loss = sum(e["loss"] for e in recent) / len(recent)
    return (
        f"step {entry['step']}/{steps}  loss {entry['loss']:.4f} (mean of {len(recent)}: {loss:.4f})"
        f"  {entry['tokens_per_second']:.0f} tokens/s  left {left // 60}:{left % 60:02d}"
    )


def _read_log(folder: Path, done: int) -> list[dict[str, Any]]:
    file = folder / LOG
    if done == 0 or not file.exists():
        return []
    entries = []
    for line in file.read_text(encoding="utf-8").splitlines():
        try:
            entries.append(json.loads(line))
        except ValueError:  # the line that a kill cut short
            break
    return [e for e in entries if e["step"] <= done]


def _save(
    folder: Path,
    parameters: Sequence[nn.Parameter],
    optimizers: Sequence[Any],
    settings: LoopSettings,
    done: int,
) -> None:
    tensors = {f"{i}.value": p.detach().cpu().contiguous() for i, p in enumerate(parameters)}
    for o, optimizer in enumerate(optimizers):
        for i, values in optimizer.state_dict()["state"].items():
            for key, value in values.items():
                tensors[f"optimizer{o}.{i}.{key}"] = torch.as_tensor(value).detach().cpu().contiguous()
    kept = {"done": str(done), "settings": json.dumps(asdict(settings), sort_keys=True)}
    fresh = folder / (CHECKPOINT + ".new")
    save_file(tensors, fresh, metadata=kept)
    fresh.replace(folder / CHECKPOINT)


def _resume(
    folder: Path, parameters: Sequence[nn.Parameter], optimizers: Sequence[Any], settings: LoopSettings
) -> int:
    file = folder / CHECKPOINT
    if not file.exists():
        return 0
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(file), "pt") as opened:
            kept = opened.metadata() or {}
        tensors = load_file(file)
    except (OSError, SafetensorError) as error:
        raise DataError(f"cannot read the checkpoint {file}: {error}") from None
    if kept.get("settings") != json.dumps(asdict(settings), sort_keys=True):
        raise DataError(f"the checkpoint {file} belongs to other settings: {kept.get('settings')}")
    if any(not re.fullmatch(r"\d+\.value|optimizer\d\.\d+\.\w+", name) for name in tensors):
        raise DataError(f"the checkpoint {file} was written by another version; begin anew in another folder")
    states: list[dict[int, dict[str, Tensor]]] = [{} for _ in optimizers]
    for name, tensor in tensors.items():
        owner, _, key = name.partition(".")
        if key == "value":
            parameters[int(owner)].data.copy_(tensor)
        else:
            index, _, field = key.partition(".")
            states[int(owner.removeprefix("optimizer"))].setdefault(int(index), {})[field] = tensor
    for optimizer, state in zip(optimizers, states, strict=True):
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": state, "param_groups": groups})
    return int(kept["done"])
