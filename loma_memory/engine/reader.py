"""Reading turns: one batched pass over [header | slots | turn | memory tokens].

The turn-by-turn program of every method. Chat, rebuilding and evaluation all go through here.
"""

from __future__ import annotations

import copy
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from transformers import DynamicCache

from loma_memory.adapter.tokens import MemoryTokens
from loma_memory.attention import MEMORY, TEXT, AttentionCall, TokenLayout
from loma_memory.attention.layout import SINK
from loma_memory.attention.rotary import move_keys
from loma_memory.engine.inputs import embed, weigh
from loma_memory.engine.models import LoadedModel
from loma_memory.errors import UsageError
from loma_memory.memory import MemoryState, Segment
from loma_memory.memory.positions import place
from loma_memory.methods import Method

Turn = Sequence[Sequence[int]]
"""The messages of one turn, each the ids of its tokens, role markers included."""


@dataclass
class Pass:
    """What one forward pass left behind, for a batch of B sequences.

    Attributes:
        hidden: last hidden states of the text, (B, T, hidden); rows beyond a sequence's own are filler.
        cache: keys and values of everything, past first.
        sight: which columns of the pass the n-th further token of text may see, (B, K); from n = 1.
        key_positions: positions of the columns, (B, K).
        exempt: columns that no window hides, (B, K).
        next_position: rotary position of the next token of text, (B,).
        segments: per sequence, one segment a message, where memory was asked for.
    """

    hidden: Tensor
    cache: Any
    sight: Callable[[int], Tensor]
    key_positions: Tensor
    exempt: Tensor
    next_position: Tensor
    segments: list[list[Segment]]


