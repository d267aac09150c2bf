"""CCM-merge: memory of a fixed size, the running mean of every turn's memory tokens (arXiv 2312.03414 §3.1).

Keys and values of a slot are averaged as they are, keys rotated: rotated keys of different phases are
averaged, which is the method. Departs from the paper in that memory tokens stand spread over each
message, the two messages of an exchange have slots of their own, and the sink is on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor

from loma_memory.attention import rules
from loma_memory.attention.layout import MEMORY, MERGED, TokenLayout
from loma_memory.memory import Entry, MemoryState, Segment
from loma_memory.methods.sizes import Fixed


class CCMMerge(Fixed):
    """2 × `slots` slots, however long the session: one set for what users say, one for the replies."""

    name: ClassVar[str] = "ccm-merge"
    needs_adapter: ClassVar[bool] = True

    def share(self, count: int) -> float:
        """Weight of the `count`-th message (from 1) that comes into a mean: 1/t, the arithmetic mean."""
        return 1.0 / count

    def visible(self, q: TokenLayout, k: TokenLayout) -> Tensor:
        """The sink, the own turn, and the means as they were when the turn before had ended."""
        means = rules.earlier_means(q, k)
        return rules.sinks(q, k) | rules.own_turn(q, k) | means | rules.pads(q, k)

    def keeps(self, layout: TokenLayout) -> Tensor:
        """The memory tokens."""
        return layout.kind == MEMORY

    def derived(self, row: TokenLayout) -> tuple[TokenLayout, Tensor]:
        """The means after every turn, as weights of the row's memory tokens."""
        weights = torch.zeros(2 * self.slots, len(row), dtype=torch.float64)
        position = torch.zeros(2 * self.slots, dtype=torch.int64)
        counts, layouts, rows = [0, 0], [TokenLayout.of(MERGED, 0, 0, [])], [weights[:0]]
        memory = row.kind == MEMORY
        for turn in sorted(set(row.turn[memory].tolist())):
            messages = sorted(set(row.message[memory & (row.turn == turn)].tolist()))
            for i, message in enumerate(messages):
                group = min(i, 1)
                counts[group] += 1
                share = self.share(counts[group])
                mine = slice(group * self.slots, (group + 1) * self.slots)
                columns = (memory & (row.message == message)).nonzero().flatten()
                weights[mine] *= 1.0 - share
                weights[torch.arange(2 * self.slots)[mine], columns] += share
                position[mine] = row.position[columns]
            known = 2 * self.slots if counts[1] else self.slots
            layouts.append(TokenLayout.of(MERGED, turn, messages[-1], position[:known].tolist()))
            rows.append(weights[:known].clone())
        return TokenLayout.cat(layouts), torch.cat(rows)

    def update(self, state: MemoryState, segments: Sequence[Segment]) -> MemoryState:
        """The means with the new turn's segments taken in."""
        means = {e.segment.first_index // self.slots: e.segment for e in state.entries}
        for i, segment in enumerate(segments):
            group = min(i, 1)
            old = means.get(group)
            means[group] = self._mean(old, segment, group)
        grown = state.with_turn(segments)
        last = grown.messages - 1
        return grown.keeping([Entry(state.turns, last, means[g]) for g in sorted(means)])

    def _mean(self, old: Segment | None, new: Segment, group: int) -> Segment:
        count = old.merged + 1 if old is not None else 1
        share = self.share(count)
        keys, values = new.keys, new.values
        if old is not None:
            keys, values = torch.lerp(old.keys, keys, share), torch.lerp(old.values, values, share)
        return replace(
            new, keys=keys, values=values, kind=MERGED, first_index=group * self.slots, merged=count
        )


class CCMMergeEMA(CCMMerge):
    """The exponential mean: each new message weighs as much as all before it (paper, Table 16)."""

    name: ClassVar[str] = "ccm-merge-ema"

    def share(self, count: int) -> float:
        """1 for the first message, then a half."""
        return 1.0 if count == 1 else 0.5
