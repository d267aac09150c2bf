"""One database: how it is opened, how its transactions run, and what its errors are called.

A turn counts as saved when its transaction has committed, and then it must survive a killed process and
a lost power supply. So SQLite runs in WAL mode with synchronous=FULL (the log is synced at each commit),
and PostgreSQL with its own settings. Erased bytes must be gone, so secure_delete is on and nothing is
spilled to temporary files.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy
from sqlalchemy import URL, Connection, Engine, event, exc, make_url
from sqlalchemy.pool import ConnectionPoolEntry, QueuePool, StaticPool

from loma_memory.errors import StoreError, UsageError

_BUSY_SECONDS = 60
_DRIVERS = {
    "sqlite": "sqlite",
    "sqlite+pysqlite": "sqlite",
    "postgresql": "postgresql+psycopg",
    "postgres": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
}


class Database:
    """An engine with the rules of its transactions.

    Attributes:
        url: where it is; its text form hides the password.
        engine: SQLAlchemy's engine.
        sqlite: whether it is SQLite.
        memory: whether it is SQLite in memory, which is one connection that all threads share.
    """

    def __init__(self, url: str) -> None:
        """Prepares a database without connecting to it.

        Args:
            url: `sqlite:///chats.db`, `sqlite://` (in memory) or `postgresql://user@host/name`.

        Raises:
            UsageError: it is not a URL of one of these.
            StoreError: the driver is not installed, or the folder of the file does not exist.
        """
        self.url = parse_url(url)
        self.sqlite = self.url.drivername == "sqlite"
        self.memory = self.sqlite and self.url.database in (None, "", ":memory:")
        # SQLite has one writer at a time. Threads of one process queue here, in order of arrival, and
        # not in SQLite's busy handler, which sleeps and lets anybody pass. In memory there is but one
        # connection, so readers queue as well.
        self._lock = threading.RLock()
        self._closed = False
        if self.sqlite and not self.memory:
            _claim_file(self.url)
        self.engine = self._make_engine()

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that only reads.

        Raises:
            StoreError: the database fails, in one line and without its own traceback.
        """
        with self._lock if self.memory else contextlib.nullcontext(), self._transaction(False) as connection:
            yield connection

    @contextlib.contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that holds SQLite's write lock from its beginning.

        It commits when the block ends and leaves nothing behind when the block or the commit fails.

        Raises:
            StoreError: as in `read`.
        """
        with self._lock if self.sqlite else contextlib.nullcontext(), self._transaction(True) as connection:
            yield connection

    @contextlib.contextmanager
    def outside(self) -> Iterator[Connection]:
        """A connection without a transaction, for what cannot run in one (VACUUM, checkpoints).

        Raises:
            StoreError: as in `read`.
        """
        with self._lock if self.sqlite else contextlib.nullcontext(), self.translated():
            self._check_open()
            with self.engine.connect() as connection:
                if self.sqlite:
                    yield connection.execution_options(loma_begin=None)
                else:
                    yield connection.execution_options(isolation_level="AUTOCOMMIT")

    def log_ahead(self) -> None:
        """Puts a SQLite file into WAL mode, once it is known to be ours; readers then never wait.

        A file that cannot be written stays as it is, and can be read.
        """
        if self.sqlite and not self.memory:
            with self.outside() as connection:
                mode = connection.exec_driver_sql("PRAGMA journal_mode").scalar_one()
                if mode != "wal":
                    with contextlib.suppress(exc.OperationalError):
                        connection.exec_driver_sql("PRAGMA journal_mode=WAL")

    def close(self) -> None:
        """Closes all connections. Later calls raise StoreError."""
        with self._lock:
            self._closed = True
            self.engine.dispose()

    @contextlib.contextmanager
    def translated(self) -> Iterator[None]:
        """Turns errors of the driver into StoreError. They can quote rows, so only their gist is kept."""
        try:
            yield
        except (exc.SQLAlchemyError, sqlite3.Error, OSError, UnicodeError) as error:
            raise StoreError(f"{self.url.render_as_string()}: {gist(error)}") from None

    @contextlib.contextmanager
    def _transaction(self, write: bool) -> Iterator[Connection]:
        self._check_open()
        with self.translated(), self.engine.connect() as connection:
            # A deferred transaction that writes later can fail half-way with "locked", whatever the timeout.
            connection = connection.execution_options(loma_begin="BEGIN IMMEDIATE" if write else "BEGIN")
            with connection.begin():
                yield connection

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError(f"{self.url.render_as_string()}: this store has been closed")

    def _make_engine(self) -> Engine:
        # Parameters are the users' words; they must not get into messages and logs.
        options: dict[str, Any] = {"hide_parameters": True}
        if self.sqlite:
            options["connect_args"] = {"check_same_thread": False, "timeout": _BUSY_SECONDS}
            options["poolclass"] = StaticPool if self.memory else QueuePool
        else:
            options["connect_args"] = {"connect_timeout": 10, "application_name": "loma-memory"}
            options["pool_pre_ping"] = True  # a connection lost while idle is replaced unseen
        if options.get("poolclass") is not StaticPool:
            options |= {"pool_size": 8, "max_overflow": 24, "pool_timeout": _BUSY_SECONDS}
        try:
            engine = sqlalchemy.create_engine(self.url, **options)
        except ImportError:
            raise StoreError("PostgreSQL needs its driver: pip install 'loma-memory[postgres]'") from None
        if self.sqlite:
            event.listen(engine, "connect", _set_up_sqlite)
            event.listen(engine, "begin", _begin_sqlite)
        return engine


def parse_url(url: str) -> URL:
    """The URL of a store, with the driver that this library uses.

    Raises:
        UsageError: it is no URL, or one of another kind of database.
    """
    rule = "a store is a URL like sqlite:///chats.db or postgresql://user@host/database"
    try:
        parsed = make_url(url)
    except exc.ArgumentError:
        raise UsageError(f"{rule}; this is none") from None
    if parsed.drivername not in _DRIVERS:
        raise UsageError(f"{rule}, not {parsed.drivername}://")
    parsed = parsed.set(drivername=_DRIVERS[parsed.drivername])
    if parsed.drivername == "sqlite" and (parsed.database or "").startswith("~"):
        parsed = parsed.set(database=str(Path(parsed.database or "").expanduser()))
    return parsed


def gist(error: BaseException) -> str:
    """What happened, in one line and without quoting any row."""
    if isinstance(error, exc.TimeoutError):
        return f"all connections stayed in use for {_BUSY_SECONDS} s"
    if isinstance(error, UnicodeError):  # the driver fails on names in a damaged file
        return "the file is damaged"
    cause = getattr(error, "orig", None) or error
    primary = getattr(getattr(cause, "diag", None), "message_primary", None)  # PostgreSQL, without DETAIL
    words = str(primary or cause).strip().splitlines() or [type(cause).__name__]
    line = words[0]
    if "database is locked" in line:
        return f"another process has kept the database locked for {_BUSY_SECONDS} s"
    return line


def _claim_file(url: URL) -> None:
    """Checks a SQLite file's folder, and creates a new file readable by its owner only."""
    if url.query.get("uri") or (url.database or "").startswith("file:"):
        return
    path = Path(url.database or "")
    if not path.parent.is_dir():
        raise StoreError(f"{url.render_as_string()}: the folder {path.parent} does not exist")
    with contextlib.suppress(OSError):  # it exists, or SQLite will say why it cannot be opened
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


def _set_up_sqlite(connection: sqlite3.Connection, _: ConnectionPoolEntry) -> None:
    # Damaged text must arrive as such, to be refused by its hash; the driver's own error would quote it.
    connection.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
    connection.isolation_level = None  # BEGIN is ours, or DDL would not be part of a transaction
    for pragma in (
        "page_size=8192",  # new files only: a segment's overflow pages are read twice as fast as with 4096
        f"busy_timeout={_BUSY_SECONDS * 1000}",
        "foreign_keys=ON",
        "synchronous=FULL",
        "secure_delete=ON",
        "temp_store=MEMORY",
        "cell_size_check=ON",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    statement = connection.get_execution_options().get("loma_begin", "BEGIN")
    if statement is not None:
        connection.exec_driver_sql(statement)
