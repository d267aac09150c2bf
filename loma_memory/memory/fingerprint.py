"""What made a segment: a name for everything that its bits depend on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any


def digest(data: bytes) -> str:
    """blake2b-256 with its tag, hex."""
    return "b2:" + hashlib.blake2b(data, digest_size=32).hexdigest()


def fingerprint(settings: Mapping[str, Any]) -> str:
    """The name of settings given as plain JSON; equal settings have equal names."""
    text = json.dumps(settings, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return digest(text.encode())
