"""`loma-memory eval dialogue`: next-token loss and KL with memory, full context and none."""

from __future__ import annotations

import argparse
from typing import Any

from loma_memory.commands.common import say
from loma_memory.commands.evaluate.common import check, declare, deliver, progress, readers


def add(tables: Any) -> None:
    """Declare the table."""
    what = "next-token loss and KL with memory, full context and none"
    to = declare(tables, "dialogue", what, _run, plot="draw the result by turn")
    to.add_argument("--codec", default="raw", help="how memory is stored: raw (bit-exact), int8, int4")


def _run(args: argparse.Namespace) -> int:
    check(args)
    from loma_memory.data import read_dialogues
    from loma_memory.evaluation import dialogue
    from loma_memory.memory.codec import check_codec

    check_codec(args.codec)
    dialogues = read_dialogues(args.files, args.limit)
    results = [
        dialogue.evaluate(
            r, dialogues, batch=args.batch, seed=args.seed, codec=args.codec, progress=progress()
        )
        for r in readers(args)
    ]
    for result in results:
        say(_summary(result))
    deliver(args, results)
    if args.plot:
        from loma_memory.evaluation.plot import plot_dialogue

        plot_dialogue(results, args.plot)
    return 0


def _summary(result: dict[str, Any]) -> str:
    low, high = result["gap_recovered_ci95"]
    return (
        f"{result['method']}: gap recovered {result['gap_recovered']} (95 % {low} to {high}), "
        f"KL recovered {result['kl_recovered']}, {result['slots_per_turn']} slots a turn, "
        f"{result['seconds']} s"
    )
