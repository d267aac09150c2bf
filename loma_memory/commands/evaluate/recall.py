"""`loma-memory eval recall`: facts told some turns ago, asked for in plain words."""

from __future__ import annotations

import argparse
from typing import Any

from loma_memory.commands.common import say
from loma_memory.commands.evaluate.common import check, declare, deliver, progress, readers

_QUESTIONS = 100


def add(tables: Any) -> None:
    """Declare the table."""
    to = declare(
        tables,
        "recall",
        "facts told some turns ago, asked for in plain words",
        _run,
        files="where to plant facts (default: bundled talk)",
        nargs="*",
        limit=f"questions (default: {_QUESTIONS})",
        plot="draw right answers by distance",
    )
    to.add_argument(
        "--turns",
        type=int,
        nargs="+",
        default=[10],
        metavar="N",
        help="other turns between telling and asking; several give a row each",
    )


def _run(args: argparse.Namespace) -> int:
    check(args, turns=0)
    from loma_memory.data import read_dialogues
    from loma_memory.evaluation import recall, talk

    dialogues = read_dialogues(args.files) if args.files else talk.dialogues()
    results = [
        recall.evaluate(
            r,
            dialogues,
            turns=turns,
            limit=args.limit or _QUESTIONS,
            batch=args.batch,
            seed=args.seed,
            progress=progress(),
        )
        for r in readers(args)
        for turns in args.turns
    ]
    for result in results:
        say(f"{result['method']}, {result['turns']} turns between: {result['generated']}")
    deliver(args, results)
    if args.plot:
        from loma_memory.evaluation.plot import plot_recall

        plot_recall(results, args.plot)
    return 0
