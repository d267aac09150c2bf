"""The conversation itself: with a terminal, or line by line from standard input."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from types import FrameType
from typing import TYPE_CHECKING, Any

from loma_memory.commands.common import say
from loma_memory.errors import LomaError, UsageError
from loma_memory.text import decoded

if TYPE_CHECKING:
    from prompt_toolkit import PromptSession

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


def talk_lines(session: ChatSession) -> int:
    """Talk line by line from standard input until its end.

    Returns:
        0, or the exit code of the first message that failed.
    """
    code = 0
    for number, raw in enumerate(sys.stdin.buffer, 1):
        try:
            if not _handle(lambda: session, raw, f"line {number}"):
                break
        except LomaError as error:
            say(f"loma-memory: {error}")
            code = code or error.exit_code
    return code


def talk_typed(opening: Future[ChatSession], greeting: str) -> int:
    """Talk with a person at a terminal; the prompt is there while the model still loads.

    Args:
        opening: the session, or the reason why there is none.
        greeting: what is shown first.

    Raises:
        LomaError: the session could not be opened.
    """
    from prompt_toolkit.patch_stdout import patch_stdout

    prompt = _prompt()
    opening.add_done_callback(lambda _: _leave_if_failed(prompt, opening))
    print(greeting, flush=True)
    while True:
        try:
            with patch_stdout():  # progress of a first download is written above the prompt
                line = prompt.prompt("you> ", pre_run=lambda: _leave_if_failed(prompt, opening))
            if not _handle(
                lambda: _opened(opening), line.encode("utf-8", "surrogateescape"), "what you type"
            ):
                break
        except KeyboardInterrupt:
            continue  # clears the line, as in a shell
        except EOFError:
            break
        except LomaError as error:
            if opening.done() and opening.exception() is not None:
                raise
            say(f"loma-memory: {error}")
    return 0


def _prompt() -> PromptSession[str]:
    from prompt_toolkit import PromptSession
    from prompt_toolkit.history import FileHistory, InMemoryHistory

    from loma_memory.engine.fetch import cache_folder

    try:
        cache_folder().mkdir(parents=True, exist_ok=True)
        past: Any = FileHistory(str(cache_folder() / "history"))
    except OSError:
        past = InMemoryHistory()
    return PromptSession(history=past)


def _leave_if_failed(prompt: PromptSession[str], opening: Future[ChatSession]) -> None:
    """End a running prompt with the reason why there will be no session."""
    app = prompt.app
    error = opening.exception() if opening.done() else None
    if error is None or app.loop is None:
        return

    def leave() -> None:
        if app.is_running and not app.is_done:
            app.exit(exception=error)

    app.loop.call_soon_threadsafe(leave)


def _opened(opening: Future[ChatSession]) -> ChatSession:
    if not opening.done():
        say("(the model is still loading)")
    return opening.result()


def _handle(session: Callable[[], ChatSession], raw: bytes, where: str) -> bool:
    """Do what a line asks for; False for the wish to leave."""
    text = decoded(raw, where).strip()
    if text in ("/quit", "/exit"):
        return False
    if text == "/help":
        print(HELP)
    elif text.startswith("/"):
        _command(session(), text)
    elif text:
        _say(session(), text)
    return True


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
    if name == "/stats":
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
