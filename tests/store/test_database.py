"""Opening files, and what is said when they cannot be."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from loma_memory.errors import StoreError, UsageError
from loma_memory.store import Store, database
from loma_memory.store.database import Database, parse_url
from loma_memory.testing.base import say, talk, texts


def error_of(url: str) -> str:
    with pytest.raises(StoreError) as caught:
        Store.open(url)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    assert "folder" in error_of(f"sqlite:///{tmp_path}/nowhere/chats.db")


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "chats.db").write_bytes(b"These are my notes. " * 1000)
    assert "not a database" in error_of(f"sqlite:///{tmp_path}/chats.db")
    assert (tmp_path / "chats.db").read_bytes() == b"These are my notes. " * 1000


def test_a_folder_in_place_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "chats.db").mkdir()
    assert "unable to open" in error_of(f"sqlite:///{tmp_path}/chats.db")


def test_a_cut_database(sqlite_url: str, tmp_path: Path) -> None:
    with Store.open(sqlite_url) as store:
        talk(store, store.session("ada"), 20)
    path = tmp_path / "chats.db"
    path.write_bytes(path.read_bytes()[:20_000])
    with pytest.raises(StoreError), Store.open(sqlite_url) as store:
        store.path(store.session("ada", create=False))


def test_a_file_that_may_only_be_read(sqlite_url: str) -> None:
    with Store.open(sqlite_url) as store:
        head = say(store, store.session("ada"), "hello")
    path = sqlite_url.removeprefix("sqlite:///")
    with Store.open(f"sqlite:///file:{path}?mode=ro&uri=true") as store:
        assert texts(store, store.session("ada")) == ["hello"]
        for attempt in (lambda: say(store, head, "more"), lambda: store.session("new"), store.gc):
            with pytest.raises(StoreError, match="readonly") as caught:
                attempt()
            assert "\n" not in str(caught.value)
            assert caught.value.__cause__ is None


def test_a_new_file_is_its_owners_only(tmp_path: Path) -> None:
    with Store.open(f"sqlite:///{tmp_path}/chats.db") as store:
        talk(store, store.session("ada"), 1)
        for name in os.listdir(tmp_path):
            assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600, name


def test_settings_that_keep_the_promises(sqlite_url: str) -> None:
    with Store.open(sqlite_url) as store, store.database.read() as connection:
        found = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in (
                "journal_mode",
                "synchronous",
                "foreign_keys",
                "secure_delete",
                "busy_timeout",
                "temp_store",
            )
        }
    assert found == {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "secure_delete": 1,
        "busy_timeout": 60_000,
        "temp_store": 2,
    }


def test_a_busy_database_is_told(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "_BUSY_SECONDS", 0)
    with Store.open(sqlite_url) as one, Store.open(sqlite_url) as two:
        head = one.session("ada")
        with one.database.write(), pytest.raises(StoreError, match="locked"):
            say(two, head, "hello")
        assert texts(two, say(two, head, "hello")) == ["hello"]


def test_errors_do_not_quote_what_was_said(sqlite_url: str) -> None:
    with Store.open(sqlite_url) as store:
        head = store.session("ada")
        with store.database.outside() as connection:
            connection.exec_driver_sql("DROP TABLE loma_search")
        with pytest.raises(StoreError) as caught:
            say(store, head, "my secret")
    assert "secret" not in str(caught.value)


def test_every_url_gets_its_driver() -> None:
    for given, driver in {
        "sqlite://": "sqlite",
        "sqlite+pysqlite:///x": "sqlite",
        "postgresql://h/d": "postgresql+psycopg",
        "postgres://h/d": "postgresql+psycopg",
        "postgresql+psycopg://h/d": "postgresql+psycopg",
    }.items():
        assert parse_url(given).drivername == driver


@pytest.mark.parametrize("url", ["postgresql+psycopg2://h/d", "postgresql+asyncpg://h/d", "oracle://h", "x"])
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(UsageError):
        Database(url)


def test_a_tilde_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with Store.open("sqlite:///~/chats.db"):
        assert (tmp_path / "chats.db").exists()


def test_a_missing_driver_is_named() -> None:
    code = (
        "import sys; sys.modules['psycopg'] = None\n"
        "from loma_memory.store import Store\n"
        "try: Store.open('postgresql://h/d')\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    root = Path(database.__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=True)
    assert done.stdout.startswith("StoreError PostgreSQL needs its driver: pip install")
