"""Results as pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from loma_memory.pictures import picture


def plot_dialogue(results: Sequence[dict[str, Any]], file: str | Path) -> None:
    """Next-token loss by turn: full context, none, and every method.

    Raises:
        UsageError: matplotlib is not installed.
    """
    with picture(file) as axes:
        turns = [row["turn"] for row in results[0]["by_turn"]]
        for name, colour in (("none", "0.6"), ("full", "black")):
            axes.plot(turns, [r["loss"][name] for r in results[0]["by_turn"]], color=colour, label=name)
        for result in results:
            label = f"{result['method']} {result['ratio'] or ''} ({result['gap_recovered']:.3f} of the gap)"
            axes.plot(turns, [r["loss"]["memory"] for r in result["by_turn"]], label=label)
        axes.set_xlabel("turn")
        axes.set_ylabel("next-token loss (nats)")
        axes.legend()


def plot_table(rows: Sequence[dict[str, Any]], file: str | Path) -> None:
    """Quality against bytes: the share of the gap that each method recovers, by what it keeps a turn.

    Raises:
        UsageError: matplotlib is not installed.
    """
    with picture(file) as axes:
        for row in rows:
            kept, middle = row["kv_bytes_per_turn"] / 1024, row["gap_recovered"]
            low, high = row["gap_recovered_ci95"]
            axes.errorbar(kept, middle, yerr=[[max(0, middle - low)], [max(0, high - middle)]], fmt="o")
            axes.annotate(row["method"], (kept, middle), textcoords="offset points", xytext=(6, 4))
        axes.set_xlabel("keys and values kept, KiB a turn")
        axes.set_ylabel("share of the gap recovered")
        axes.set_xscale("symlog")