class Reader:
    """A model, a method, and the adapter's memory tokens: reads turns into memory."""

    def __init__(
        self,
        loaded: LoadedModel,
        method: Method,
        tokens: MemoryTokens | None = None,
        *,
        opened: bool = False,
    ) -> None:
        """Set up.

        Args:
            loaded: the model.
            method: how it remembers.
            tokens: the memory-token table; needed by methods that have memory tokens.
            opened: let the adapter act on all text, as an ordinary LoRA in training does.

        Raises:
            UsageError: the method needs an adapter and none is given.
        """
        if method.needs_adapter and tokens is None:
            raise UsageError(f"method {method.name} needs an adapter trained for it, and none is loaded")
        self.loaded, self.method, self.tokens, self.opened = loaded, method, tokens, opened
        self.model = loaded.model
        self.decoder = loaded.model.get_decoder()
        self.sink_ids = loaded.format.header_ids()
        # The adapter's gate is state of the model, so passes of different threads take turns.
        self.lock = threading.RLock()
        self._headers: OrderedDict[tuple[int, ...], tuple[Tensor, Tensor]] = OrderedDict()

    def first_layers(self, count: int) -> Reader:
        """The same reader over the model's first layers alone; nothing is copied."""
        made, decoder = copy.copy(self), copy.copy(self.decoder)
        decoder._modules = {**decoder._modules, "layers": nn.ModuleList(list(decoder.layers)[:count])}
        made.decoder, made._headers = decoder, OrderedDict()
        return made

    @property
    def sink(self) -> int:
        """Length of the sink in tokens; the first message's text stands at this position."""
        return len(self.sink_ids)

    def remember(
        self, states: Sequence[MemoryState], turns: Sequence[Turn]
    ) -> tuple[Pass, list[MemoryState]]:
        """Read finished turns and write their memory.

        What is read is the sink, earlier memory and the turn; never a system prompt, so that memory
        stays a function of the transcript.

        Returns:
            The pass, and the states after the turn.
        """
        done = self.run(states, turns, write=True)
        after = [self.method.update(s, segs) for s, segs in zip(states, done.segments, strict=True)]
        return done, after

    @torch.no_grad()
    def run(
        self,
        states: Sequence[MemoryState],
        turns: Sequence[Turn],
        *,
        header: Sequence[int] | None = None,
        write: bool = False,
        reserve: int = 0,
    ) -> Pass:
        """One forward pass over a turn of each session.

        Args:
            states: memory of each session.
            turns: the messages of each session's turn.
            header: tokens of a system prompt to stand in the sink's place; None for the sink.
            write: run memory tokens and cut segments.
            reserve: positions to keep free for a reply.

        Raises:
            UsageError: a turn that is empty or longer than the model's range.
        """
        with self.lock:
            if not (write and self.method.independent):
                return self._run(states, turns, header, write, reserve)
            done = self._run(states, turns, header, False, reserve)
            apart = self._run([s.keeping([]) for s in states], turns, None, True, reserve)
            return replace(done, segments=apart.segments)

    def graded(self, states: Sequence[MemoryState], turns: Sequence[Turn]) -> Pass:
        """`run` with segments and with gradients, for training through what earlier turns left."""
        with self.lock:
            return self._run(states, turns, None, True, 0)

    def _run(
        self,
        states: Sequence[MemoryState],
        turns: Sequence[Turn],
        header: Sequence[int] | None,
        write: bool,
        reserve: int,
    ) -> Pass:
        device, batch = self.loaded.device, len(turns)
        lengths = [sum(len(m) for m in turn) for turn in turns]
        longest = max(lengths)
        if min(lengths) == 0:
            raise UsageError("a turn must hold at least one token")
        if self.sink + longest + reserve > self.loaded.limit:
            raise UsageError(
                f"a turn may hold {self.loaded.limit - self.sink - reserve} tokens with this model"
                f"{f' and {reserve} kept for the reply' if reserve else ''}, this one has {longest}"
            )
        head_keys, head_values = self.header(self.sink_ids if header is None else header)
        head_length, width = head_keys.shape[2], head_keys.shape[3]
        head = TokenLayout.of(SINK, -1, -1, range(self.sink - head_length, self.sink))

        # Each row is placed by its own length: memory must not depend on what shares its batch.
        rows = [
            self._layout(s, t, n + reserve, write) for s, t, n in zip(states, turns, lengths, strict=True)
        ]
        past_width = head_length + max(len(r.slots) for r in rows)
        memory_width = max(len(r.memory) for r in rows)

        keys, values, past, new = [], [], [], []
        for state, row in zip(states, rows, strict=True):
            fill = head_keys.new_zeros(*head_keys.shape[:2], past_width - head_length - len(row.slots), width)
            k, v = state.keys_values(
                torch.cat([fill, head_keys], dim=2), torch.cat([fill, head_values], dim=2)
            )
            if not torch.equal(row.stored, row.slots.position):
                kept = past_width - len(row.slots)
                moved = move_keys(
                    self.model, k[:, :, kept:], row.stored.to(device), row.slots.position.to(device)
                )
                k = torch.cat([k[:, :, :kept], moved], dim=2)
            keys.append(k)
            values.append(v)
            past.append(TokenLayout.cat([head, row.slots]).padded(past_width, left=True))
            new.append(TokenLayout.cat([row.text.padded(longest), row.memory.padded(memory_width)]))
        every = [TokenLayout.cat([p, n]) for p, n in zip(past, new, strict=True)]
        mask = torch.stack([self.method.visible(n, e) for n, e in zip(new, every, strict=True)])
        gate = (0 if self.opened else longest, longest + memory_width)
        call = AttentionCall(
            gate=gate if self.opened or memory_width else None,
            mask=mask[:, None],
            query_positions=torch.stack([n.position for n in new]),
            key_positions=torch.stack([e.position for e in every]),
            key_exempt=torch.stack([e.exempt for e in every]),
            received=[] if write and self.method.needs_attention else None,
        ).to(device)

        ids = torch.zeros(batch, longest, dtype=torch.int64)
        for b, turn in enumerate(turns):
            flat = [i for message in turn for i in message]
            ids[b, : len(flat)] = torch.tensor(flat)
        embeds = embed(self.model, self.tokens, ids.to(device), new)
        layers = len(self.decoder.layers)
        cache = DynamicCache(
            ddp_cache_data=[
                (_stacked([k[i] for k in keys]), _stacked([v[i] for v in values])) for i in range(layers)
            ]
        )
        out = self.decoder(
            inputs_embeds=embeds,
            attention_mask=call.mask,
            position_ids=call.query_positions,
            past_key_values=cache,
            use_cache=True,
            loma=call,
        )
        starts = torch.tensor([r.start + n for r, n in zip(rows, lengths, strict=True)])
        assert call.key_positions is not None
        assert call.key_exempt is not None

        def sight(ahead: int) -> Tensor:
            seen = [self._sees(n, e, ahead) for n, e in zip(new, every, strict=True)]
            return torch.stack(seen).to(device)

        return Pass(
            hidden=out.last_hidden_state[:, :longest],
            cache=cache,
            sight=sight,
            key_positions=call.key_positions,
            exempt=call.key_exempt,
            next_position=starts.to(device),
            segments=[
                self._cut(cache, b, past_width, new[b], s.messages, t, call.received) if write else []
                for b, (s, t) in enumerate(zip(states, turns, strict=True))
            ],
        )

    @torch.no_grad()
    def header(self, ids: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Keys and values of a header, (L, Hkv, S, D) each; the last few are kept.

        Its last token stands right before the first text, at position sink − 1, whatever its length;
        a header longer than the sink begins at negative positions. Slots need not move for it.
        """
        name = tuple(ids)
        if name in self._headers:
            self._headers.move_to_end(name)
            return self._headers[name]
        if len(ids) > self.loaded.limit // 2:
            raise UsageError(
                f"a system prompt may hold {self.loaded.limit // 2} tokens, this one has {len(ids)}"
            )
        device = self.loaded.device
        positions = torch.arange(self.sink - len(ids), self.sink, device=device)[None]
        cache: Any = DynamicCache()
        order = torch.ones(len(ids), len(ids), dtype=torch.bool, device=device).tril()[None, None]
        call = AttentionCall(mask=order)  # no positions: windows spare the sink, also inside it
        call.gate = (0, len(ids)) if self.opened else None
        self.decoder(
            input_ids=torch.tensor([list(ids)], device=device),
            attention_mask=order,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            loma=call,
        )
        made = (
            torch.stack([layer.keys[0] for layer in cache.layers]),
            torch.stack([layer.values[0] for layer in cache.layers]),
        )
        if self.opened:  # what is being trained changes under it
            return made
        self._headers[name] = made
        while len(self._headers) > 8:
            self._headers.popitem(last=False)
        return made

    def _layout(self, state: MemoryState, turn: Turn, new_tokens: int, write: bool) -> _Row:
        slots = state.layout()
        stored = slots.position
        placed, start = place(stored, state.text_tokens, self.sink, new_tokens, self.loaded.limit)
        slots = replace(slots, position=placed)
        texts, memories, offset = [], [], 0
        for i, message in enumerate(turn):
            at = range(start + offset, start + offset + len(message))
            number = state.messages + i
            weights = weigh(self.method, self.loaded.format.weigh, message) if write else None
            texts.append(TokenLayout.of(TEXT, state.turns, number, at, state.text_tokens + offset, weights))
            if weights is not None:
                spots = self.method.memory_positions(start + offset, weights)
                memories.append(TokenLayout.of(MEMORY, state.turns, number, spots))
            offset += len(message)
        nothing = TokenLayout.of(MEMORY, 0, 0, [])
        text, memory = TokenLayout.cat(texts), TokenLayout.cat([nothing, *memories])
        return _Row(slots, stored, start, text, memory)

    def _sees(self, new: TokenLayout, every: TokenLayout, ahead: int) -> Tensor:
        """Columns that the `ahead`-th token of text after the turn's last one may see."""
        at = int((new.kind == TEXT).nonzero()[-1])
        last = new[at : at + 1]
        further = replace(last, index=last.index + ahead, position=last.position + ahead)
        return self.method.visible(further, every)[0]

    def _cut(
        self,
        cache: Any,
        b: int,
        past: int,
        new: TokenLayout,
        first: int,
        turn: Turn,
        received: list[Tensor] | None,
    ) -> list[Segment]:
        kept = self.method.keeps(new)
        segments = []
        for i, message in enumerate(turn):
            rows = (kept & (new.message == first + i)).nonzero().flatten()
            at = (rows + past).to(self.loaded.device)
            segment = Segment(
                torch.stack([layer.keys[b].index_select(1, at) for layer in cache.layers]),
                torch.stack([layer.values[b].index_select(1, at) for layer in cache.layers]),
                new.position[rows],
                len(message),
                int(new.kind[rows[0]]) if len(rows) else MEMORY,
                int(new.index[rows[0]]) if len(rows) else 0,
            )
            drawn = torch.stack([r[b].index_select(1, at) for r in received]) if received else None
            segments.append(self.method.condense(segment, self._move, drawn))
        return segments

    def _move(self, keys: Tensor, old: Tensor, new: Tensor) -> Tensor:
        device = self.loaded.device
        return move_keys(self.model, keys, old.to(device), new.to(device))


def _stacked(tensors: Sequence[Tensor]) -> Tensor:
    """The tensors of a batch as one; a batch of one is not copied."""
    return tensors[0][None] if len(tensors) == 1 else torch.stack(list(tensors))


@dataclass(frozen=True)
class _Row:
    slots: TokenLayout
    stored: Tensor
    start: int
    text: TokenLayout
    memory: TokenLayout
