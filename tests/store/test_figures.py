"""Figures that the documents promise; each test prints what it has measured.

Times depend on the machine and on what else runs there. So the limits are of this process's own processor
time, and wider than the figures.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from loma_memory import store as package
from loma_memory.store import NewMessage, NewSegment, SessionHead, Store

Figure = Callable[[str], None]
TURNS = 1000
SEGMENT = 23_000  # bytes; two make a turn of 30 tokens at 8:1 in int8 on SmolLM2-135M


def milliseconds(call: Callable[[], Any], times: int = 9, limit: float = 1000) -> float:
    """The median time that a call takes; the least processor time that it took is held to the limit."""
    walls, cpus = [], []
    for _ in range(times):
        wall, cpu = time.perf_counter(), time.process_time()
        call()
        walls.append(1000 * (time.perf_counter() - wall))
        cpus.append(1000 * (time.process_time() - cpu))
    assert min(cpus) < limit
    return statistics.median(walls)


def long_session(store: Store, name: str = "ada") -> SessionHead:
    new = [NewMessage(("user", "assistant")[n % 2], f"message {n} of {name}") for n in range(2 * TURNS)]
    kv = [NewSegment(2, "int8", os.urandom(SEGMENT)) for _ in new]
    return store.append(store.session(name), new, kv, "f", {})


def test_loading_a_thousand_turns(sqlite_url: str, figure: Figure) -> None:
    with Store.open(sqlite_url) as store:
        head = long_session(store)
        loading = milliseconds(lambda: store.segments(head, "f"), limit=250)
        path = milliseconds(lambda: store.path(head), limit=200)
    size = 2 * TURNS * SEGMENT / 2**20
    figure(
        f"{TURNS} turns, {size:.0f} MiB of segments, verified: {loading:.0f} ms; their texts: {path:.0f} ms"
    )


def test_forking_a_thousand_turns(sqlite_url: str, tmp_path: Path, figure: Figure) -> None:
    with Store.open(sqlite_url) as store:
        head = long_session(store)
        store.vacuum()
        names = iter(range(1000))
        before = (tmp_path / "chats.db").stat().st_size
        fork = milliseconds(lambda: store.fork(head, f"fork {next(names)}"), 201, limit=5)
        store.database.engine.dispose()  # the last connection moves the log into the file
        grown = ((tmp_path / "chats.db").stat().st_size - before) / 201
        back = milliseconds(lambda: store.rollback(store.session("fork 1"), 500), 1)
    figure(f"fork of {TURNS} turns: {fork:.1f} ms, {grown:.0f} bytes; rollback by 500 turns: {back:.1f} ms")
    assert grown < 2048


def test_saving_a_turn(sqlite_url: str, tmp_path: Path, figure: Figure) -> None:
    with Store.open(sqlite_url) as store:
        head = long_session(store)
        new = [NewMessage("user", "one more question"), NewMessage("assistant", "one more answer")]
        kv = [NewSegment(2, "int8", os.urandom(SEGMENT)) for _ in new]

        def save() -> None:
            nonlocal head
            head = store.append(head, new, kv, "f", {})

        saving = milliseconds(save, 21, limit=30)
    figure(f"saving a turn after {TURNS} others, synced to disk: {saving:.1f} ms")


def test_opening(sqlite_url: str, figure: Figure) -> None:
    Store.open(sqlite_url).close()
    opening = milliseconds(lambda: Store.open(sqlite_url).close(), limit=50)
    code = "import time; t = time.perf_counter(); import {}; print(time.perf_counter() - t)"

    def load(module: str) -> float:
        root = Path(package.__file__).parents[2]
        command = [sys.executable, "-c", code.format(module)]
        return float(subprocess.run(command, capture_output=True, text=True, cwd=root, check=True).stdout)

    figure(
        f"opening an up-to-date file: {opening:.1f} ms; import of loma_memory.store "
        f"{load('loma_memory.store'):.2f} s, of which sqlalchemy {load('sqlalchemy'):.2f} s"
    )


@pytest.mark.parametrize("sessions", [20, pytest.param(1000, marks=pytest.mark.long)])
def test_finding_one_in_many_sessions(sqlite_url: str, sessions: int, figure: Figure) -> None:
    with Store.open(sqlite_url) as store:
        for number in range(sessions):
            new = [NewMessage("user", f"message {n} of session {number}") for n in range(100)]
            store.append(store.session(f"s{number}"), new, [None] * 100, "", {})
        found = milliseconds(lambda: store.search("message 77", limit=20))
        listed = milliseconds(lambda: store.sessions())
        # It hashes every message anew, some 2 ms a session. The least of three: once, a collection of
        # garbage left by other tests made it 1.5 s.
        checked = milliseconds(store.verify, 3, limit=max(1000, 20 * sessions))
    figure(
        f"{sessions} sessions of 100 messages: search {found:.0f} ms, list of 50 {listed:.1f} ms, "
        f"verify {checked:.0f} ms"
    )
