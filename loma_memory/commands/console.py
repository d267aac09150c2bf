"""The conversation itself: with a terminal, or line by line from standard input."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import TYPE_CHECKING, Any

from loma_memory.commands.common import say
from loma_memory.errors import LomaError, UsageError
from loma_memory.text import decoded

if TYPE_CHECKING:
    from loma_memory.session import ChatSession, Reply

HELP = """\
/stats      what the memory holds and what it saved
/history    the conversation so far
/forget N   forget turn N
/rollback N go back to the end of turn N
/note TEXT  remember something without a reply
/help       this list
/quit       leave (Ctrl-D does too); the session stays
Ctrl-C stops a reply; what has come so far is kept."""


def talk(session: ChatSession, *, interactive: bool) -> int:
    """Talk until the end of the input.

    Returns:
        0, or the exit code of the last message that failed where there is no terminal.
    """
    lines = _typed() if interactive else _piped()
    if interactive:
        _greet(session)
    code = 0
    for where, line in lines:
        try:
            text = decoded(line, where).strip()
            if not text:
                continue
            if text.startswith("/"):
                if text in ("/quit", "/exit"):
                    break
                _command(session, text)
            else:
                _say(session, text)
        except LomaError as error:
            say(f"loma-memory: {error}")
            code = code or error.exit_code
    return 0 if interactive else code


def _greet(session: ChatSession) -> None:
    turns = session.head.turns
    began = f"resumed after {turns} turn{'s' if turns != 1 else ''}" if turns else "new"
    loaded = session.bot.engine.loaded
    print(f"{loaded.name} on {loaded.device}, session {session.name!r} ({began}). /help lists commands.")


def _typed() -> Iterator[tuple[str, bytes]]:
    from prompt_toolkit import PromptSession
    from prompt_toolkit.history import FileHistory, InMemoryHistory

    from loma_memory.engine.fetch import cache_folder

    try:
        cache_folder().mkdir(parents=True, exist_ok=True)
        past: Any = FileHistory(str(cache_folder() / "history"))
    except OSError:
        past = InMemoryHistory()
    prompt: PromptSession[str] = PromptSession(history=past)
    while True:
        try:
            yield "what you type", prompt.prompt("you> ").encode("utf-8", "surrogateescape")
        except KeyboardInterrupt:
            continue  # clears the line, as in a shell
        except EOFError:
            return


def _piped() -> Iterator[tuple[str, bytes]]:
    for number, raw in enumerate(sys.stdin.buffer, 1):
        yield f"line {number}", raw


@contextlib.contextmanager
def _stopping(reply: Reply) -> Iterator[None]:
    """Ctrl-C ends the reply instead of the program, so the turn is still saved."""

    def stop(_signal: int, _frame: FrameType | None) -> None:
        reply.stop()

    try:
        before: Callable[..., Any] | int | None = signal.signal(signal.SIGINT, stop)
    except ValueError:  # not the main thread
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _say(session: ChatSession, text: str) -> None:
    reply = session.stream(text)
    with _stopping(reply):
        for piece in reply:
            print(piece, end="", flush=True)
    print(" [stopped]" if reply.finish == "stopped" else "")


def _command(session: ChatSession, text: str) -> None:
    name, _, rest = text.partition(" ")
    if name == "/help":
        print(HELP)
    elif name == "/stats":
        print(describe(session))
    elif name == "/history":
        for message in session.history():
            print(f"[{message.turn}] {message.role}: {message.text}")
    elif name == "/note":
        session.remember(rest)
        print("Noted.")
    elif name in ("/forget", "/rollback"):
        if not rest.strip().isdecimal():
            raise UsageError(f"{name} needs the number of a turn, got {rest.strip()!r}")
        getattr(session, name[1:])(int(rest))
        print(f"The session has {session.head.turns} turns now.")
    else:
        raise UsageError(f"no command {name}; /help lists them")


def describe(session: ChatSession) -> str:
    """A session's figures for a person to read."""
    s = session.stats()
    ratio = f", {s.ratio} tokens a slot" if s.ratio else ""
    return (
        f"turns {s.turns}, messages {s.messages}\n"
        f"memory: {s.slots} slots for {s.tokens_in_memory} tokens of text{ratio}, {_size(s.memory_bytes)}\n"
        f"stored: {_size(s.stored_bytes)}\n"
        f"not read again so far: {s.tokens_not_reread} tokens\n"
        f"this process: {'restored from the database' if s.restored else 'began here'}, "
        f"{s.tokens_reread} tokens read again"
    )


def _size(count: int) -> str:
    size = float(count)
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"
