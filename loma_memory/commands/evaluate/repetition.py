"""`loma-memory eval repetition`: text restated from its slots alone, token by token."""

from __future__ import annotations

import argparse
from typing import Any

from loma_memory.commands.common import say
from loma_memory.commands.evaluate.common import check, declare, deliver, progress, readers


def add(tables: Any) -> None:
    """Declare the table."""
    to = declare(
        tables,
        "repetition",
        "text restated from its slots alone, token by token",
        _run,
        files="texts, problems or conversations, JSON lines",
        limit="segments",
        plot="draw the shares of tokens and segments",
    )
    to.add_argument("--segment", type=int, default=200, metavar="TOKENS", help="default: 200")
    to.add_argument(
        "--check",
        action="store_true",
        help="read what was restated again, and mend it where its slots differ (seconds a segment)",
    )
    to.add_argument("--codec", default="raw", help="how memory is stored: raw, int8, int4")


def _run(args: argparse.Namespace) -> int:
    check(args, segment=1)
    from loma_memory.data import read_dialogues
    from loma_memory.evaluation import repetition
    from loma_memory.memory.codec import check_codec

    check_codec(args.codec)
    documents = read_dialogues(args.files)
    results = [
        repetition.evaluate(
            r,
            documents,
            segment=args.segment,
            limit=args.limit,
            batch=args.batch,
            seed=args.seed,
            codec=args.codec,
            check=args.check,
            progress=progress("segments"),
        )
        for r in readers(args, "loma")
    ]
    for result in results:
        say(
            f"{result['method']}, {result['mean_ratio']} tokens a slot: {result['token_accuracy']} of tokens "
            f"and {result['segment_accuracy']} of {result['segments']} segments are right"
        )
    deliver(args, results)
    if args.plot:
        from loma_memory.evaluation.plot import plot_shares

        shares = {
            f"{r['method']}, {r['mean_ratio']}:1": {
                "tokens": r["token_accuracy"],
                "segments": r["segment_accuracy"],
            }
            for r in results
        }
        plot_shares(shares, f"share restated of {args.segment} tokens", args.plot)
    return 0
