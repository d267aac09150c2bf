"""What the tables of `eval` share: arguments, engines, progress, and where results go."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from loma_memory.commands.common import add_model, print_json, set_threads
from loma_memory.errors import UsageError

if TYPE_CHECKING:
    from loma_memory.engine.engine import Engine
    from loma_memory.engine.reader import Reader


def declare(
    tables: Any,
    name: str,
    what: str,
    run: Callable[[argparse.Namespace], int],
    *,
    files: str = "conversations, JSON lines, plain or gzipped",
    nargs: str = "+",
    limit: str = "conversations of each file",
    plot: str | None = None,
) -> Any:
    """Declare a table with the arguments that all of them take."""
    to = tables.add_parser(name, help=what)
    to.add_argument("files", nargs=nargs, metavar="FILE", help=files)
    add_model(to)
    to.add_argument("--method", action="append", metavar="M", help="repeatable (default: ccm-concat)")
    to.add_argument("--limit", type=int, help=limit)
    to.add_argument("--batch", type=int, default=16, help="sequences read together")
    to.add_argument("--seed", type=int, default=0)
    to.add_argument("--json", metavar="OUT", help="write the result here instead of printing it")
    if plot:
        to.add_argument("--plot", metavar="FILE", help=plot)
    to.set_defaults(run=run)
    return to


def check(args: argparse.Namespace, **least: int) -> None:
    """Check the numbers of a table, and set threads.

    Args:
        args: what was given.
        **least: the least value of further arguments, each a number or a list of them.

    Raises:
        UsageError: a number that is too small.
    """
    for name, bound in {"limit": 1, "batch": 1, **least}.items():
        given = getattr(args, name, None)
        for value in given if isinstance(given, list) else [given]:
            if value is not None and value < bound:
                raise UsageError(f"--{name} must be at least {bound}, got {value}")
    set_threads(args.threads)


def add_trained(to: Any, what: str) -> None:
    """`--trained`: adapters of several methods."""
    to.add_argument("--trained", action="append", default=[], metavar="METHOD=FOLDER", help=what)


def trained(args: argparse.Namespace) -> dict[str, str]:
    """The folder of each method named with `--trained`.

    Raises:
        UsageError: not of that form, or no method's name.
    """
    from loma_memory.methods import METHODS

    folders = {}
    for pair in args.trained:
        name, _, folder = pair.partition("=")
        if name not in METHODS or not folder:
            raise UsageError(f"--trained takes METHOD=FOLDER with a method's name, got {pair!r}")
        folders[name] = folder
    return folders


def engine(args: argparse.Namespace, name: str | None, adapter: str | None) -> Engine:
    """An engine for a method."""
    from loma_memory.commands.common import say
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


def readers(args: argparse.Namespace, default: str | None = None) -> list[Reader]:
    """A reader for each method asked for."""
    return [engine(args, name, args.adapter).reader for name in args.method or [default]]


def deliver(args: argparse.Namespace, results: Sequence[dict[str, Any]]) -> None:
    """Print or write results: an object, or a list where there are several."""
    print_json(results[0] if len(results) == 1 else list(results), args.json)


def progress(what: str = "conversations") -> Callable[[int, int], None]:
    """Shows how many are done and how long it will take."""
    began = time.monotonic()

    def show(done: int, of: int) -> None:
        left = (time.monotonic() - began) / done * (of - done)
        end = "\n" if done == of or not sys.stderr.isatty() else "\r"
        print(f"{done} of {of} {what}, {left:.0f} s left  ", end=end, file=sys.stderr, flush=True)

    return show
