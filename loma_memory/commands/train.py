"""`loma-memory train text|memory`: train the adapters on conversation files."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from loma_memory.commands.common import add_machine, say, set_threads
from loma_memory.errors import UsageError


def add(commands: Any) -> None:
    """Declare the command and its two kinds."""
    top = commands.add_parser("train", help="train a text adapter or a memory adapter")
    kinds = top.add_subparsers(dest="kind", metavar="KIND", required=True)
    text = kinds.add_parser("text", help="ordinary LoRA that answers from what it was told (merged at load)")
    memory = kinds.add_parser("memory", help="conditional LoRA that writes turns into memory")
    for to, steps, rate, rows in (
        (text, 100, 4e-4, (288, 416)),
        (memory, 600, 1e-3, (256, 448, 704)),
    ):
        to.add_argument(
            "files", nargs="+", metavar="FILE", help="conversations, JSON lines, plain or gzipped"
        )
        to.add_argument("--out", required=True, metavar="FOLDER", help="gets adapter, log and checkpoint")
        to.add_argument("--model", default="smollm2-135m-instruct", help="base model (default: %(default)s)")
        to.add_argument("--steps", type=int, default=steps)
        to.add_argument("--lr", type=float, default=rate)
        to.add_argument("--seed", type=int, default=1)
        to.add_argument(
            "--tokens", type=int, default=2816, help="tokens of text a step (default: %(default)s)"
        )
        to.add_argument("--lengths", type=int, nargs="+", default=list(rows), help="row lengths in tokens")
        to.add_argument("--save-every", type=int, default=40, help="steps between checkpoints")
        to.add_argument("--fresh", action="store_true", help="begin anew instead of resuming")
        to.add_argument(
            "--init", metavar="FOLDER", help="an adapter to go on from, instead of an untrained one"
        )
        to.add_argument("--plot", metavar="FILE", help="draw the loss when done")
        add_machine(to)
    text.add_argument("--rank", type=int, default=16)
    text.set_defaults(run=_text)
    memory.add_argument("--rank", type=int, default=32)
    memory.add_argument(
        "--method",
        nargs="+",
        default=["ccm-concat"],
        metavar="METHOD",
        help="what to train for (default: ccm-concat); several that read the same adapter take turns",
    )
    memory.add_argument("--ratios", type=float, nargs="+", default=[8, 8, 8, 4, 6, 12, 16, 16])
    memory.add_argument(
        "--text-adapter", metavar="FOLDER", help="ordinary LoRA to merge into the model first"
    )
    memory.add_argument("--planted", type=float, default=0.3, help="share of rows with planted facts")
    memory.add_argument(
        "--quoted", type=float, default=0.0, help="share of rows in which messages are repeated word for word"
    )
    memory.add_argument(
        "--own",
        metavar="FILE",
        help="answers.json of train text: half of the planted facts stand among the model's own answers",
    )
    memory.add_argument(
        "--labels",
        type=float,
        default=0.0,
        help="share of the true next token, beside the teacher, in what is learned (default: none)",
    )
    memory.add_argument(
        "--restate-only",
        action="store_true",
        help="loma: learn to restate the first turn of every row, and nothing else",
    )
    memory.add_argument(
        "--zone",
        type=int,
        default=0,
        help="take the files as running text without roles, in zones of so many tokens, as eval stream does",
    )
    memory.add_argument("--text", type=int, default=112, help="tokens of running text that stay text")
    memory.add_argument("--slots", type=int, default=32, help="of lococo's cache (default: %(default)s)")
    memory.add_argument(
        "--lora-rank",
        type=int,
        default=0,
        help="lococo: rank of a LoRA on text, trained along (default: none)",
    )
    memory.set_defaults(run=_memory)


def _prepare(args: argparse.Namespace) -> Path:
    set_threads(args.threads)
    if min(args.lengths) < 32:
        raise UsageError(f"--lengths must be at least 32 tokens, got {min(args.lengths)}")
    folder = Path(args.out)
    if args.fresh:
        for name in ("log.jsonl", "checkpoint.safetensors"):
            (folder / name).unlink(missing_ok=True)
    return folder


def _path(name: str | None) -> Path | None:
    return None if name is None else Path(name)


def _finish(args: argparse.Namespace, folder: Path) -> int:
    if args.plot:
        from loma_memory.training.plot import plot_loss

        plot_loss(folder, Path(args.plot))
    say(f"The adapter is in {folder / 'adapter'}.")
    return 0


def _text(args: argparse.Namespace) -> int:
    folder = _prepare(args)
    from loma_memory.engine.models import load
    from loma_memory.training.batches import Mixture
    from loma_memory.training.loop import LoopSettings
    from loma_memory.training.runs import TextRun, train_text

    loop = LoopSettings(args.steps, args.lr, save_every=args.save_every, seed=args.seed)
    mixture = Mixture(tuple(args.lengths), args.tokens, planted=0.5, own=0.28, curriculum=20)
    loaded = load(args.model, device=args.device, dtype=args.dtype, progress=say)
    run = TextRun(loop, mixture, rank=args.rank, init=_path(args.init))
    train_text(loaded, args.files, run, folder, say)
    return _finish(args, folder)


def _memory(args: argparse.Namespace) -> int:
    folder = _prepare(args)
    from loma_memory.engine.models import load
    from loma_memory.training.batches import Mixture
    from loma_memory.training.loop import LoopSettings
    from loma_memory.training.runs import MemoryRun, train_memory

    loop = LoopSettings(args.steps, args.lr, save_every=args.save_every, seed=args.seed)
    if args.zone and (args.zone < 2 or args.text < args.zone or args.text % args.zone):
        raise UsageError(
            f"--zone must be at least 2 tokens and --text whole zones, got {args.zone} and {args.text}"
        )
    mixture = Mixture(
        tuple(args.lengths),
        args.tokens,
        planted=args.planted,
        own=0.06 if args.own else 0.0,
        quoted=args.quoted,
        zone=args.zone,
        text=args.text,
        curriculum=45,
    )
    run = MemoryRun(
        loop,
        mixture,
        tuple(args.method),
        tuple(args.ratios),
        args.rank,
        slots=args.slots,
        lora_rank=args.lora_rank,
        labels=args.labels,
        own=_path(args.own),
        restate_only=args.restate_only,
        init=_path(args.init),
    )
    loaded = load(
        args.model, device=args.device, dtype=args.dtype, text_adapter=args.text_adapter, progress=say
    )
    train_memory(loaded, args.files, run, folder, say)
    return _finish(args, folder)
