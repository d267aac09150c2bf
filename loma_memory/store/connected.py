"""A store's connection: opening it with or without a key, and its transactions."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from sqlalchemy import select

from loma_memory.errors import StoreError
from loma_memory.store.database import Database
from loma_memory.store.keys import Key
from loma_memory.store.schema import prepare
from loma_memory.store.tables import keys
from loma_memory.store.unit import Unit
from loma_memory.store.vault import Vault


class Connected:
    """What every part of a store stands on.

    Attributes:
        database: the database, for those who need to look behind the store (tests, mostly).
    """

    def __init__(self, database: Database, vault: Vault) -> None:
        """Use `Store.open`."""
        self.database = database
        self._vault = vault

    @classmethod
    def open(cls, url: str, *, key: Key | None = None) -> Self:
        """Opens a database, and creates or upgrades its tables where needed.

        Args:
            url: `sqlite:///chats.db`, `sqlite://` (in memory, gone when closed) or
                `postgresql://user@host/database`.
            key: for encryption at rest: 32 random bytes in base64 or hexadecimal digits (`new_key`), or a
                function that gives them. None takes the environment's LOMA_KEY, and without that there
                is no encryption. Of several keys with commas between, the first encrypts and all decrypt.

        Raises:
            UsageError: the URL is not one of these, or the key is none.
            SchemaError: a newer version of this library wrote the database; it was left untouched.
            StoreError: it cannot be opened, is no database, is encrypted under another key or without
                one being given, or is in plain text although one is.
        """
        database = Database(url)
        try:
            prepare(database)
            database.log_ahead()
            vault = _vault(database, key)
        except BaseException:
            database.close()
            raise
        return cls(database, vault)

    def close(self) -> None:
        """Closes the connections. Later calls raise StoreError."""
        self.database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def _read(self) -> Iterator[Unit]:
        with self.database.read() as connection:
            yield Unit(connection, self._vault)

    @contextmanager
    def _write(self) -> Iterator[Unit]:
        with self.database.write() as connection:
            unit = Unit(connection, self._vault)
            self._vault.check_writable(unit.connection)
            yield unit


def _vault(database: Database, key: Key | None) -> Vault:
    key = key or os.environ.get("LOMA_KEY") or None
    # Imported here: few use it, and it needs a library that need not be installed.
    if key is not None:
        from loma_memory.store import encryption

        return encryption.open_vault(database, key)
    with database.read() as connection:
        ids = connection.execute(select(keys.c.key_id).order_by(keys.c.key_id)).scalars().all()
    if ids:
        raise StoreError(
            f"{database.url.render_as_string()} is encrypted under key {', '.join(ids)}: "
            "give the key, or set LOMA_KEY"
        )
    return Vault()
