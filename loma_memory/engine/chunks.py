"""Cutting long texts into notes that a turn can hold."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

CHUNK_TOKENS = 200
"""A note's longest length in tokens."""

_SEAMS = (re.compile(r"\n\s*\n"), re.compile(r"(?<=[.!?])\s+"), re.compile(r"\s+"))


def chunks(text: str, count: Callable[[str], int], limit: int = CHUNK_TOKENS) -> list[str]:
    """Cut a text between paragraphs, else sentences, else words, else anywhere.

    Args:
        text: what to cut.
        count: tokens of a text.
        limit: the longest chunk in tokens.

    Returns:
        Non-empty chunks, in order, each as long as the seams allow.
    """
    found: list[str] = []
    size = 0
    for piece in _pieces(text.strip(), count, limit, 0):
        tokens = count(piece)
        if found and size + tokens < limit:
            found[-1] += "\n" + piece
            size += tokens + 1
        else:
            found.append(piece)
            size = tokens
    return found


def _pieces(text: str, count: Callable[[str], int], limit: int, level: int) -> Iterator[str]:
    if not text:
        return
    if count(text) <= limit:
        yield text
    elif level < len(_SEAMS):
        for part in _SEAMS[level].split(text):
            yield from _pieces(part.strip(), count, limit, level + 1)
    else:
        half = len(text) // 2
        yield from _pieces(text[:half], count, limit, level)
        yield from _pieces(text[half:], count, limit, level)
