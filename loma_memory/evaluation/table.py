"""All methods side by side: one Markdown table and one plot of quality against bytes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from loma_memory.data import Dialogue
from loma_memory.engine.reader import Reader
from loma_memory.evaluation import dialogue


@dataclass(frozen=True)
class Entrant:
    """A method as it enters the table.

    Attributes:
        reader: how to read with it.
        adapter: hash of its adapter, "" for none.
        trained_tokens: tokens of text that the adapter was trained on.
    """

    reader: Reader
    adapter: str
    trained_tokens: int = 0


def compare(
    entrants: Sequence[Callable[[], Entrant]],
    dialogues: Sequence[Dialogue],
    *,
    batch: int = 16,
    seed: int = 0,
    report: Callable[[str], None] = print,
    progress: Callable[[int, int], None] | None = None,
) -> list[dict[str, Any]]:
    """The result of `eval dialogue` for each method, with `adapter` and `trained_tokens` beside it.

    Methods on the same model share the passes of full context and of none.

    Args:
        entrants: made one after the other, so that one model at a time is in memory.
        dialogues: conversations, the same for all.
        batch: conversations read together.
        seed: of the bootstrap.
        report: told one line a method.
        progress: told how many conversations of a method are done.
    """
    rows = []
    known: dict[str, dialogue.Baselines] = {}
    for enter in entrants:
        entrant = enter()
        row = dialogue.evaluate(
            entrant.reader,
            dialogues,
            batch=batch,
            seed=seed,
            baselines=known.setdefault(entrant.reader.loaded.digest, {}),
            progress=progress,
        )
        row["adapter"] = entrant.adapter
        row["trained_tokens"] = entrant.trained_tokens
        rows.append(row)
        report(f"{row['method']}: gap recovered {row['gap_recovered']}, {row['slots_per_turn']} slots a turn")
    return rows


def markdown(rows: Sequence[dict[str, Any]], command: str, seed: int = 0) -> str:
    """The table as a document: best first, with the command that made it.

    Args:
        rows: what `compare` returned.
        command: the command line, told as it is.
        seed: of the bootstrap.
    """
    first = rows[0]
    lines = [
        "# Methods compared",
        "",
        f"`{command}`",
        "",
        f"{first['conversations']} conversations, {first['tokens']} predicted tokens. Next-token loss with "
        f"full context {first['loss']['full']}, with none {first['loss']['none']}. Seed {seed}. "
        "Gap and KL recovered as in [evaluation.md](../evaluation.md).",
        "",
        "| method | gap recovered (95 %) | KL recovered | loss | slots a turn | KiB a turn | adapter "
        "| trained on |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in sorted(rows, key=lambda r: -r["gap_recovered"]):
        low, high = row["gap_recovered_ci95"]
        lines.append(
            f"| {row['method']} | {row['gap_recovered']:.3f} ({low:.3f} to {high:.3f}) "
            f"| {row['kl_recovered']:.3f} | {row['loss']['memory']:.3f} | {row['slots_per_turn']} "
            f"| {row['kv_bytes_per_turn'] / 1024:.1f} | {row['adapter'][:12] or 'none'} "
            f"| {_tokens(row['trained_tokens'])} |"
        )
    return "\n".join([*lines, ""])


def _tokens(count: int) -> str:
    return f"{count / 1e6:.2f} M tokens" if count else ""
