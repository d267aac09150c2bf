"""Walking conversations turn by turn with several methods at once, batched over conversations."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from loma_memory.engine.onepass import Conversation
from loma_memory.engine.reader import Pass, Reader
from loma_memory.memory import MemoryState, Segment
from loma_memory.memory import codec as codecs


@dataclass(frozen=True)
class Step:
    """One turn of a batch of conversations.

    Attributes:
        turn: number of the turn, from 0.
        rows: which conversations are in the batch, by their place in the input.
        passes: the pass of each method.
        states: memory of each method after the turn, in the order of `rows`.
    """

    turn: int
    rows: list[int]
    passes: dict[str, Pass]
    states: dict[str, list[MemoryState]]


def walk(
    readers: Mapping[str, Reader],
    conversations: Sequence[Conversation],
    visit: Callable[[Step], None],
    *,
    batch: int = 16,
    codec: str = codecs.DEFAULT_CODEC,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, list[MemoryState]]:
    """Read every conversation with every method.

    Args:
        readers: a reader for each name.
        conversations: turns of messages of tokens.
        visit: called after every turn of every batch.
        batch: conversations read together; those of like length share a batch.
        codec: how segments are stored; what is read back is what later turns see, as in chat.
        progress: told how many conversations of how many are done.

    Returns:
        Each method's memory of each conversation at its end.
    """
    order = sorted(range(len(conversations)), key=lambda i: sum(len(m) for t in conversations[i] for m in t))
    final: dict[str, list[MemoryState]] = {n: [MemoryState()] * len(conversations) for n in readers}
    for start in range(0, len(order), batch):
        group = order[start : start + batch]
        for turn in range(max(len(conversations[i]) for i in group)):
            rows = [i for i in group if turn < len(conversations[i])]
            texts = [conversations[i][turn] for i in rows]
            passes, states = {}, {}
            for name, reader in readers.items():
                before = [final[name][i] for i in rows]
                done = reader.run(before, texts, write=True)
                kept = [[stored(x, codec) for x in segments] for segments in done.segments]
                after = [reader.method.update(b, k) for b, k in zip(before, kept, strict=True)]
                passes[name], states[name] = done, after
                for i, state in zip(rows, after, strict=True):
                    final[name][i] = state
            visit(Step(turn, rows, passes, states))
        if progress is not None:
            progress(min(start + batch, len(order)), len(order))
    return final


def stored(segment: Segment, codec: str) -> Segment:
    """What comes back of a segment that is stored with `codec`."""
    if codec == codecs.DEFAULT_CODEC:
        return segment
    layers, heads, _, width = segment.keys.shape
    back = codecs.decode(codecs.encode(segment, codec), (layers, heads, width), segment.keys.dtype)
    return back.to(segment.keys.device)


def within(conversation: Conversation, room: int) -> Conversation:
    """The first turns of a conversation, at most `room` tokens."""
    kept, used = [], 0
    for turn in conversation:
        used += sum(len(m) for m in turn)
        if used > room:
            break
        kept.append(turn)
    return kept
