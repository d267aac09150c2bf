"""Keys for encryption at rest, as users hand them over."""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Callable

from loma_memory.errors import UsageError

Key = str | Callable[[], str]


def new_key() -> str:
    """A new key: 32 random bytes in base64."""
    return base64.b64encode(os.urandom(32)).decode()


def parse_keys(key: Key) -> list[bytes]:
    """Keys of 32 bytes each, from base64 or hexadecimal digits, several with commas between.

    Raises:
        UsageError: one of them is not such a key. The message does not show it.
    """
    given = key if isinstance(key, str) else key()
    parsed = []
    for part in given.split(","):
        raw = _decode(part.strip())
        if raw is None or len(raw) != 32:
            raise UsageError("a key is 32 random bytes in base64 or hexadecimal digits; `new_key` makes one")
        parsed.append(raw)
    return parsed


def _decode(part: str) -> bytes | None:
    try:
        if len(part) == 64:
            return bytes.fromhex(part)
        return base64.b64decode(part.replace("-", "+").replace("_", "/"), validate=True)
    except (ValueError, binascii.Error):
        return None
