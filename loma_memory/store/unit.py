"""What every query needs at hand: the connection of its transaction, and the vault."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Connection, Insert, Table, select

from loma_memory.errors import SessionConflict, SessionNotFound
from loma_memory.store.tables import namespaces
from loma_memory.store.vault import Vault

# Both databases take tens of thousands of parameters in one statement, but not any number.
CHUNK = 500
Item = TypeVar("Item")


@dataclass(frozen=True)
class Unit:
    """One transaction."""

    connection: Connection
    vault: Vault

    @property
    def sqlite(self) -> bool:
        """Whether the database is SQLite."""
        return self.connection.dialect.name == "sqlite"

    def insert_or_ignore(self, table: Table, values: Mapping[str, Any], key: Sequence[str]) -> Insert:
        """An INSERT that does nothing where a row with the same `key` columns exists."""
        statement: Insert = self._insert(table).values(**values).on_conflict_do_nothing(index_elements=key)
        return statement

    def insert_or_replace(self, table: Table, values: Mapping[str, Any], key: Sequence[str]) -> Insert:
        """An INSERT that overwrites the other columns of a row with the same `key` columns."""
        changed = {name: value for name, value in values.items() if name not in key}
        statement: Insert = (
            self._insert(table).values(**values).on_conflict_do_update(index_elements=key, set_=changed)
        )
        return statement

    def namespace_n(self, namespace: str, *, create: bool = False) -> int:
        """Number of a namespace.

        Raises:
            SessionNotFound: nothing was ever saved in it, and it is not to be created.
        """
        query = select(namespaces.c.n).where(namespaces.c.name == namespace)
        n = self.connection.execute(query).scalar_one_or_none()
        if n is None and create:
            self.connection.execute(self.insert_or_ignore(namespaces, {"name": namespace}, ["name"]))
            n = self.connection.execute(query).scalar_one_or_none()
        if n is None:
            raise SessionNotFound(f"the namespace {namespace!r} has no sessions")
        return int(n)

    def lock_namespace(self, namespace_n: int, *, exclusive: bool) -> None:
        """Keeps erasing and appending in one namespace apart until the transaction ends.

        An appender may reuse a message that nothing points at yet, and an eraser deletes what nothing
        points at. SQLite has one writer at a time anyway.

        Raises:
            SessionConflict: the namespace has been erased since its number was read.
        """
        if not self.sqlite:
            query = select(namespaces.c.n).where(namespaces.c.n == namespace_n)
            locked = self.connection.execute(query.with_for_update(read=not exclusive))
            if locked.scalar_one_or_none() is None:
                raise SessionConflict("the namespace has just been erased; nothing was saved")

    def _insert(self, table: Table) -> Any:  # the two dialects' INSERTs share no type
        if self.sqlite:
            from sqlalchemy.dialects import sqlite

            return sqlite.insert(table)
        from sqlalchemy.dialects import postgresql

        return postgresql.insert(table)


def chunks(items: list[Item], size: int = CHUNK) -> Iterator[list[Item]]:
    """The items in lists of at most `size`."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
