"""Which schema a database has, and how it gets the present one."""

from __future__ import annotations

from sqlalchemy import Connection, text

from loma_memory.errors import SchemaError, StoreError
from loma_memory.store.database import Database
from loma_memory.store.failpoints import reach
from loma_memory.store.tables import VERSION_TABLE

# All released revisions, oldest first; a test holds it against the migration files.
REVISIONS = ("0001",)
# Any number will do, as long as every version of this library locks the same one.
_MIGRATION_LOCK = 0x6C6F6D61


def stored_revision(connection: Connection) -> str | None:
    """The schema that the database has; None where this library has not been yet."""
    if not connection.dialect.has_table(connection, VERSION_TABLE):
        return None
    return connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar_one_or_none()


def prepare(database: Database) -> None:
    """Brings the database to the present schema, in one transaction; writes nothing if it is there.

    Raises:
        SchemaError: a newer version of this library wrote it. It is left untouched.
        StoreError: it cannot be read, or cannot be written and needs to be.
    """
    with database.read() as connection:
        if not database.sqlite:
            _check_encoding(connection, database)
        if _is_current(stored_revision(connection), database):
            return
    with database.write() as connection:
        if not database.sqlite:
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _MIGRATION_LOCK})
        if _is_current(stored_revision(connection), database):
            return  # another process came first
        _upgrade(connection)
        reach("migrate.upgraded")


def _check_encoding(connection: Connection, database: Database) -> None:
    encoding = connection.execute(text("SHOW server_encoding")).scalar_one()
    if encoding != "UTF8":
        raise StoreError(f"{database.url.render_as_string()} has encoding {encoding}; a store needs UTF8")


def _is_current(revision: str | None, database: Database) -> bool:
    if revision is not None and revision not in REVISIONS:
        raise SchemaError(
            f"{database.url.render_as_string()} has schema {revision}, and this version of loma-memory "
            f"knows schemas up to {REVISIONS[-1]}: it was left untouched; use a newer version"
        )
    return revision == REVISIONS[-1]


def _upgrade(connection: Connection) -> None:
    # Imported here: Alembic takes longer to load than an up-to-date database takes to open.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "loma_memory.store:migrations")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
