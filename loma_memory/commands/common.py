"""Arguments and small things that several commands share."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loma_memory.errors import StoreError, UsageError

if TYPE_CHECKING:
    from loma_memory.chat import Chatbot
    from loma_memory.store import Store

STORE = "sqlite:///chats.db"


def add_model(to: argparse.ArgumentParser) -> None:
    """Arguments that choose a model and a method."""
    to.add_argument("--model", help="alias, folder or Hugging Face id (default: smollm2-135m-loma)")
    to.add_argument("--adapter", metavar="FOLDER|ID", help="memory adapter (default: the bundled one)")
    to.add_argument("--ratio", type=float, help="tokens of text per slot of memory (default: 8)")
    add_machine(to)


def add_machine(to: argparse.ArgumentParser) -> None:
    """Arguments that say what to run on."""
    to.add_argument("--device", help="cpu, cuda or mps (default: the best there is)")
    to.add_argument("--dtype", help="float32, bfloat16 or float16 (default: what the device computes in)")
    to.add_argument("--threads", type=int, help="processor threads (default: all cores)")


def add_store(to: argparse.ArgumentParser) -> None:
    """Arguments that choose a database."""
    to.add_argument("--store", default=STORE, metavar="URL", help=f"database (default: {STORE})")
    to.add_argument("--namespace", default="", help="whose sessions (default: the unnamed namespace)")


def open_bot(args: argparse.Namespace, store: Store, **more: Any) -> Chatbot:
    """The chatbot that the arguments of `add_model` and `add_store` describe, on an open store."""
    set_threads(args.threads)
    from loma_memory.chat import Chatbot
    from loma_memory.engine.aliases import DEFAULT_MODEL

    return Chatbot(
        args.model or DEFAULT_MODEL,
        store=store,
        namespace=args.namespace,
        adapter=args.adapter,
        method=args.method,
        ratio=args.ratio,
        device=args.device,
        dtype=args.dtype,
        codec=args.codec,
        progress=say,
        **more,
    )


def set_threads(count: int | None) -> None:
    """Set torch's threads.

    Raises:
        UsageError: below 1.
    """
    if count is None:
        return
    if count < 1:
        raise UsageError(f"--threads must be at least 1, got {count}")
    import torch

    torch.set_num_threads(count)


def say(text: str) -> None:
    """Tell the person something that is not the command's output."""
    print(text, file=sys.stderr, flush=True)


def print_json(value: Any, file: str | None = None) -> None:
    """Print a value as JSON, or write it to a file.

    Raises:
        StoreError: the file cannot be written.
    """
    text = json.dumps(value, ensure_ascii=False, indent=2)
    if file is None:
        print(text)
        return
    try:
        Path(file).write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise StoreError(f"cannot write {file}: {error.strerror or error}") from None


def table(rows: list[list[str]], header: list[str]) -> str:
    """Rows as plain aligned columns."""
    widths = [max(len(r[i]) for r in [header, *rows]) for i in range(len(header))]
    lines = [
        "  ".join(cell.ljust(w) for cell, w in zip(r, widths, strict=True)).rstrip() for r in [header, *rows]
    ]
    return "\n".join(lines)
