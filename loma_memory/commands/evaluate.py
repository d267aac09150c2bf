"""`loma-memory eval dialogue|recall|repetition|table`: measure on conversation files."""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loma_memory.commands.common import add_model, print_json, say, set_threads
from loma_memory.errors import StoreError, UsageError

if TYPE_CHECKING:
    from loma_memory.engine.engine import Engine


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
    repetition = tables.add_parser("repetition", help="text restated from its slots alone, token by token")
    repetition.add_argument(
        "files", nargs="+", metavar="FILE", help="texts, problems or conversations, JSON lines"
    )
    repetition.add_argument("--segment", type=int, default=200, metavar="TOKENS", help="default: 200")
    repetition.add_argument("--codec", default="raw", help="how memory is stored: raw, int8, int4")
    repetition.set_defaults(run=_repetition, limit_default=None)
    table = tables.add_parser("table", help="methods side by side, as Markdown and as a plot")
    table.add_argument("files", nargs="+", metavar="FILE", help="conversations, JSON lines, plain or gzipped")
    table.add_argument("--out", required=True, metavar="NAME", help="writes NAME.md and NAME.png")
    table.add_argument(
        "--trained", action="append", default=[], metavar="METHOD=FOLDER", help="an adapter; repeatable"
    )
    table.set_defaults(run=_table, limit_default=None)
    for to in (dialogue, recall, repetition, table):
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


def _engine(args: argparse.Namespace, name: str | None, adapter: str | None) -> Engine:
    from loma_memory.engine.aliases import DEFAULT_MODEL
    from loma_memory.engine.engine import Engine

    return Engine.load(
        args.model or DEFAULT_MODEL,
        adapter=adapter,
        method_name=name,
        ratio=args.ratio,
        device=args.device,
        dtype=args.dtype,
        progress=say,
    )


def _readers(args: argparse.Namespace) -> list[Any]:
    """A reader for each method asked for."""
    return [_engine(args, name, args.adapter).reader for name in args.method or [None]]


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


def _repetition(args: argparse.Namespace) -> int:
    _check(args)
    from loma_memory.data import read_dialogues
    from loma_memory.evaluation import repetition
    from loma_memory.memory.codec import check_codec

    check_codec(args.codec)
    documents = read_dialogues(args.files)
    names = args.method or ["loma"]
    results = [
        repetition.evaluate(
            _engine(args, name, args.adapter).reader,
            documents,
            segment=args.segment,
            limit=args.limit,
            batch=args.batch,
            seed=args.seed,
            codec=args.codec,
            progress=_progress("segments"),
        )
        for name in names
    ]
    for result in results:
        say(
            f"{result['method']}, {result['mean_ratio']} tokens a slot: {result['token_accuracy']} of tokens "
            f"and {result['segment_accuracy']} of {result['segments']} segments are right"
        )
    print_json(results[0] if len(results) == 1 else results, args.json)
    return 0


def _table(args: argparse.Namespace) -> int:
    _check(args)
    from loma_memory.data import read_dialogues
    from loma_memory.evaluation import table
    from loma_memory.evaluation.plot import plot_table
    from loma_memory.methods import METHODS

    trained = {}
    for pair in args.trained:
        name, _, folder = pair.partition("=")
        if name not in METHODS or not folder:
            raise UsageError(f"--trained takes METHOD=FOLDER with a method's name, got {pair!r}")
        trained[name] = folder
    names = args.method or [n for n, m in METHODS.items() if not m.needs_adapter or n in trained]
    dialogues = read_dialogues(args.files, args.limit)

    def entrant(name: str) -> table.Entrant:
        engine = _engine(args, name, trained.get(name, args.adapter if METHODS[name].needs_adapter else None))
        return table.Entrant(engine.reader, str(engine.settings["adapter"]))

    for name in names:
        if name not in METHODS:
            raise UsageError(f"unknown method {name!r}: it must be one of {', '.join(METHODS)}")
    rows = table.compare(
        [partial(entrant, n) for n in names],
        dialogues,
        batch=args.batch,
        seed=args.seed,
        report=say,
        progress=_progress(),
    )
    command = shlex.join(["loma-memory", *sys.argv[1:]])
    try:
        Path(f"{args.out}.md").write_text(table.markdown(rows, command), encoding="utf-8")
        plot_table(rows, f"{args.out}.png")
    except OSError as error:
        raise StoreError(f"cannot write {args.out}.md: {error.strerror or error}") from None
    if args.json:
        print_json(rows, args.json)
    say(f"The table is in {args.out}.md, the plot in {args.out}.png.")
    return 0


def _summary(result: dict[str, Any]) -> str:
    low, high = result["gap_recovered_ci95"]
    return (
        f"{result['method']}: gap recovered {result['gap_recovered']} (95 % {low} to {high}), "
        f"KL recovered {result['kl_recovered']}, {result['slots_per_turn']} slots a turn, "
        f"{result['seconds']} s"
    )


def _progress(what: str = "conversations") -> Callable[[int, int], None]:
    began = time.monotonic()

    def show(done: int, of: int) -> None:
        left = (time.monotonic() - began) / done * (of - done)
        end = "\n" if done == of or not sys.stderr.isatty() else "\r"
        print(f"{done} of {of} {what}, {left:.0f} s left  ", end=end, file=sys.stderr, flush=True)

    return show
