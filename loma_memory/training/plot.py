"""The loss of a training as a picture."""

from __future__ import annotations

import json
from pathlib import Path

from loma_memory.errors import DataError
from loma_memory.pictures import picture
from loma_memory.training.loop import LOG


def plot_loss(folder: Path, file: Path) -> None:
    """Draw the loss over tokens of text from a training's log.

    Raises:
        UsageError: matplotlib is not installed.
        DataError: the folder holds no log.
    """
    try:
        lines = (folder / LOG).read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise DataError(f"cannot read {folder / LOG}: {error.strerror or error}") from None
    log = [json.loads(line) for line in lines]
    tokens = [e["tokens"] / 1000 for e in log]
    loss = [e["loss"] for e in log]
    wide = max(1, len(loss) // 15)
    smooth = [
        sum(loss[max(0, i - wide) : i + 1]) / len(loss[max(0, i - wide) : i + 1]) for i in range(len(loss))
    ]
    with picture(file, height=4) as axes:
        axes.plot(tokens, loss, color="0.8", linewidth=0.8)
        axes.plot(tokens, smooth, color="tab:blue")
        axes.set_xlabel("thousand tokens of text")
        axes.set_ylabel("loss (nats a position)")
        axes.set_yscale("log")
