"""Sessions, conversations and their compressed memory in SQLite or PostgreSQL.

`Store` is the door; `records` has the values that pass it. Nothing here knows of models or tensors.
"""

from loma_memory.store.ids import canonical_text, message_id, root_id
from loma_memory.store.keys import Key, new_key
from loma_memory.store.records import (
    Erased,
    Message,
    NewMessage,
    NewSegment,
    SearchHit,
    SessionHead,
    SessionReport,
    Stats,
    StoredSegment,
    VerifyReport,
)
from loma_memory.store.store import Store


def encrypt_database(url: str, key: Key) -> int:
    """Encrypts a database that is in plain text; see `rotation.encrypt_database`."""
    from loma_memory.store import rotation

    return rotation.encrypt_database(url, key)


__all__ = [
    "Erased",
    "Key",
    "Message",
    "NewMessage",
    "NewSegment",
    "SearchHit",
    "SessionHead",
    "SessionReport",
    "Stats",
    "Store",
    "StoredSegment",
    "VerifyReport",
    "canonical_text",
    "encrypt_database",
    "message_id",
    "new_key",
    "root_id",
]
