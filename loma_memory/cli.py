"""The command line: parses, calls, prints. Each command is a file in `loma_memory.commands`."""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Sequence

from loma_memory import __version__
from loma_memory.commands import chat, evaluate, sessions, train
from loma_memory.errors import LomaError


def parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    top = argparse.ArgumentParser(
        prog="loma-memory",
        description="Chatbots that remember: compressed key/value memory for local models, saved in SQL.",
    )
    top.add_argument("--version", action="version", version=f"loma-memory {__version__}")
    top.add_argument("--debug", action="store_true", help="show tracebacks")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for module in (chat, sessions, train, evaluate):
        module.add(commands)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Returns:
        The exit code: 0, 2 where the words given are at fault, 1 where something else is.
    """
    # A person at a terminal wants the answer, not the loading bars of the libraries below.
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("HF_HUB_VERBOSITY", "critical")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")
    args = parser().parse_args(arguments)
    try:
        return int(args.run(args) or 0)
    except LomaError as error:
        if args.debug:
            raise
        print(f"loma-memory: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader went away (`| head`): nothing is wrong, and nobody is there to be told.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


if __name__ == "__main__":
    sys.exit(main())
