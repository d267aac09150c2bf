"""Erased words: in no file of the database, and in none beside it."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from loma_memory.store import NewMessage, NewSegment, Store
from loma_memory.testing.base import FINGERPRINT, SETTINGS, talk

Figure = Callable[[str], None]
WORD = "xylophonecanary"
KV = bytes(range(200, 232)) * 100


def files_with(folder: Path, *needles: bytes) -> list[str]:
    """Names of the files of a folder in which one of the needles is."""
    found = []
    for path in sorted(folder.rglob("*")):
        try:
            data = path.read_bytes() if path.is_file() else b""
        except OSError:
            continue  # gone meanwhile
        if any(needle in data for needle in needles):
            found.append(str(path.relative_to(folder)))
    return found


def fill(store: Store, namespace: str, sessions: int, turns: int, rng: random.Random) -> None:
    """Sessions of which every message and segment has the canary, mixed with others that have not."""
    for number in range(sessions):
        talk(store, store.session(f"other {number}", "kept"), turns, "kept" * rng.randint(1, 200))
        head = store.session(f"s{number}", namespace)
        for turn in range(turns):
            words = " ".join(rng.choices("abcdefgh", k=rng.randint(0, 300)))
            new = [NewMessage("user", f"{WORD}{turn} {words}"), NewMessage("assistant", f"{words} {WORD}")]
            kv = [NewSegment(1, "raw", KV + rng.randbytes(rng.randint(0, 9000))) for _ in new]
            head = store.append(head, new, kv, FINGERPRINT, SETTINGS)


@pytest.mark.parametrize("verb", ["forget", "delete", "expire", "gc", "erase"])
def test_nothing_is_left_in_sqlite_files(sqlite_url: str, tmp_path: Path, verb: str, figure: Figure) -> None:
    rng = random.Random(verb)
    with Store.open(sqlite_url) as store:
        fill(store, "gone", 4, 12, rng)
        assert files_with(tmp_path, WORD.encode(), KV)
        for head in store.sessions("gone"):
            if verb == "forget":
                store.replace_after(head, 0, [], [], "", {})
            elif verb == "delete":
                assert store.delete_session(head.name, "gone").complete
            elif verb == "gc":
                store.rollback(head, 0)
            elif verb == "expire":
                store.set_expiry(head, head.created_at)
        if verb in ("expire", "gc"):
            assert getattr(store, verb)().complete
        if verb == "erase":
            assert store.erase_namespace("gone").complete
        left = files_with(tmp_path, WORD.encode(), KV)
        figure(f"{verb}: files with a canary afterwards: {left}")
        assert left == []
        assert store.verify().ok


def test_a_reader_elsewhere_delays_the_last_trace(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("loma_memory.store.erase._CHECKPOINT_MS", 50)
    with Store.open(sqlite_url) as store, Store.open(sqlite_url) as reader:
        fill(store, "gone", 1, 2, random.Random(1))
        with reader.database.read() as connection:
            connection.exec_driver_sql("SELECT count(*) FROM loma_messages").scalar_one()
            assert not store.delete_session("s0", "gone").complete
        store.vacuum()
        assert files_with(tmp_path, WORD.encode(), KV) == []


def test_temporary_files_hold_nothing(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("SQLITE_TMPDIR", str(scratch))
    seen: set[str] = set()
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            seen.update(os.listdir(scratch))

    watcher = threading.Thread(target=watch)
    watcher.start()
    with Store.open(sqlite_url) as store:
        fill(store, "gone", 2, 10, random.Random(2))
        store.search(WORD, "gone", limit=100)
        store.erase_namespace("gone")
    done.set()
    watcher.join()
    assert seen == set()


def test_nothing_is_left_in_the_tables_of_postgresql(pg_server: object, pg_url: str) -> None:
    data = Path(pg_server.pgdata) / "base"  # type: ignore[attr-defined]
    with Store.open(pg_url) as store:
        fill(store, "gone", 2, 6, random.Random(3))
        _checkpoint(store)
        assert files_with(data, WORD.encode())
        assert store.erase_namespace("gone").complete
        _checkpoint(store)
        assert files_with(data, WORD.encode(), KV) == []


def _checkpoint(store: Store) -> None:
    with store.database.outside() as connection:
        connection.exec_driver_sql("CHECKPOINT")
