"""Encrypting what is there: under a new key, or for the first time."""

from __future__ import annotations

import logging
import os
from typing import Any

from sqlalchemy import Select, delete, func, insert, select, text, update

from loma_memory.errors import IntegrityError, StoreError
from loma_memory.store import erase, heads, segments
from loma_memory.store.database import Database
from loma_memory.store.encryption import EncryptedVault
from loma_memory.store.failpoints import reach
from loma_memory.store.keys import Key, parse_keys
from loma_memory.store.schema import prepare
from loma_memory.store.tables import fingerprints, keys, messages, namespaces
from loma_memory.store.tables import segments as segment_table
from loma_memory.store.unit import Unit
from loma_memory.store.vault import Vault

log = logging.getLogger(__name__)

_BATCH = 200  # rows in one transaction


def rotate(database: Database, vault: EncryptedVault) -> int:
    """Encrypts all rows under the vault's first key, and forgets all other keys. Returns how many rows.

    Rows are done in many small transactions, so others can go on. Stopped half-way, it can be called
    again, with both keys.
    """
    done = 0
    with database.write() as connection:
        known = connection.execute(select(keys.c.key_id).where(keys.c.key_id == vault.key_id)).first()
        if known is None:
            connection.execute(insert(keys).values(**vault.wrap()))
    for rewrite, query in ((_message, _messages(vault)), (_segment, _segments(vault))):
        last = 0
        while True:
            with database.write() as connection:
                unit = Unit(connection, vault)
                rows = connection.execute(query.where(query.selected_columns.n > last).limit(_BATCH)).all()
                for row in rows:
                    rewrite(unit, vault, row)
            reach("rotate.batch")
            if not rows:
                break
            done += len(rows)
            last = rows[-1].n
    return done + _finish(database, vault)


def encrypt_database(url: str, key: Key) -> int:
    """Encrypts a database that is in plain text, in one transaction. Returns how many rows.

    Whoever has it open has to open it again, with the key.

    Raises:
        StoreError: it is encrypted already, or cannot be written.
        IntegrityError: a session is not what was saved.
        UsageError: the key is none.
    """
    database = Database(url)
    try:
        prepare(database)
        done = _encrypt(database, EncryptedVault(parse_keys(key), os.urandom(32)))
        erase.compact(database)
    finally:
        database.close()
    return done


def _encrypt(database: Database, vault: EncryptedVault) -> int:
    plain = Vault()
    done = 0
    with database.write() as connection:
        unit, new = Unit(connection, plain), Unit(connection, vault)
        _stop_writers(unit)
        if connection.execute(select(func.count()).select_from(keys)).scalar_one():
            raise StoreError(f"{database.url.render_as_string()} is encrypted already")
        held = [heads.from_row(unit, row) for row in heads.rows(unit)]
        # Segments first: their checksums are of their messages' ids.
        for rewrite, query in ((_segment, _segments(vault)), (_message, _messages(vault))):
            last = 0
            batch = query.limit(_BATCH)
            while rows := connection.execute(batch.where(query.selected_columns.n > last)).all():
                for row in rows:
                    rewrite(new, plain, row)
                done += len(rows)
                last = rows[-1].n
        for session in held:
            heads.reseal(new, session)
        connection.execute(insert(keys).values(**vault.wrap()))
        if database.sqlite:
            connection.execute(text("INSERT INTO loma_search(loma_search) VALUES ('delete-all')"))
    return done


def _finish(database: Database, vault: EncryptedVault) -> int:
    """Does what others have written meanwhile, and keeps them from writing more under the old keys."""
    done = 0
    with database.write() as connection:
        unit = Unit(connection, vault)
        _stop_writers(unit)
        for rewrite, query in ((_message, _messages(vault)), (_segment, _segments(vault))):
            for row in connection.execute(query).all():
                done += rewrite(unit, vault, row)
        connection.execute(delete(keys).where(keys.c.key_id != vault.key_id))
    return done


def _stop_writers(unit: Unit) -> None:
    """Waits for writers, who all look at the table of keys first, and holds up new ones."""
    if not unit.sqlite:
        unit.connection.execute(text("LOCK TABLE loma_keys IN ACCESS EXCLUSIVE MODE"))


def _message(unit: Unit, old: Vault, row: Any) -> bool:
    try:
        id, words = old.open_message(row.namespace, row.id, row.text, row.sealed)
    except IntegrityError as error:
        log.warning("message %d in namespace %r stays as it is: %s", row.depth, row.namespace, error)
        return False
    row_id = unit.vault.row_id(id)
    plain, sealed = unit.vault.seal_message(row.namespace, row_id, id, words)
    change = update(messages).where(messages.c.n == row.n).values(id=row_id, text=plain, sealed=sealed)
    unit.connection.execute(change)
    return True


def _segment(unit: Unit, old: Vault, row: Any) -> bool:
    try:
        opened = segments.open_row(Unit(unit.connection, old), row.namespace, row.fingerprint, row)
    except IntegrityError as error:
        log.warning("a segment in namespace %r was dropped, to be rebuilt: %s", row.namespace, error)
        unit.connection.execute(delete(segment_table).where(segment_table.c.n == row.n))
        return False
    segments.rewrite(unit, row.namespace, row.n, opened)
    return True


def _messages(vault: EncryptedVault) -> Select[Any]:
    old = messages.c.sealed.is_(None) | (func.substr(messages.c.sealed, 1, len(vault.prefix)) != vault.prefix)
    query = select(messages, namespaces.c.name.label("namespace"))
    return query.join(namespaces, namespaces.c.n == messages.c.namespace_n).where(old).order_by(messages.c.n)


def _segments(vault: EncryptedVault) -> Select[Any]:
    data = segment_table.c.data
    return (
        select(
            segment_table,
            messages.c.id,
            messages.c.sealed,
            fingerprints.c.fingerprint,
            namespaces.c.name.label("namespace"),
        )
        .join(messages, messages.c.n == segment_table.c.message_n)
        .join(namespaces, namespaces.c.n == messages.c.namespace_n)
        .join(fingerprints, fingerprints.c.n == segment_table.c.fingerprint_n)
        .where(func.substr(data, 1, len(vault.prefix)) != vault.prefix)
        .order_by(segment_table.c.n)
    )
