"""Handles: names of saved conversations that a host carries along in its messages."""

from __future__ import annotations

import re
from dataclasses import dataclass

_HANDLE = re.compile(r"mem_(\d{1,9})_([0-9a-z]+)_([0-9a-f]+)")


@dataclass(frozen=True)
class Handle:
    """A handle, taken apart.

    Attributes:
        message_id: the message that it stands for, with all before it.
        depth: how many messages these are; tells a window that was cut from a history that is whole.
    """

    message_id: str
    depth: int


def handle_of(message_id: str, depth: int) -> str:
    """The handle of a saved message: plain text that survives any host's serialisation."""
    tag, _, digest = message_id.partition(":")
    return f"mem_{depth}_{tag}_{digest}"


def parse_handle(text: str | None) -> Handle | None:
    """A handle from its text; None where it is none of ours."""
    found = _HANDLE.fullmatch(text) if isinstance(text, str) else None
    return None if found is None else Handle(f"{found[2]}:{found[3]}", int(found[1]))
