"""`loma-memory eval gsm8k`: mathematics solved with the reading zone compressed on the way."""

from __future__ import annotations

import argparse
import random
from typing import Any

from loma_memory.commands.common import say
from loma_memory.commands.evaluate.common import check, declare, deliver, progress, readers


def add(tables: Any) -> None:
    """Declare the table."""
    to = declare(
        tables,
        "gsm8k",
        "mathematics solved with the reading zone compressed on the way",
        _run,
        files="problems with worked answers, JSON lines",
        limit="problems, drawn by the seed",
        plot="draw the shares of problems solved",
    )
    to.add_argument("--zone", type=int, default=64, help="tokens of a reading zone (default: 64)")
    to.add_argument("--max-tokens", type=int, default=200, help="length of a solution (default: 200)")


def _run(args: argparse.Namespace) -> int:
    check(args, zone=2, max_tokens=1)
    from loma_memory.data import read_dialogues
    from loma_memory.evaluation import gsm8k

    problems = read_dialogues(args.files)
    random.Random(args.seed).shuffle(problems)
    results = [
        gsm8k.evaluate(
            r,
            problems[: args.limit],
            zone=args.zone,
            max_tokens=args.max_tokens,
            progress=progress("problems"),
        )
        for r in readers(args)
    ]
    for result in results:
        say(f"{result['method']}, zones of {result['zone']} tokens: {result['accuracy']}")
    deliver(args, results)
    if args.plot:
        from loma_memory.evaluation.plot import plot_shares

        plot_shares({r["method"]: r["accuracy"] for r in results}, "share of problems solved", args.plot)
    return 0
