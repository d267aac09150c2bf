"""Sessions, conversations and their compressed memory in SQLite or PostgreSQL.

`Store` is the door; `records` has the values that pass it. Nothing here knows of models or tensors.
"""

from loma_memory.store.ids import canonical_text, message_id, root_id
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

__all__ = [
    "Erased",
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
    "message_id",
    "root_id",
]
