"""Results as pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
        axes.set_xlabel("keys and values kept, KiB a turn")
        axes.set_ylabel("share of the gap recovered")
        axes.set_xscale("symlog", linthresh=32)
        names = [(row["method"], row["kv_bytes_per_turn"] / 1024, row["gap_recovered"]) for row in rows]
        _label(axes, names)


_PLACES = (((7, 3), "left"), ((7, -10), "left"), ((-7, 3), "right"), ((-7, -10), "right"), ((7, -22), "left"))


def _label(axes: Any, names: Sequence[tuple[str, float, float]]) -> None:
    """Names beside points, each at the first of a few places where it covers no other name."""
    taken: list[Any] = []
    axes.figure.canvas.draw()  # before that, nothing has a place
    for name, x, y in names:
        for offset, side in _PLACES:
            text = axes.annotate(name, (x, y), textcoords="offset points", xytext=offset, ha=side)
            box = text.get_window_extent()
            if not any(box.overlaps(other) for other in taken) or (offset, side) == _PLACES[-1]:
                taken.append(box)
                break
            text.remove()


def plot_recall(results: Sequence[dict[str, Any]], file: str | Path) -> None:
    """Right answers by the number of turns between telling and asking.

    Raises:
        UsageError: matplotlib is not installed.
    """
    with picture(file) as axes:
        for method in dict.fromkeys(r["method"] for r in results):
            rows = sorted((r for r in results if r["method"] == method), key=lambda r: int(r["turns"]))
            for name in rows[0]["generated"] if method == results[0]["method"] else ("memory",):
                label = method if name == "memory" else name
                turns = [r["turns"] for r in rows]
                axes.plot(turns, [r["generated"][name] for r in rows], marker="o", label=label)
        axes.set_xlabel("turns between telling and asking")
        axes.set_ylabel("share of right answers")
        axes.set_ylim(0, 1)
        axes.legend()


def plot_icl(results: Sequence[dict[str, Any]], file: str | Path) -> None:
    """Accuracy by the number of examples.

    Raises:
        UsageError: matplotlib is not installed.
    """
    with picture(file) as axes:
        for result in results:
            demos = [r["demos"] for r in result["by_demos"]]
            for name in ("full", "none", "memory") if result is results[0] else ("memory",):
                label = result["method"] if name == "memory" else name
                axes.plot(demos, [r["accuracy"][name] for r in result["by_demos"]], marker="o", label=label)
        axes.set_xlabel("examples")
        axes.set_ylabel("accuracy")
        axes.set_ylim(0, 1)
        axes.legend()


def plot_stream(result: dict[str, Any], file: str | Path) -> None:
    """Perplexity of each text with each method.

    Raises:
        UsageError: matplotlib is not installed.
    """
    with picture(file) as axes:
        rows = result["by_text"]
        for name in result["perplexity"]:
            axes.plot(range(1, len(rows) + 1), [r["perplexity"][name] for r in rows], marker="o", label=name)
        axes.set_xlabel("text")
        axes.set_ylabel(f"perplexity at {result['kv']} keys and values")
        axes.legend()


def plot_shares(groups: Mapping[str, Mapping[str, float | None]], what: str, file: str | Path) -> None:
    """Shares side by side: for each group one bar a name; what was not measured has none.

    Args:
        groups: values by name, of each group; the names of the first are those of all.
        what: is on the axis.
        file: where to.

    Raises:
        UsageError: matplotlib is not installed.
    """
    with picture(file) as axes:
        names = list(next(iter(groups.values())))
        width = 0.8 / len(names)
        for n, name in enumerate(names):
            at = [g - 0.4 + (n + 0.5) * width for g in range(len(groups))]
            axes.bar(at, [group[name] or 0.0 for group in groups.values()], width, label=name)
        axes.set_xticks(range(len(groups)), list(groups))
        axes.set_ylabel(what)
        axes.set_ylim(0, 1)
        axes.legend()
