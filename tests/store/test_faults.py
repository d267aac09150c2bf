"""Killed processes, crowds of writers, full disks, lost connections."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy

import loma_memory.store
from loma_memory.errors import SessionConflict, StoreError
from loma_memory.store import Store, failpoints
from loma_memory.testing.base import FINGERPRINT, SETTINGS, exchange, memory, talk, texts

Figure = Callable[[str], None]
HARNESS = Path(__file__).with_name("harness.py")
ROOT = Path(loma_memory.store.__file__).parents[2]


def run(*words: object) -> dict[str, Any]:
    command = [sys.executable, "-W", "ignore", str(HARNESS), *map(str, words)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)  # type: ignore[no-any-return]


@pytest.fixture(params=["sqlite", "postgresql"])
def shared_url(request: pytest.FixtureRequest) -> str:
    """Databases that several processes can open."""
    name = {"sqlite": "sqlite_url", "postgresql": "pg_url"}[request.param]
    return request.getfixturevalue(name)  # type: ignore[no-any-return]


@pytest.mark.parametrize("kills", [100, pytest.param(5000, marks=pytest.mark.long)])
def test_killed_writers_lose_nothing(shared_url: str, kills: int, figure: Figure) -> None:
    found = run("kill", shared_url, kills, 1)
    figure(f"kill -9 at random moments, {shared_url.split(':')[0]}: {found}")
    assert found["acknowledged"] > kills  # or they were killed too early to show anything
    assert (found["lost"], found["half"], found["unclean"]) == (0, 0, 0)


BEFORE, AFTER = {"ada": 2}, {"ada": 3}
PLACES = {
    "append.begun": BEFORE,
    "append.messages": BEFORE,
    "append.segments": BEFORE,
    "append.moved": BEFORE,
    "append.committed": AFTER,
    "replace.moved": BEFORE,
    "replace.erased": BEFORE,
    "replace.committed": {"ada": 1},
    "erase.deleted": BEFORE,
    "erase.committed": {},
    "import.messages": BEFORE,
}


def test_a_kill_at_a_named_place_leaves_all_or_nothing(shared_url: str, figure: Figure) -> None:
    found = run("failpoint", shared_url, *PLACES)
    assert found.pop("ok")
    wanted = {
        place: {"said": ["2"], "sessions": sessions, "messages": 2 * sum(sessions.values())}
        for place, sessions in PLACES.items()
    }
    assert found == wanted
    figure(f"kill -9 at {len(PLACES)} named places, {shared_url.split(':')[0]}: all or nothing at each")


def test_every_failpoint_is_tried() -> None:
    elsewhere = {"rotate.batch", "migrate.upgraded"}  # test_encryption, test_schema
    assert set(PLACES) | elsewhere == set(failpoints.NAMES)


@pytest.mark.parametrize(
    ("processes", "threads", "turns"),
    [
        (1, 12, 6),
        (6, 2, 6),
        pytest.param(1, 64, 50, marks=pytest.mark.long),
        pytest.param(64, 1, 50, marks=pytest.mark.long),
        pytest.param(8, 8, 50, marks=pytest.mark.long),
    ],
)
def test_a_crowd_of_writers_loses_nothing(
    shared_url: str, processes: int, threads: int, turns: int, figure: Figure
) -> None:
    found = run("writers", shared_url, processes, threads, turns)
    figure(f"{processes} processes × {threads} threads × {turns} turns, {shared_url.split(':')[0]}: {found}")
    wanted = processes * threads * turns
    assert (found["turns"], found["version"]) == (wanted, wanted)
    assert (found["lost"], found["doubled"], found["unacknowledged"]) == (0, 0, 0)
    assert found["ok"]


def test_a_full_disk_is_told_in_one_line(sqlite_url: str, figure: Figure) -> None:
    found = run("full", sqlite_url)
    figure(f"file limit of 2 MiB: {found}")
    assert found["error"]
    assert "\n" not in found["error"]
    assert found["turns"] > 1
    assert found["same"]
    assert found["sound"]


def test_a_full_database_leaves_the_session_as_it_was() -> None:
    with Store.open("sqlite://") as store:
        head = talk(store, store.session("ada"), 2)
        with store.database.outside() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
            connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
        with pytest.raises(StoreError, match="full") as caught:
            store.append(head, exchange(3), memory(3, size=200_000), FINGERPRINT, SETTINGS)
        assert caught.value.__cause__ is None
        assert store.session("ada") == head
        with store.database.outside() as connection:
            connection.exec_driver_sql("PRAGMA max_page_count=1000000")
        assert talk(store, head, 1).turns == 3


def test_a_lost_connection_is_told_and_then_replaced(pg_url: str) -> None:
    with Store.open(pg_url) as store:
        head = talk(store, store.session("ada"), 1)

        def cut(name: str) -> None:
            if name == "append.segments":
                _terminate_all(pg_url)

        failpoints.hook = cut
        try:
            with pytest.raises(StoreError) as caught:
                talk(store, head, 1)
        finally:
            failpoints.hook = None
        assert "\n" not in str(caught.value)
        assert store.session("ada") == head
        _terminate_all(pg_url)  # while idle: nobody notices
        assert talk(store, head, 1).turns == 2


def test_a_server_that_is_not_there_is_told() -> None:
    with pytest.raises(StoreError) as caught:
        Store.open("postgresql://ada@127.0.0.1:1/nowhere")
    assert "\n" not in str(caught.value)


def test_a_commit_that_fails_is_no_commit(shared_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with Store.open(shared_url) as store:
        head = talk(store, store.session("ada"), 1)

        def refuse(connection: sqlalchemy.Connection) -> None:
            raise OSError(5, "Input/output error")

        sqlalchemy.event.listen(store.database.engine, "commit", refuse)
        with pytest.raises(StoreError, match="Input/output"):
            talk(store, head, 1)
        sqlalchemy.event.remove(store.database.engine, "commit", refuse)
        assert store.session("ada") == head
        assert texts(store, head) == ["question 1", "answer 1"]


def _terminate_all(url: str) -> None:
    engine = sqlalchemy.create_engine(url)
    with engine.connect() as connection:
        connection.execute(
            sqlalchemy.text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE application_name = 'loma-memory' AND pid <> pg_backend_pid()"
            )
        )
    engine.dispose()


def test_a_storm_of_cancelled_calls_mixes_nothing(shared_url: str, figure: Figure) -> None:
    """Hosts cancel tasks whose thread is in the store: the call ends unseen, entirely or not at all."""
    tenants, rng, cancelled = [f"tenant {number}" for number in range(8)], random.Random(6), 0

    def turn(store: Store, tenant: str) -> None:
        with contextlib.suppress(SessionConflict):
            talk(store, store.session("s", tenant), 1, f"canary of {tenant}")

    async def storm(store: Store) -> None:
        nonlocal cancelled
        for _ in range(30):
            tasks = [asyncio.create_task(asyncio.to_thread(turn, store, tenant)) for tenant in tenants]
            await asyncio.sleep(rng.random() * 0.01)
            for task in rng.sample(tasks, 4):
                cancelled += task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    with Store.open(shared_url) as store:
        asyncio.run(storm(store))
        kept = 0
        for tenant in tenants:
            head = store.session("s", tenant)
            said = texts(store, head)
            kept += head.turns
            assert head.messages == len(said) == 2 * head.turns
            assert all(text.endswith(f"canary of {tenant}") for text in said)
            assert None not in store.segments(head, FINGERPRINT)
        assert store.verify().ok
    figure(f"{cancelled} cancelled calls, {kept} turns of {len(tenants)} tenants: 0 mixed, 0 half")
    assert cancelled > 20
    assert kept > 20


@pytest.mark.parametrize("kills", [1, pytest.param(20, marks=pytest.mark.long)])
def test_a_killed_server_loses_nothing(pg_server: Any, pg_url: str, kills: int, figure: Figure) -> None:
    """PostgreSQL itself is stopped without a goodbye while it is written to."""
    saved = 0
    with Store.open(pg_url) as store:
        head = store.session("ada")
        for number in range(kills):
            killer = threading.Timer(0.003 * (number % 5), _kill_server, [pg_server])
            until = head.turns + 5
            with contextlib.suppress(StoreError):
                while True:
                    head = talk(store, head, 1, f"run {number}")
                    if head.turns == until:
                        killer.start()
            killer.join()
            _start_server(pg_server)
            after = store.session("ada")
            assert after.turns in (head.turns, head.turns + 1)  # one may have been committed, and not told
            assert after.messages == 2 * after.turns == len(store.path(after))
            assert None not in store.segments(after, FINGERPRINT)
            saved, head = after.turns, after
        assert store.verify().ok
    figure(f"{kills} kills of the PostgreSQL server: {saved} turns saved, 0 lost, 0 half")


def _start_server(server: Any) -> None:
    for attempt in range(60):
        try:
            return server.ensure_postgres_running()  # type: ignore[no-any-return]
        except (
            subprocess.SubprocessError,
            AssertionError,
        ):  # it waits for recovery ten seconds, or not at all
            if attempt == 59:
                raise
            time.sleep(1)


def _kill_server(server: Any) -> None:
    pid_file = Path(server.pgdata) / "postmaster.pid"
    os.kill(int(pid_file.read_text().split()[0]), signal.SIGQUIT)
    while pid_file.exists():
        time.sleep(0.01)
