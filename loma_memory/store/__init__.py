"""Sessions, conversations and their compressed memory in SQLite or PostgreSQL.

`Store` is the door; `records` has the values that pass it. Nothing here knows of models or tensors.
"""

from loma_memory.store.ids import canonical_text, message_id, root_id
from loma_memory.store.records import Message, NewMessage, NewSegment, SessionHead, StoredSegment
from loma_memory.store.store import Store

__all__ = [
    "Message",
    "NewMessage",
    "NewSegment",
    "SessionHead",
    "Store",
    "StoredSegment",
    "canonical_text",
    "message_id",
    "root_id",
]
