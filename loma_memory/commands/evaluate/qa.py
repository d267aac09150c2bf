"""`loma-memory eval qa`: questions about very long conversations."""

from __future__ import annotations

import argparse
from typing import Any

from loma_memory.commands.common import say
from loma_memory.commands.evaluate.common import check, declare, deliver, progress, readers


def add(tables: Any) -> None:
    """Declare the table."""
    declare(
        tables,
        "qa",
        "questions about very long conversations",
        _run,
        files="conversations with questions, JSON lines",
        limit="questions of each conversation",
        plot="draw F1, over all and by category",
    )


def _run(args: argparse.Namespace) -> int:
    check(args)
    from loma_memory.evaluation import qa

    cases = qa.read_cases(args.files, args.limit, args.seed)
    results = [qa.evaluate(r, cases, batch=args.batch, progress=progress()) for r in readers(args)]
    for result in results:
        say(f"{result['method']}: F1 {result['f1']}, ranked {result['ranked']}")
        if result["full_fits"] < result["conversations"]:
            say(f"Full context fits {result['full_fits']} of {result['conversations']} conversations.")
    deliver(args, results)
    if args.plot:
        from loma_memory.evaluation.plot import plot_shares

        found = {
            ", ".join(filter(None, (r["method"], name))): row["f1"]
            for r in results
            for name, row in {"": r, **r["by_category"]}.items()
        }
        plot_shares(found, "F1", args.plot)
    return 0
