"""Run by Alembic. The caller owns the connection and its transaction (`schema.prepare`)."""

from __future__ import annotations

from alembic import context

from loma_memory.store.tables import VERSION_TABLE

# transactional_ddl: SQLite's DDL is transactional when BEGIN is explicit, and here it is.
context.configure(
    connection=context.config.attributes["connection"],
    version_table=VERSION_TABLE,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
