"""The memory of a session: an immutable value that grows by one turn at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from loma_memory.attention.layout import TokenLayout
from loma_memory.memory.segment import Segment


@dataclass(frozen=True, eq=False)
class Entry:
    """A segment with its place in the session."""

    turn: int
    message: int
    segment: Segment

    def of_layers(self, count: int) -> Entry:
        """The same entry with its slots' keys and values in the first `count` layers alone."""
        some = self.segment
        cut = replace(some, keys=some.keys[:count], values=some.values[:count])
        return replace(self, segment=cut)


@dataclass(frozen=True, eq=False)
class MemoryState:
    """What a session remembers.

    Attributes:
        entries: segments in order, each with its turn and message number.
        turns: finished turns.
        messages: finished messages.
        text_tokens: tokens of text in the finished turns; the next token of text stands at this
            place (true distance), whatever the number of slots.
    """

    entries: tuple[Entry, ...] = ()
    turns: int = 0
    messages: int = 0
    text_tokens: int = 0

    @property
    def segments(self) -> tuple[Segment, ...]:
        """The segments in order."""
        return tuple(e.segment for e in self.entries)

    @property
    def slots(self) -> int:
        """Number of slots in attention."""
        return sum(s.slots for s in self.segments)

    @property
    def nbytes(self) -> int:
        """Bytes of keys and values in memory."""
        return sum(s.nbytes for s in self.segments)

    def with_turn(self, segments: Sequence[Segment]) -> MemoryState:
        """The state after one more turn whose messages became `segments`."""
        added = tuple(Entry(self.turns, self.messages + i, s) for i, s in enumerate(segments))
        return MemoryState(
            self.entries + added,
            self.turns + 1,
            self.messages + len(segments),
            self.text_tokens + sum(s.text_tokens for s in segments),
        )

    def before(self, turn: int) -> MemoryState:
        """The state before turn `turn`, from 0; of methods that keep every message's slots as they were."""
        entries = tuple(e for e in self.entries if e.turn < turn)
        return MemoryState(entries, turn, len(entries), sum(e.segment.text_tokens for e in entries))

    def keeping(self, entries: Sequence[Entry]) -> MemoryState:
        """The same session with other entries (a method's update may drop or replace some)."""
        return replace(self, entries=tuple(entries))

    def layout(self) -> TokenLayout:
        """Layout of all slots, (slots,)."""
        empty = TokenLayout.of(0, 0, 0, [])
        return TokenLayout.cat([empty, *(e.segment.layout(e.turn, e.message) for e in self.entries)])

    def keys_values(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of all slots behind those given, (L, Hkv, S + slots, D) each, copied once."""
        return (
            torch.cat([keys, *(s.keys for s in self.segments)], dim=2),
            torch.cat([values, *(s.values for s in self.segments)], dim=2),
        )
