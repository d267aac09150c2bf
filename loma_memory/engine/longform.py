"""Texts without end: what has been written is compressed zone by zone, and the keys of its text are dropped.

LoMA's generation (arXiv 2401.09486): after every so many tokens the memory tokens run in one pass, their
slots are kept and the reading zone is evicted, so attention never reads more than slots and one zone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from loma_memory.engine.decode import decode
from loma_memory.engine.reader import Reader
from loma_memory.engine.sampling import Sampling
from loma_memory.errors import UsageError
from loma_memory.memory import MemoryState


def write_on(
    reader: Reader,
    state: MemoryState,
    prompt: Sequence[int],
    sampling: Sampling,
    *,
    max_tokens: int,
    zone: int,
) -> Iterator[tuple[int, MemoryState]]:
    """Generate after a prompt, compressing what is behind.

    Args:
        reader: model, method and adapter.
        state: memory to begin with.
        prompt: tokens that the text begins with; they share the first zones with what is generated.
        sampling: how tokens are chosen; the repetition penalty looks back over one zone.
        max_tokens: at most so many are generated.
        zone: tokens of text at which the reading zone is compressed.

    Yields:
        Each token, with the memory at that moment.

    Raises:
        UsageError: an empty prompt, or a zone of less than 2 tokens.
    """
    if not prompt:
        raise UsageError("a text to go on with must hold at least one token")
    if zone < 2:
        raise UsageError(f"a zone must have at least 2 tokens, got {zone}")
    reading, left = list(prompt), max_tokens
    while left > 0:
        while len(reading) > zone:
            state = _compressed(reader, state, reading[:zone])
            reading = reading[zone:]
        room = min(left, zone - len(reading) + 1)
        done = reader.run([state], [[reading]], reserve=room)
        said = 0
        for step in decode(reader, done, [reading], sampling, room):
            token = step[0]
            assert token is not None  # a batch of one ends when it stops
            reading.append(token)
            said += 1
            yield token, state
        left -= said
        if said < room:
            return


def _compressed(reader: Reader, state: MemoryState, zone: Sequence[int]) -> MemoryState:
    return reader.remember([state], [[list(zone)]])[1][0]
