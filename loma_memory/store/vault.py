"""What is written for a text, a segment or an id. This is the plain form; `encryption` has the other."""

from __future__ import annotations

from sqlalchemy import Connection, select

from loma_memory.errors import IntegrityError, StoreError
from loma_memory.store.ids import hash_fields
from loma_memory.store.tables import keys


class Vault:
    """Writes everything as it is.

    Attributes:
        encrypted: whether texts and segments are encrypted.
    """

    encrypted = False

    def check_writable(self, connection: Connection) -> None:
        """Checks, at the start of each write, that this form may still be written.

        Raises:
            StoreError: it may not.
        """
        if connection.execute(select(keys.c.key_id).limit(1)).first() is not None:
            raise StoreError("the database has been encrypted meanwhile: open the store again with the key")

    def row_id(self, message_id: str) -> str:
        """A message's id as it is written in the database."""
        return message_id

    def seal_message(
        self, namespace: str, row_id: str, message_id: str, text: str
    ) -> tuple[str | None, bytes | None]:
        """The columns `text` and `sealed` of a message."""
        return text, None

    def open_message(
        self, namespace: str, row_id: str, text: str | None, sealed: bytes | None
    ) -> tuple[str, str]:
        """Id and text of a message, from its columns.

        Raises:
            IntegrityError: the columns are not what `seal_message` writes.
        """
        if text is None or sealed is not None:
            raise IntegrityError("a message is encrypted in a database that is not")
        return row_id, text

    def open_id(self, namespace: str, row_id: str, sealed: bytes | None) -> str:
        """Id of a message, from its columns; its text need not be read.

        Raises:
            IntegrityError: as in `open_message`.
        """
        return row_id

    def seal_segment(self, namespace: str, row_id: str, fingerprint: str, codec: str, data: bytes) -> bytes:
        """The column `data` of a segment."""
        return data

    def open_segment(self, namespace: str, row_id: str, fingerprint: str, codec: str, stored: bytes) -> bytes:
        """A segment's data, from its column.

        Raises:
            IntegrityError: the column is not what `seal_segment` writes.
        """
        return stored

    def checksum(self, *fields: str | bytes | int) -> bytes:
        """32 bytes that change with any of the fields."""
        return hash_fields(*fields)
