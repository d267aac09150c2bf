"""`loma-memory chat`: talk to a model that remembers."""

from __future__ import annotations

import argparse
import json
import sys
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from loma_memory.commands.common import add_model, add_store, open_bot, say
from loma_memory.errors import SessionNotFound, UsageError

if TYPE_CHECKING:
    from loma_memory.session import ChatSession
    from loma_memory.store import Store


def add(commands: Any) -> None:
    """Declare the command."""
    to = commands.add_parser(
        "chat",
        help="talk to a model that remembers",
        description="Talk to a model that remembers. With no terminal, messages are read line by line.",
    )
    to.add_argument("--session", default="default", help="name of the conversation (default: default)")
    add_store(to)
    add_model(to)
    to.add_argument("--method", help="how to remember (default: ccm-concat)")
    to.add_argument("--system", help="system prompt; shown at every turn, never part of memory")
    to.add_argument("--codec", default="raw", help="how memory is stored: raw (bit-exact), int8, int4")
    to.add_argument("--temperature", type=float, default=0.0, help="0 takes the likeliest words (default)")
    to.add_argument("--top-p", type=float, default=1.0)
    to.add_argument("--top-k", type=int, default=0)
    to.add_argument("--repetition-penalty", type=float, default=1.1)
    to.add_argument("--seed", type=int, help="repeatable draws with --temperature")
    to.add_argument("--max-tokens", type=int, default=256, help="longest reply (default: 256)")
    to.add_argument("--stop", action="append", default=[], metavar="TEXT", help="ends a reply; repeatable")
    to.add_argument("--message", metavar="TEXT", help="one message, one reply, and out")
    to.add_argument("--json", action="store_true", help="with --message: print the turn as JSON")
    to.add_argument(
        "--note", metavar="FILE", help="take in a text file without a reply, and out ('-': stdin)"
    )
    to.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Chat."""
    from loma_memory.text import read_text

    if args.json and args.message is None:
        raise UsageError("--json needs --message")
    if args.message is not None and not args.message.strip():
        raise UsageError("a message must hold at least one character that is not white space")
    note = read_text(args.note) if args.note is not None else None
    # The database first: a wrong URL should not cost a model's loading.
    from loma_memory.store import Store

    store = Store.open(args.store)
    try:
        turns = _turns_so_far(args, store)
        if note is None and args.message is None and sys.stdin.isatty():
            return _at_terminal(args, store, turns)
        session = _open(args, store)
        if note is not None:
            count = session.remember(note)
            say(f"Taken in as {count} note{'s' if count > 1 else ''}.")
            return 0
        if args.message is not None:
            return _once(session, args.message, as_json=args.json)
        from loma_memory.commands import console

        return console.talk_lines(session)
    finally:
        store.close()


def _turns_so_far(args: argparse.Namespace, store: Store) -> int:
    """Finished turns of the session; a name that breaks a rule is told at once."""
    try:
        return store.session(args.session, args.namespace, create=False).turns
    except SessionNotFound:
        return 0


def _open(args: argparse.Namespace, store: Store) -> ChatSession:
    from loma_memory.engine.replies import ReplySettings
    from loma_memory.engine.sampling import Sampling

    sampling = Sampling(args.temperature, args.top_p, args.top_k, args.repetition_penalty, args.seed)
    settings = ReplySettings(sampling, args.max_tokens, tuple(args.stop))
    return open_bot(args, store, system=args.system, settings=settings).session(args.session)


def _at_terminal(args: argparse.Namespace, store: Store, turns: int) -> int:
    """Show the prompt at once and load behind it: most of a start is reading libraries and weights."""
    from loma_memory.commands import console

    began = f"resumed after {turns} turn{'s' if turns != 1 else ''}" if turns else "new"
    opening: Future[ChatSession] = Future()

    def work() -> None:
        try:
            opening.set_result(_open(args, store))
        except BaseException as error:  # told by whoever waits
            opening.set_exception(error)

    thread = threading.Thread(target=work, name="loading")
    thread.start()
    try:
        return console.talk_typed(opening, f"Session {args.session!r} ({began}). /help lists commands.")
    finally:
        thread.join()


def _once(session: ChatSession, message: str, *, as_json: bool) -> int:
    reply = session.stream(message)
    for piece in reply:
        if not as_json:
            print(piece, end="", flush=True)
    if not as_json:
        print()
        return 0
    turn = {
        "reply": reply.text,
        "session": session.name,
        "turn": reply.turn,
        "slots": session.state.slots,
        "tokens_in_memory": session.state.text_tokens,
        "tokens_reread": session.tokens_reread,
        "restored": session.restored,
    }
    print(json.dumps(turn, ensure_ascii=False))
    return 0
