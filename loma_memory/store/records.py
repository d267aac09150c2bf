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


@dataclass(frozen=True)
class Erased:
    """What an erasing verb has deleted.

    Attributes:
        sessions: how many sessions.
        messages: how many messages that no session held any more.
        segments: how many segments of these messages.
        complete: whether no byte of it is left in the database's files. PostgreSQL keeps deleted rows
            until `Store.vacuum`; SQLite cannot empty its log while another process is reading.
    """

    sessions: int
    messages: int
    segments: int
    complete: bool = True


@dataclass(frozen=True)
class SearchHit:
    """A message that a search has found.

    Attributes:
        message: the message.
        sessions: names of the sessions whose conversation it is part of, in alphabetical order.
    """

    message: Message
    sessions: tuple[str, ...]


@dataclass(frozen=True)
class Stats:
    """Sizes of a session, a namespace or a whole database.

    Attributes:
        sessions: number of sessions.
        turns: number of turns, those that several sessions share counted for each of them.
        messages: number of saved messages, those that several sessions share counted once.
        characters: length of their texts (in bytes where they are encrypted).
        segments: number of segments, under all fingerprints.
        slots: number of their slots.
        segment_bytes: bytes of their data, as saved.
    """

    sessions: int
    turns: int
    messages: int
    characters: int
    segments: int
    slots: int
    segment_bytes: int


@dataclass(frozen=True)
class SessionReport:
    """What `Store.verify` has found in one session.

    Attributes:
        namespace: its namespace.
        name: its name.
        messages: number of messages that its head reaches.
        segments: number of their segments.
        bad_messages: depths of messages that are not what was saved.
        bad_segments: depth and fingerprint of segments that are not; they can be rebuilt.
        problem: what is wrong with the session's own row or its chain, if anything.
    """

    namespace: str
    name: str
    messages: int
    segments: int
    bad_messages: tuple[int, ...]
    bad_segments: tuple[tuple[int, str], ...]
    problem: str | None

    @property
    def ok(self) -> bool:
        """Whether everything is as it was saved."""
        return not (self.bad_messages or self.bad_segments or self.problem)


@dataclass(frozen=True)
class VerifyReport:
    """What `Store.verify` has found.

    Attributes:
        sessions: one report for each session.
        problems: what is wrong with the database as a whole.
    """

    sessions: tuple[SessionReport, ...]
    problems: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether everything is as it was saved."""
        return not self.problems and all(session.ok for session in self.sessions)
