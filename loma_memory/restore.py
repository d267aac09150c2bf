"""From stored conversations back to memory: segments where they are good, the transcript where not."""

from __future__ import annotations

from collections.abc import Sequence

from loma_memory.data import Message
from loma_memory.engine.engine import Engine, Written
from loma_memory.errors import IntegrityError
from loma_memory.memory import MemoryState, Segment
from loma_memory.store import Message as StoredMessage
from loma_memory.store import NewSegment, StoredSegment


def restore(
    engine: Engine, path: Sequence[StoredMessage], stored: Sequence[StoredSegment | None]
) -> tuple[MemoryState, dict[str, NewSegment], int]:
    """Memory of a conversation.

    Args:
        engine: whose memory it is to be.
        path: the conversation, from its first message.
        stored: the segment of each message under the engine's fingerprint, or None.

    Returns:
        The state, the segments that had to be made, by message id, and the tokens read for them.
    """
    state = MemoryState()
    made: dict[str, NewSegment] = {}
    reread = 0
    segments = [segment_of(engine, s) for s in stored]
    for turn in by_turn(path):
        found = [segments[i] for i in turn]
        good = [s for s in found if s is not None]
        if len(good) == len(found):
            state = engine.grow(state, good)
            continue
        messages = [Message(path[i].role, path[i].text) for i in turn]
        before = state.text_tokens
        state, written = engine.remember(state, [messages])
        reread += state.text_tokens - before
        made.update({path[i].id: new_segment(w) for i, w in zip(turn, written[0], strict=True)})
    return state, made, reread


def segment_of(engine: Engine, stored: StoredSegment | None) -> Segment | None:
    """A stored segment, or None where there is none or its bytes are no segment of this model."""
    if stored is None:
        return None
    try:
        return engine.restore(stored.data)
    except IntegrityError:
        return None


def new_segment(written: Written) -> NewSegment:
    """A segment that the engine has written, as the store takes it."""
    return NewSegment(written.slots, written.codec, written.data)


def by_turn(path: Sequence[StoredMessage]) -> list[list[int]]:
    """Places of the messages of each turn in a path."""
    turns: list[list[int]] = []
    for i, message in enumerate(path):
        if not turns or path[turns[-1][-1]].turn != message.turn:
            turns.append([])
        turns[-1].append(i)
    return turns
