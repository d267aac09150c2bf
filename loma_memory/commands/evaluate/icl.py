"""`loma-memory eval icl`: tasks learned from examples that are in memory only."""

from __future__ import annotations

import argparse
from typing import Any

from loma_memory.commands.common import say
from loma_memory.commands.evaluate.common import check, declare, deliver, progress, readers


def add(tables: Any) -> None:
    """Declare the table."""
    to = declare(
        tables,
        "icl",
        "tasks learned from examples that are in memory, by number of examples",
        _run,
        files="tasks with examples and options, or conversations with personas, JSON lines",
        limit="tasks of each file",
        plot="draw accuracy by number of examples",
    )
    to.add_argument(
        "--demos", type=int, nargs="+", default=[1, 2, 4, 8, 16], metavar="N", help="numbers of examples"
    )


def _run(args: argparse.Namespace) -> int:
    check(args, demos=1)
    from loma_memory.evaluation import icl

    tasks = icl.read_tasks(args.files, args.limit, args.seed)
    results = [
        icl.evaluate(r, tasks, demos=args.demos, batch=args.batch, progress=progress("tasks"))
        for r in readers(args)
    ]
    for result in results:
        for row in result["by_demos"]:
            say(f"{result['method']}, {row['demos']} examples: {row['accuracy']}")
    deliver(args, results)
    if args.plot:
        from loma_memory.evaluation.plot import plot_icl

        plot_icl(results, args.plot)
    return 0
