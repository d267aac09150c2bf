"""Reading text that people hand over."""

from __future__ import annotations

import sys
from pathlib import Path

from loma_memory.errors import UsageError


def decoded(data: bytes, where: str) -> str:
    """Bytes as UTF-8 text.

    Raises:
        UsageError: they are not; the message names the byte.
    """
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{where} must be UTF-8 text; byte {error.start} is 0x{data[error.start]:02x}"
        ) from None


def read_text(name: str) -> str:
    """The text of a file; "-" is standard input.

    Raises:
        UsageError: it cannot be read, is not UTF-8, or holds only white space.
    """
    try:
        data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {name}: {error.strerror or error}") from None
    text = decoded(data, name)
    if not text.strip():
        raise UsageError(f"{name} holds no text")
    return text
