"""The training loop: the same losses after a kill, in two processes, and on any day."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from loma_memory.errors import DataError, UsageError
from loma_memory.training.encode import Encoded
from loma_memory.training.loop import CHECKPOINT, LOG, LoopSettings, train

SETTINGS = LoopSettings(steps=12, lr=0.05, warmup=3, save_every=4, seed=5)


class Toy(nn.Module):
    """A loss that depends on the batch, the seed (as dropout does) and the weights."""

    def __init__(self, dropout: float = 0.2) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Linear(4, 8), nn.Dropout(dropout), nn.Tanh(), nn.Linear(8, 1))

    def forward(self, batch: list[Encoded], seed: int) -> tuple[Tensor, Tensor, dict[str, float]]:
        rows = torch.tensor([[float(sum(e.flat) % m) for m in (3, 5, 7, 11)] for e in batch])
        noise = torch.rand(1, generator=torch.Generator().manual_seed(seed))
        loss = (self.net(rows) - rows.sum(1, keepdim=True) / 10 - noise).pow(2).sum()
        return loss, torch.tensor(float(len(batch))), {"rows": float(len(batch))}


def batches(step: int) -> list[Encoded]:
    return [Encoded((((step * 7 + i, i),),), (1.0, 1.0)) for i in range(4)]


def run(
    folder: Path, settings: LoopSettings = SETTINGS, *, dropout: float = 0.2, **more: Any
) -> list[dict[str, Any]]:
    toy = Toy(dropout).train()
    return train(toy, list(toy.parameters()), batches, settings, folder, report=lambda _: None, **more)


def losses(log: list[dict[str, Any]]) -> list[tuple[float, float, float]]:
    return [(e["loss"], e["norm"], e["lr"]) for e in log]


class Killed(Exception):
    pass


@pytest.mark.parametrize("after", [4, 6, 8, 11])
def test_resumed_after_a_kill_to_the_same_losses(tmp_path: Path, after: int) -> None:
    whole = run(tmp_path / "whole")
    assert len(whole) == 12

    def kill(line: str) -> None:
        if line.startswith(f"step {after + 1}/"):
            raise Killed

    toy = Toy().train()
    with pytest.raises(Killed):
        train(toy, list(toy.parameters()), batches, SETTINGS, tmp_path / "cut", report=kill)
    with (tmp_path / "cut" / LOG).open("a") as log:
        log.write('{"step": 99, "lo')  # and the kill cut a line short
    seen: list[str] = []
    toy = Toy().train()
    torch.manual_seed(999)
    resumed = train(toy, list(toy.parameters()), batches, SETTINGS, tmp_path / "cut", report=seen.append)
    assert losses(resumed) == losses(whole)
    assert seen[0].startswith(f"step {after // 4 * 4 + 1}/"), "it went on from the last checkpoint"
    kept = [json.loads(line) for line in (tmp_path / "cut" / LOG).read_text().splitlines()]
    assert [e["step"] for e in kept] == list(range(1, 13))
    assert [e["tokens"] for e in kept] == [8 * (i + 1) for i in range(12)]
    assert losses(run(tmp_path / "cut")) == losses(whole), "nothing is left to do"


def test_negative_control_other_seeds_and_no_resume(tmp_path: Path) -> None:
    whole = run(tmp_path / "a")
    other = run(tmp_path / "b", LoopSettings(**{**vars(SETTINGS), "seed": 6}))
    assert losses(whole) != losses(other)
    assert losses(run(tmp_path / "a", resume=False)) == losses(whole), "a fresh start is the same run"
    assert whole[-1]["loss"] < whole[0]["loss"]


def test_what_is_logged(tmp_path: Path) -> None:
    lines: list[str] = []
    saved: list[int] = []
    toy = Toy().train()
    log = train(
        toy, list(toy.parameters()), batches, SETTINGS, tmp_path, report=lines.append, on_save=saved.append
    )
    assert saved == [log[n - 1]["tokens"] for n in (4, 8, 12)]
    assert set(log[0]) == {"step", "loss", "lr", "norm", "tokens", "seconds", "tokens_per_second", "rows"}
    assert [e["rows"] for e in log] == [4.0] * 12
    assert lines[0].startswith("step 1/12  loss ")
    assert "tokens/s  left 0:" in lines[-1]
    assert not list(tmp_path.glob("*.new"))


def test_a_checkpoint_of_other_settings_or_no_checkpoint_at_all(tmp_path: Path) -> None:
    run(tmp_path, LoopSettings(**{**vars(SETTINGS), "steps": 4}))
    with pytest.raises(DataError, match="belongs to other settings"):
        run(tmp_path)
    with safe_open(tmp_path / CHECKPOINT, "pt") as kept:
        metadata = {**kept.metadata(), "settings": json.dumps(asdict(SETTINGS), sort_keys=True)}
    save_file({"0.exp_avg": torch.zeros(1)}, tmp_path / CHECKPOINT, metadata=metadata)
    with pytest.raises(DataError, match="written by another version"):
        run(tmp_path)
    (tmp_path / CHECKPOINT).write_bytes(b"rubbish")
    with pytest.raises(DataError, match="cannot read the checkpoint"):
        run(tmp_path)


@pytest.mark.parametrize(
    "wrong", [{"steps": 0}, {"lr": 0.0}, {"lr": 1.0}, {"lr": float("nan")}, {"save_every": 0}], ids=str
)
def test_bad_settings(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        LoopSettings(**wrong)


def test_the_learning_rate() -> None:
    settings = LoopSettings(steps=100, lr=0.1, warmup=10)
    rates = [settings.rate(i) for i in range(100)]
    assert rates[0] == pytest.approx(0.01)
    assert max(rates) == rates[9] == pytest.approx(0.1)
    assert rates[9:] == sorted(rates[9:], reverse=True)
    assert 0.001 <= rates[-1] < 0.0015
    assert LoopSettings(steps=5, warmup=0).rate(0) == pytest.approx(1e-3)


WORKER = """
import sys, warnings
sys.path.insert(0, sys.argv[1])
warnings.simplefilter("ignore")
import test_loop
test_loop.run(test_loop.Path(sys.argv[2]), dropout=0.0)
"""


def in_processes(count: int, folder: Path, port: int) -> None:
    """Run the loop in `count` processes under gloo, as `accelerate launch` or torchrun start them."""
    started = []
    for rank in range(count):
        env = {
            **os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true",
            "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(count), "RANK": str(rank),
            "LOCAL_RANK": str(rank), "LOCAL_WORLD_SIZE": str(count),
        }  # fmt: skip
        command = [sys.executable, "-c", WORKER, str(Path(__file__).parent), str(folder)]
        started.append(
            subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        )
    for process in started:
        _, said = process.communicate(timeout=300)
        assert process.returncode == 0, said[-2000:]


def free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.slow
def test_two_processes_give_the_losses_of_one(tmp_path: Path) -> None:
    alone = run(tmp_path / "one", dropout=0.0)  # each process would draw dropout for its own rows
    in_processes(2, tmp_path / "two", free_port())
    both = [json.loads(line) for line in (tmp_path / "two" / LOG).read_text().splitlines()]
    assert len(both) == len(alone) == 12
    for a, b in zip(alone, both, strict=True):
        assert a["loss"] == pytest.approx(b["loss"], rel=1e-5)
        assert a["norm"] == pytest.approx(b["norm"], rel=1e-4)
        assert (a["tokens"], a["step"]) == (b["tokens"], b["step"])
        assert b["rows"] == 2.0, "each process had half of the rows"
