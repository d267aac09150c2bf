"""`loma-memory eval recall`: facts told some turns ago, asked for in plain words."""

from __future__ import annotations

import argparse
from typing import Any

from loma_memory.commands.common import say
from loma_memory.commands.evaluate.common import check, declare, deliver, progress, readers
from loma_memory.errors import UsageError

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
    to.add_argument(
        "--told",
        type=int,
        default=1,
        metavar="N",
        help="facts told in one sentence, of which one is asked for (default: 1)",
    )


def _run(args: argparse.Namespace) -> int:
    check(args, turns=0, told=1)
    from loma_memory.data import read_dialogues
    from loma_memory.evaluation import facts, recall, talk

    if args.told > len(facts.PROBES):
        raise UsageError(f"--told must be at most {len(facts.PROBES)}, the kinds of facts, got {args.told}")
    dialogues = read_dialogues(args.files) if args.files else talk.dialogues()
    results = [
        recall.evaluate(
            r,
            dialogues,
            turns=turns,
            told=args.told,
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
        if args.told > 1:
            say(f"taken for another fact of the same sentence: {result['mixed_up']}")
    deliver(args, results)
    if args.plot:
        from loma_memory.evaluation.plot import plot_recall

        plot_recall(results, args.plot)
    return 0
