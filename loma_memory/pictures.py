"""Drawing a plot into a file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from loma_memory.errors import UsageError


@contextmanager
def picture(file: str | Path, *, height: float = 4.5) -> Iterator[Any]:
    """The axes of a plot that is written to `file` at the end.

    Raises:
        UsageError: matplotlib is not installed.
    """
    try:
        import matplotlib as mpl
    except ImportError:
        raise UsageError("plots need matplotlib: pip install 'loma-memory[train]'") from None
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7, height))
    try:
        yield axes
        axes.grid(alpha=0.3)
        figure.tight_layout()
        figure.savefig(file, dpi=120)
    finally:
        plt.close(figure)
