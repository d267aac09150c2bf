"""`loma-memory eval table`: methods side by side, as Markdown and as a plot."""

from __future__ import annotations

import argparse
import shlex
import sys
from functools import partial
from pathlib import Path
from typing import Any

from loma_memory.commands.common import print_json, say
from loma_memory.commands.evaluate.common import add_trained, check, declare, engine, progress, trained
from loma_memory.errors import StoreError, UsageError


def add(tables: Any) -> None:
    """Declare the table."""
    to = declare(tables, "table", "methods side by side, as Markdown and as a plot", _run)
    to.add_argument("--out", required=True, metavar="NAME", help="writes NAME.md and NAME.png")
    add_trained(to, "METHOD=FOLDER: an adapter; repeatable")


def _run(args: argparse.Namespace) -> int:
    check(args)
    from loma_memory.adapter import AdapterSettings
    from loma_memory.adapter.bundled import memory_adapter
    from loma_memory.adapter.locate import locate
    from loma_memory.attention.layout import RETELL
    from loma_memory.data import read_dialogues
    from loma_memory.evaluation import table
    from loma_memory.evaluation.plot import plot_table
    from loma_memory.methods import METHODS

    folders = trained(args)
    free = [n for n, m in METHODS.items() if not (m.needs_adapter or m.needs_weights)]
    names = args.method or [
        n
        for n in METHODS
        if (n in free or METHODS[n].adapter_of in folders or n in folders)
        and METHODS[n].restates != RETELL  # its slots are those of `loma`
    ]
    dialogues = read_dialogues(args.files, args.limit)

    def folder(name: str) -> str | None:
        """The adapter of a method, or that of the method whose adapter it uses."""
        if name in free:
            return None
        return folders.get(name) or folders.get(METHODS[name].adapter_of or "") or args.adapter

    def entrant(name: str) -> table.Entrant:
        where = folder(name)
        made = engine(args, name, where)
        digest, tokens = str(made.settings["adapter"]), 0
        if digest:
            tokens = AdapterSettings.load(locate(where) if where else memory_adapter()).trained_tokens
        return table.Entrant(made.reader, digest, tokens)

    for name in names:
        if name not in METHODS:
            raise UsageError(f"unknown method {name!r}: it must be one of {', '.join(METHODS)}")
    rows = table.compare(
        [partial(entrant, n) for n in names],
        dialogues,
        batch=args.batch,
        seed=args.seed,
        report=say,
        progress=progress(),
    )
    command = shlex.join(["loma-memory", *sys.argv[1:]])
    try:
        Path(f"{args.out}.md").write_text(table.markdown(rows, command, args.seed), encoding="utf-8")
        plot_table(rows, f"{args.out}.png")
    except OSError as error:
        raise StoreError(f"cannot write {args.out}.md: {error.strerror or error}") from None
    if args.json:
        print_json(rows, args.json)
    say(f"The table is in {args.out}.md, the plot in {args.out}.png.")
    return 0
