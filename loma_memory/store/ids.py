"""Names of messages: hashes that chain every message to all that came before it."""

from __future__ import annotations

import hashlib
import re

from loma_memory.errors import UsageError

ROLES = frozenset({"user", "assistant", "note"})
TURN_OPENERS = frozenset({"user", "note"})

_TAG = "b2:"
_MAX_NAME = 200
# What PostgreSQL cannot hold (NUL) and what UTF-8 cannot say (lone surrogates). A model may well
# generate either; losing a turn over it would be worse than the replacement character.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")


def canonical_text(text: str) -> str:
    """The form of a text that is hashed and saved: storable characters only, no space around it."""
    return _UNSTORABLE.sub("\ufffd", text).strip()


def root_id(namespace: str) -> str:
    """Parent id of every first message in a namespace.

    The fingerprint of the model is no part of it: a transcript outlives an upgrade of the model.
    """
    return _tagged("loma root", namespace)


def message_id(parent_id: str, role: str, text: str) -> str:
    """Id of a message with that text after that parent.

    Raises:
        UsageError: the role is not one of `ROLES`.
    """
    if role not in ROLES:
        raise UsageError(f"a message's role must be one of {', '.join(sorted(ROLES))}, not {role!r}")
    return _tagged("loma message", parent_id, role, canonical_text(text))


def turn_after(turn: int, role: str) -> int:
    """The turn of a message with this role that follows a message of turn `turn` (0: none before)."""
    return turn + 1 if role in TURN_OPENERS or turn == 0 else turn


def check_name(kind: str, name: str) -> str:
    """Returns a session's name (`kind` "session") or a namespace's ("namespace") if it may be one.

    Raises:
        UsageError: it is too long, has control characters, or is an empty session name.
    """
    if not isinstance(name, str) or len(name) > _MAX_NAME or _CONTROL.search(name):
        raise UsageError(
            f"a {kind} name must be text of at most {_MAX_NAME} characters, none of them a control character"
        )
    if kind == "session" and not name.strip():
        raise UsageError("a session name must not be empty")
    return name


def hash_fields(*fields: str | bytes | int, key: bytes = b"") -> bytes:
    """blake2b-256 of fields, each led by its length, so that no two lists of fields look alike."""
    digest = hashlib.blake2b(digest_size=32, key=key)
    small = b""  # short fields are gathered: a call for each would take longer than hashing them
    for field in fields:
        raw = field if isinstance(field, bytes) else str(field).encode("utf-8", "surrogatepass")
        small += len(raw).to_bytes(8, "big")
        if len(raw) < 1024:
            small += raw
        else:
            digest.update(small)
            digest.update(raw)
            small = b""
    digest.update(small)
    return digest.digest()


def _tagged(*fields: str) -> str:
    return _TAG + hash_fields(*fields).hex()
