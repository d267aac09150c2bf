"""The values that go into the store and come out of it. All are immutable."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class NewMessage:
    """A message to be saved.

    Attributes:
        role: "user", "assistant" or "note".
        text: what was said; saved and hashed in its canonical form (`ids.canonical_text`).
        created_at: when it was said (aware datetime); None means now.
    """

    role: str
    text: str
    created_at: datetime | None = None


@dataclass(frozen=True)
class Message:
    """A saved message.

    Attributes:
        id: hash of the parent's id, role and text, so it stands for the whole conversation up to here.
        parent_id: id of the message before, or the namespace's root.
        depth: place in the conversation, from 1.
        turn: turn that it belongs to, from 1; a "user" or "note" message begins a turn.
        role: "user", "assistant" or "note".
        text: what was said.
        created_at: when it was first saved, UTC.
    """

    id: str
    parent_id: str
    depth: int
    turn: int
    role: str
    text: str
    created_at: datetime


@dataclass(frozen=True)
class NewSegment:
    """The memory of one message, to be saved.

    Attributes:
        slots: how many key/value positions it holds.
        codec: name of the encoding of `data`.
        data: the encoded tensors; opaque to the store.
    """

    slots: int
    codec: str
    data: bytes


@dataclass(frozen=True)
class StoredSegment:
    """The memory of one message, as saved under one fingerprint; its checksum has been verified."""

    message_id: str
    fingerprint: str
    slots: int
    codec: str
    data: bytes


@dataclass(frozen=True)
class SessionHead:
    """A session as it was at one moment: a name that points at the last message of a conversation.

    Attributes:
        namespace: whose session it is; nothing is shared across namespaces.
        name: its name, unique in the namespace.
        head_id: id of the last message, or the namespace's root while the session is empty.
        version: grows by one with every move of the head; what compare-and-swap compares.
        turns: number of turns.
        messages: number of messages.
        created_at: UTC.
        updated_at: when the head last moved, UTC; never goes back, even where the clock does.
        expires_at: when `Store.expire` may delete it, UTC; None means never.
    """

    namespace: str
    name: str
    head_id: str
    version: int
    turns: int
    messages: int
    created_at: datetime
    updated_at: datetime
    expires_at: datetime | None = None
