"""`loma-memory eval ...`: measure memory on conversations, texts and tasks; a file for each table."""

from __future__ import annotations

from typing import Any

from loma_memory.commands.evaluate import dialogue, gsm8k, icl, qa, recall, repetition, stream, table


def add(commands: Any) -> None:
    """Declare the command and its tables."""
    top = commands.add_parser("eval", help="measure memory on conversation files")
    tables = top.add_subparsers(dest="table", metavar="TABLE", required=True)
    for module in (dialogue, recall, repetition, icl, qa, gsm8k, stream, table):
        module.add(tables)
