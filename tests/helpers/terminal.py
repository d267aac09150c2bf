"""A terminal of the system's own, for tests that press keys and read what is shown."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SEQUENCE = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]|\x1b[=>]|\r")


class Terminal:
    """A chat in a terminal; see `terminal`."""

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
def terminal(*arguments: str, home: Path | None = None) -> Iterator[Terminal]:
    mine, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 100))
    env = {**os.environ, "TERM": "xterm", "OMP_NUM_THREADS": "1"}
    if home is not None:
        env["LOMA_CACHE"] = str(home)
    command = [sys.executable, "-m", "loma_memory.cli", "chat", "--threads", "1", *arguments]
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=env, close_fds=True)
    os.close(theirs)
    try:
        yield Terminal(process, mine)
    finally:
        process.kill()
        process.wait()
        os.close(mine)
