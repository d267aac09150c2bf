"""`loma-memory eval stream`: perplexity of long texts at equal keys and values."""

from __future__ import annotations

import argparse
from typing import Any

from loma_memory.commands.common import print_json, say
from loma_memory.commands.evaluate.common import add_trained, check, declare, engine, progress, trained
from loma_memory.errors import UsageError


def add(tables: Any) -> None:
    """Declare the table."""
    to = declare(
        tables,
        "stream",
        "perplexity of long texts at equal keys and values",
        _run,
        files="texts, JSON lines, plain or gzipped",
        limit="texts of each file",
        plot="draw perplexity by text",
    )
    to.add_argument("--kv", type=int, default=160, metavar="N", help="keys and values (default: 160)")
    to.add_argument("--zone", type=int, default=16, help="tokens read at once (default: 16)")
    to.add_argument("--text", type=int, default=112, help="keys and values that are text (default: 112)")
    to.add_argument("--tokens", type=int, default=2048, help="tokens of each text (default: 2048)")
    add_trained(to, "lococo=FOLDER: its convolutions")


def _run(args: argparse.Namespace) -> int:
    check(args, zone=2, tokens=1)
    from loma_memory.data import read_dialogues
    from loma_memory.evaluation import stream

    folders = trained(args)
    if set(folders) - {"lococo"}:
        raise UsageError(f"--trained takes lococo=FOLDER here, got {args.trained}; memory's is --adapter")
    stream.contestants(args.kv, args.zone, args.text, args.ratio or 8.0)  # before a model is loaded
    texts = read_dialogues(args.files, args.limit)
    fused = engine(args, "lococo", folders["lococo"]).reader if folders else None
    result = stream.evaluate(
        engine(args, "ccm-stream", args.adapter).reader,
        texts,
        kv=args.kv,
        zone=args.zone,
        text=args.text,
        ratio=args.ratio or 8.0,
        tokens=args.tokens,
        names=args.method or (),
        fused=fused,
        progress=progress("texts"),
    )
    say(f"{result['texts']} texts at {args.kv} keys and values: {result['perplexity']}")
    print_json(result, args.json)
    if args.plot:
        from loma_memory.evaluation.plot import plot_stream

        plot_stream(result, args.plot)
    return 0
