"""The chat as a person at a terminal has it: a real terminal of the system's own, and keys pressed."""

from __future__ import annotations

import os
import re
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pty = pytest.importorskip("pty")  # POSIX only
termios = pytest.importorskip("termios")
pytestmark = pytest.mark.slow

SEQUENCE = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]|\x1b[=>]|\r")


class Terminal:
    """A chat in a terminal."""

    def __init__(self, process: subprocess.Popen[bytes], screen: int) -> None:
        self.process, self.screen, self.began = process, screen, time.monotonic()
        self.seen = ""

    def until(self, text: str, seconds: float = 90.0) -> float:
        """Wait until a text has been shown after what was waited for before; seconds since the start."""
        limit = time.monotonic() + seconds
        while text not in self.seen:
            assert time.monotonic() < limit, f"no {text!r} in {self.seen!r}"
            if select.select([self.screen], [], [], 0.2)[0]:
                try:
                    more = os.read(self.screen, 65536)
                except OSError:  # the other side is gone
                    more = b""
                if not more:
                    break
                if b"\x1b[6n" in more:  # asked where the cursor is, as terminals are
                    os.write(self.screen, b"\x1b[1;1R")
                self.seen += SEQUENCE.sub("", more.decode("utf-8", "replace"))
        assert text in self.seen, f"no {text!r} in {self.seen!r}"
        self.seen = self.seen.split(text, 1)[1]
        return time.monotonic() - self.began

    def type(self, text: str) -> None:
        os.write(self.screen, text.encode())


@contextmanager
def terminal(*arguments: str, home: Path) -> Iterator[Terminal]:
    mine, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 100))
    env = {**os.environ, "TERM": "xterm", "LOMA_CACHE": str(home), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "loma_memory.cli", "chat", "--threads", "1", *arguments]
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=env, close_fds=True)
    os.close(theirs)
    try:
        yield Terminal(process, mine)
    finally:
        process.kill()
        process.wait()
        os.close(mine)


def test_the_prompt_is_there_before_the_model_and_a_session_goes_on(
    tiny: str, tiny_adapter: str, database: str, tmp_path: Path
) -> None:
    model = ("--model", tiny, "--adapter", tiny_adapter, "--store", database, "--max-tokens", "5")
    with terminal(*model, home=tmp_path) as one:
        one.until("Session 'default' (new)")
        prompt = one.until("you>")
        one.type("hello there\r")
        one.until("(the model is still loading)")
        one.until("you>")
        one.type("/stats\r")
        one.until("turns 1, messages 2")
        one.until("you>")
        one.type("/nonsense\r")
        one.until("no command /nonsense")
        one.until("you>")
        one.type("\x04")
        assert one.process.wait(60) == 0
    print(f"prompt after {prompt:.2f} s")
    with terminal(*model, home=tmp_path) as two:
        two.until("(resumed after 1 turn)")
        two.type("\x1b[A")  # the line typed last, from the history
        two.until("/nonsense")
        two.type("\x03/history\r")
        two.until("[1] user: hello there")
        two.type("/quit\r")
        assert two.process.wait(60) == 0


@pytest.mark.parametrize("model", ["no-such-model", "/no/such/folder"])
def test_a_model_that_is_not_there_ends_the_prompt(model: str, database: str, tmp_path: Path) -> None:
    with terminal("--model", model, "--store", database, home=tmp_path) as one:
        one.until("you>")
        one.until("loma-memory: ")
        one.until("no model")
        assert one.process.wait(60) != 0
        assert "Traceback" not in one.seen


def test_a_store_that_cannot_be_opened_is_told_at_once(tmp_path: Path) -> None:
    with terminal("--store", "sqlite:////no/such/folder/x.db", home=tmp_path) as one:
        one.until("loma-memory: ")
        assert one.process.wait(60) == 1
        assert "you>" not in one.seen
