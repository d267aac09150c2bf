"""`loma-memory sessions ...`: the everyday verbs over saved conversations."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loma_memory.commands.common import add_model, add_store, open_bot, print_json, say, table
from loma_memory.errors import StoreError, UsageError

if TYPE_CHECKING:
    from loma_memory.session import ChatSession
    from loma_memory.store import SessionHead, Store

Verb = Callable[[argparse.Namespace, "Store"], int]


def add(commands: Any) -> None:
    """Declare the command and its verbs."""
    top = commands.add_parser("sessions", help="list, show, search, fork, forget, export, ... conversations")
    verbs = top.add_subparsers(dest="verb", metavar="VERB", required=True)

    def verb(name: str, what: str, do: Verb, *, session: bool = False, model: bool = False) -> Any:
        to = verbs.add_parser(name, help=what, description=what[0].upper() + what[1:] + ".")
        if session:
            to.add_argument("session", help="name of the conversation")
        add_store(to)
        if model:
            add_model(to)
            to.add_argument("--method", help="how to remember (default: ccm-concat)")
            to.add_argument("--codec", default="raw", help="how memory is stored: raw, int8, int4")
        to.set_defaults(run=_opened(do))
        return to

    to = verb("list", "list conversations, the most recently used first", _list)
    to.add_argument("--like", help="only names that contain this")
    to.add_argument("--limit", type=int, default=50)
    to.add_argument("--offset", type=int, default=0)
    to.add_argument("--json", action="store_true")
    verb("show", "print a conversation", _show, session=True).add_argument("--json", action="store_true")
    to = verb("search", "find messages with all words of a query", _search)
    to.add_argument("query")
    to.add_argument("--limit", type=int, default=20)
    to.add_argument("--json", action="store_true")
    to = verb("stats", "sizes of a conversation, or of everything", _stats)
    to.add_argument("session", nargs="?")
    verb("fork", "begin a conversation from another's memory", _fork, session=True).add_argument("new_name")
    verbs.choices["fork"].add_argument("--turn", type=int, help="only its first turns")
    verb("rollback", "go back to the end of a turn", _rollback, session=True).add_argument("turn", type=int)
    verb("forget", "forget one turn", _forget, session=True, model=True).add_argument("turn", type=int)
    to = verb("edit", "change what was said in a turn", _edit, session=True, model=True)
    to.add_argument("turn", type=int)
    to.add_argument("text")
    to.add_argument("--reply", help="new reply (default: keep the old one)")
    verb("rebuild", "make memory anew from the transcript", _rebuild, session=True, model=True)
    verb("delete", "delete a conversation and erase what only it held", _delete, session=True)
    verb("erase", "erase every conversation of a namespace", _erase).add_argument(
        "--yes", action="store_true"
    )
    verb("export", "write a conversation to one file", _export, session=True).add_argument("file")
    to = verb("import", "read a conversation from such a file", _import)
    to.add_argument("file")
    to.add_argument("--name", help="name to give it (default: its own)")
    to = verb("expire", "delete conversations whose time has come, or set a time", _expire)
    to.add_argument("session", nargs="?", help="set the time of this conversation")
    to.add_argument("--after", metavar="TIME", help="such as 90s, 12h or 30d; 'never' removes it")
    verb("verify", "check every byte of the database", _verify)
    verb("gc", "delete what no conversation holds any more", _gc)
    verb("vacuum", "give free space back", _vacuum)


def _opened(do: Verb) -> Callable[[argparse.Namespace], int]:
    def run(args: argparse.Namespace) -> int:
        from loma_memory.store import Store

        with Store.open(args.store) as store:
            return do(args, store)

    return run


def _head(args: argparse.Namespace, store: Store) -> SessionHead:
    return store.session(args.session, args.namespace, create=False)


def _chat(args: argparse.Namespace, store: Store) -> ChatSession:
    _head(args, store)  # before a model is loaded
    return open_bot(args, store).session(args.session, create=False)


def _list(args: argparse.Namespace, store: Store) -> int:
    heads = store.sessions(args.namespace, like=args.like, limit=args.limit, offset=args.offset)
    if args.json:
        print_json([_plain(h) for h in heads])
    elif heads:
        rows = [[h.name, str(h.turns), str(h.messages), f"{h.updated_at:%Y-%m-%d %H:%M}"] for h in heads]
        print(table(rows, ["session", "turns", "messages", "last used (UTC)"]))
    else:
        say("No conversations.")
    return 0


def _show(args: argparse.Namespace, store: Store) -> int:
    head = _head(args, store)
    path = store.path(head)
    if args.json:
        print_json({**_plain(head), "transcript": [_plain(m) for m in path]})
        return 0
    for message in path:
        print(f"[{message.turn}] {message.role}: {message.text}")
    return 0


def _search(args: argparse.Namespace, store: Store) -> int:
    hits = store.search(args.query, args.namespace, args.limit)
    if args.json:
        print_json([{**_plain(h.message), "sessions": list(h.sessions)} for h in hits])
        return 0
    for hit in hits:
        print(f"{', '.join(hit.sessions)} [{hit.message.turn}] {hit.message.role}: {hit.message.text}")
    return 0


def _stats(args: argparse.Namespace, store: Store) -> int:
    found = store.stats(_head(args, store)) if args.session else store.stats(namespace=args.namespace)
    print_json(asdict(found))
    return 0


def _fork(args: argparse.Namespace, store: Store) -> int:
    made = store.fork(_head(args, store), args.new_name, turn=args.turn)
    say(f"{made.name} begins with {made.turns} turns of {args.session}.")
    return 0


def _rollback(args: argparse.Namespace, store: Store) -> int:
    moved = store.rollback(_head(args, store), args.turn)
    say(f"{moved.name} has {moved.turns} turns now.")
    return 0


def _forget(args: argparse.Namespace, store: Store) -> int:
    session = _chat(args, store)
    session.forget(args.turn)
    say(f"{session.name} has {session.head.turns} turns now.")
    return 0


def _edit(args: argparse.Namespace, store: Store) -> int:
    session = _chat(args, store)
    session.edit(args.turn, args.text, args.reply)
    say(f"Turn {args.turn} of {session.name} has changed.")
    return 0


def _rebuild(args: argparse.Namespace, store: Store) -> int:
    say(f"{_chat(args, store).rebuild()} messages were read again.")
    return 0


def _delete(args: argparse.Namespace, store: Store) -> int:
    gone = store.delete_session(args.session, args.namespace)
    say(f"Deleted {args.session}: {gone.messages} messages and {gone.segments} segments erased.")
    return 0


def _erase(args: argparse.Namespace, store: Store) -> int:
    if not args.yes:
        raise UsageError(f"erasing namespace {args.namespace!r} cannot be undone: say --yes")
    gone = store.erase_namespace(args.namespace)
    say(f"Erased {gone.sessions} sessions, {gone.messages} messages and {gone.segments} segments.")
    return 0


def _export(args: argparse.Namespace, store: Store) -> int:
    data = store.export_session(_head(args, store))
    try:
        if args.file == "-":
            sys.stdout.buffer.write(data)
        else:
            Path(args.file).write_bytes(data)
    except OSError as error:
        raise StoreError(f"cannot write {args.file}: {error.strerror or error}") from None
    say(f"{len(data)} bytes")
    return 0


def _import(args: argparse.Namespace, store: Store) -> int:
    try:
        data = sys.stdin.buffer.read() if args.file == "-" else Path(args.file).read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {args.file}: {error.strerror or error}") from None
    head = store.import_session(data, args.name, args.namespace)
    say(f"{head.name}: {head.turns} turns.")
    return 0


def _expire(args: argparse.Namespace, store: Store) -> int:
    if args.session is None:
        say(f"{store.expire().sessions} conversations have expired.")
        return 0
    if args.after is None:
        raise UsageError("say when with --after, such as 30d, or --after never")
    head = store.set_expiry(_head(args, store), _duration(args.after))
    say(
        f"{head.name} expires {head.expires_at:%Y-%m-%d %H:%M} UTC."
        if head.expires_at
        else "It never expires."
    )
    return 0


def _duration(text: str) -> timedelta | None:
    if text == "never":
        return None
    found = re.fullmatch(r"(\d{1,9})([smhd])", text)
    if found is None:
        raise UsageError(f"a time must be a number with s, m, h or d, or 'never', got {text!r}")
    unit = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}[found[2]]
    try:
        return timedelta(**{unit: int(found[1])})
    except OverflowError:
        raise UsageError(f"a time must be below a million days, got {text!r}") from None


def _verify(args: argparse.Namespace, store: Store) -> int:
    report = store.verify()
    for problem in report.problems:
        print(problem)
    for s in report.sessions:
        state = "ok" if s.ok else f"{s.problem or ''} messages {s.bad_messages} segments {s.bad_segments}"
        print(f"{s.namespace}/{s.name}: {s.messages} messages, {s.segments} segments: {state}")
    return 0 if report.ok else 1


def _gc(args: argparse.Namespace, store: Store) -> int:
    gone = store.gc()
    say(f"{gone.messages} messages and {gone.segments} segments erased.")
    return 0


def _vacuum(args: argparse.Namespace, store: Store) -> int:
    store.vacuum()
    return 0


def _plain(record: Any) -> dict[str, Any]:
    return {k: v if isinstance(v, (str, int, type(None))) else str(v) for k, v in asdict(record).items()}
