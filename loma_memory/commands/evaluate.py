"""`loma-memory eval dialogue|recall`: measure on conversation files."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from typing import Any

from loma_memory.commands.common import add_model, print_json, say, set_threads
from loma_memory.errors import UsageError


def add(commands: Any) -> None:
    """Declare the command and its tables."""
    top = commands.add_parser("eval", help="measure memory on conversation files")
    tables = top.add_subparsers(dest="table", metavar="TABLE", required=True)
    dialogue = tables.add_parser("dialogue", help="next-token loss and KL with memory, full context and none")
    recall = tables.add_parser("recall", help="facts told some turns ago, asked for in plain words")
    dialogue.add_argument(
        "files", nargs="+", metavar="FILE", help="conversations, JSON lines, plain or gzipped"
    )
    dialogue.add_argument("--plot", metavar="FILE", help="draw the result by turn")
    dialogue.add_argument("--codec", default="raw", help="how memory is stored: raw (bit-exact), int8, int4")
    dialogue.set_defaults(run=_dialogue, limit_default=None)
    recall.add_argument(
        "files", nargs="*", metavar="FILE", help="where to plant facts (default: bundled talk)"
    )
    recall.add_argument("--turns", type=int, default=10, help="other turns between telling and asking")
    recall.set_defaults(run=_recall, limit_default=100)
    for to in (dialogue, recall):
        add_model(to)
        to.add_argument("--method", action="append", metavar="M", help="repeatable (default: ccm-concat)")
        to.add_argument("--limit", type=int, help="conversations of each file, or questions")
        to.add_argument("--batch", type=int, default=16, help="conversations read together")
        to.add_argument("--seed", type=int, default=0)
        to.add_argument("--json", metavar="OUT", help="write the result here instead of printing it")


def _check(args: argparse.Namespace) -> None:
    for name, least in (("limit", 1), ("batch", 1), ("turns", 0)):
        value = getattr(args, name, None)
        if value is not None and value < least:
            raise UsageError(f"--{name} must be at least {least}, got {value}")
    set_threads(args.threads)


def _readers(args: argparse.Namespace) -> list[Any]:
    """A reader for each method asked for; methods without an adapter share the plain model."""
    from loma_memory.engine.aliases import DEFAULT_MODEL
    from loma_memory.engine.engine import Engine

    model = args.model or DEFAULT_MODEL
    made = []
    for name in args.method or [None]:
        engine = Engine.load(
            model,
            adapter=args.adapter,
            method_name=name,
            ratio=args.ratio,
            device=args.device,
            dtype=args.dtype,
            progress=say,
        )
        made.append(engine.reader)
    return made


def _dialogue(args: argparse.Namespace) -> int:
    _check(args)
    from loma_memory.data import read_dialogues
    from loma_memory.memory.codec import check_codec

    check_codec(args.codec)
    dialogues = read_dialogues(args.files, args.limit)
    from loma_memory.evaluation import dialogue

    results = [
        dialogue.evaluate(
            r, dialogues, batch=args.batch, seed=args.seed, codec=args.codec, progress=_progress()
        )
        for r in _readers(args)
    ]
    for result in results:
        say(_summary(result))
    print_json(results[0] if len(results) == 1 else results, args.json)
    if args.plot:
        from loma_memory.evaluation.plot import plot_dialogue

        plot_dialogue(results, args.plot)
    return 0


def _recall(args: argparse.Namespace) -> int:
    _check(args)
    from loma_memory.data import read_dialogues
    from loma_memory.evaluation import recall, talk

    dialogues = read_dialogues(args.files) if args.files else talk.dialogues()
    results = [
        recall.evaluate(
            r,
            dialogues,
            turns=args.turns,
            limit=args.limit or args.limit_default,
            batch=args.batch,
            seed=args.seed,
            progress=_progress(),
        )
        for r in _readers(args)
    ]
    for result in results:
        say(f"{result['method']}, {args.turns} turns between: {result['generated']}")
    print_json(results[0] if len(results) == 1 else results, args.json)
    return 0


def _summary(result: dict[str, Any]) -> str:
    low, high = result["gap_recovered_ci95"]
    return (
        f"{result['method']}: gap recovered {result['gap_recovered']} (95 % {low} to {high}), "
        f"KL recovered {result['kl_recovered']}, {result['slots_per_turn']} slots a turn, "
        f"{result['seconds']} s"
    )


def _progress() -> Callable[[int, int], None]:
    began = time.monotonic()

    def show(done: int, of: int) -> None:
        left = (time.monotonic() - began) / done * (of - done)
        end = "\n" if done == of or not sys.stderr.isatty() else "\r"
        print(f"{done} of {of} conversations, {left:.0f} s left  ", end=end, file=sys.stderr, flush=True)

    return show
