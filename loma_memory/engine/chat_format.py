"""From messages to tokens, by the model's own chat template, one message at a time.

Memory of a message must not depend on how later messages look, so the template is taken apart once: it
is rendered with marker texts, and what stands around the markers gives the header and each role's
prefix and suffix. The text of a message is encoded with special tokens switched off: nothing that a
user types can open or close a message.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from loma_memory.engine.pieces import Pieces
from loma_memory.errors import ModelError, UsageError

_MARKS = ("qQx1zZ", "qQx2zZ", "qQx3zZ", "qQx4zZ")


@dataclass(frozen=True)
class ChatFormat:
    """The template, taken apart.

    Attributes:
        header: what precedes the first message when no system prompt is given.
        prefixes: what precedes the text of a message, by role.
        suffixes: what follows it, by role.
        stop_ids: tokens that end a reply.
    """

    tokenizer: Any
    header: str
    prefixes: dict[str, str]
    suffixes: dict[str, str]
    stop_ids: tuple[int, ...]
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    @classmethod
    def of(cls, tokenizer: Any, extra_stop_ids: tuple[int, ...] = ()) -> ChatFormat:
        """Take the tokenizer's chat template apart.

        Raises:
            ModelError: the template cannot be rendered or does not show the messages' texts in order.
        """
        if getattr(tokenizer, "chat_template", None) is None:
            raise ModelError("the model has no chat template; use an instruction-tuned model")
        u1, a1, u2, a2 = _MARKS
        turns = [("user", u1), ("assistant", a1), ("user", u2), ("assistant", a2)]
        whole = _render(tokenizer, turns)
        try:
            first, rest = whole.split(u1)
            middle, rest = rest.split(a1)
            between, rest = rest.split(u2)
            _, tail = rest.split(a2)
        except ValueError:
            raise ModelError("the chat template does not show every message once and in order") from None
        user_suffix = _render(tokenizer, turns[:1]).split(u1)[-1]
        if not middle.startswith(user_suffix):
            user_suffix = ""
        assistant_suffix = tail if between.startswith(tail) else _common_start(tail, between)
        user_prefix = between[len(assistant_suffix) :]
        if not first.endswith(user_prefix):
            raise ModelError("the chat template treats the first message unlike the others")
        prefixes = {"user": user_prefix, "assistant": middle[len(user_suffix) :]}
        suffixes = {"user": user_suffix, "assistant": assistant_suffix}
        prefixes["note"], suffixes["note"] = user_prefix, user_suffix
        stops = {i for i in extra_stop_ids if i is not None}
        if tokenizer.eos_token_id is not None:
            stops.add(int(tokenizer.eos_token_id))
        ends = tokenizer(assistant_suffix, add_special_tokens=False).input_ids
        if ends and ends[0] in tokenizer.all_special_ids:
            stops.add(ends[0])
        header = first[: len(first) - len(user_prefix)]
        return cls(tokenizer, header, prefixes, suffixes, tuple(sorted(stops)))

    def _special(self, text: str) -> list[int]:
        return self._encode(text, split=False)

    def plain(self, text: str) -> list[int]:
        """Tokens of a text in which nothing is special."""
        return self._encode(text, split=True)

    def _encode(self, text: str, *, split: bool) -> list[int]:
        """Tokens of a text; with `split`, special tokens in it are mere characters.

        One thread at a time: the tokenizer keeps that choice as state of its own, so of two threads one
        would have its markers spelled out, or what its user typed taken for a marker.
        """
        if not text:
            return []
        with self._lock:
            ids = self.tokenizer(text, add_special_tokens=False, split_special_tokens=split).input_ids
        return list(ids)

    def weigh(self, ids: Sequence[int]) -> list[float]:
        """How much each token of a message weighs where memory is placed; see `engine.pieces`."""
        first, last = self._bounds(ids)
        return self._pieces(ids, first, last)

    @cached_property
    def inner(self) -> Tensor:
        """Which token ids are pieces of words, or digits: (vocabulary + 1,) bool, the last for ids beyond it.

        These are what a repetition penalty must not touch: that a number has had a 4 says nothing against
        another, and with a penalty on it 4471 was told as 471.
        """
        return torch.tensor([*self._pieces.inner, False])

    @cached_property
    def _pieces(self) -> Pieces:
        return Pieces(self.tokenizer)

    @cached_property
    def _markers(self) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
        return [(tuple(self.prefix_ids(role)), tuple(self.suffix_ids(role))) for role in self.prefixes]

    def _bounds(self, ids: Sequence[int]) -> tuple[int, int]:
        """Where the text of a message begins and ends, between its role's markers."""
        for before, after in self._markers:
            end = len(ids) - len(after)
            if len(before) <= end and tuple(ids[: len(before)]) == before and tuple(ids[end:]) == after:
                return len(before), end
        return 0, len(ids)

    def header_ids(self) -> list[int]:
        """Tokens of the sink: the header, or one begin token where the template has none."""
        ids = self._special(self.header)
        if ids:
            return ids
        start = self.tokenizer.bos_token_id
        if start is None:
            start = self._special(self.prefixes["user"])[:1] or [0]
            return list(start)
        return [int(start)]

    def system_ids(self, system: str) -> list[int]:
        """Tokens of a header with this system prompt.

        Raises:
            UsageError: the template has no place for a system prompt.
        """
        try:
            whole = _render(self.tokenizer, [("system", _MARKS[2]), ("user", _MARKS[0])])
        except ModelError as error:
            raise UsageError(f"this model takes no system prompt: {error}") from None
        before, after = whole.split(_MARKS[2])
        between = after.split(_MARKS[0])[0]
        if not between.endswith(self.prefixes["user"]):
            # Folded into the first message (Gemma): here it stands as a message of its own.
            return self._special(self.header) + self.message_ids("note", system)
        end = between.removesuffix(self.prefixes["user"])
        return self._special(before) + self.plain(system) + self._special(end)

    def prefix_ids(self, role: str) -> list[int]:
        """Tokens before the text of a message; for "assistant" also what asks for a reply."""
        return self._special(self.prefixes[role])

    def suffix_ids(self, role: str) -> list[int]:
        """Tokens after the text of a message."""
        return self._special(self.suffixes[role])

    def message_ids(self, role: str, text: str) -> list[int]:
        """Tokens of a whole message.

        Raises:
            UsageError: unknown role.
        """
        return self.targets(role, text)[0]

    def targets(self, role: str, text: str) -> tuple[list[int], list[bool]]:
        """Tokens of a whole message, and which of them are its words: its text and the token that ends it.

        Raises:
            UsageError: unknown role.
        """
        if role not in self.prefixes:
            raise UsageError(f"role must be one of {', '.join(self.prefixes)}, got {role!r}")
        before, body, after = self.prefix_ids(role), self.plain(text.strip()), self.suffix_ids(role)
        words = [False] * len(before) + [True] * len(body) + [i == 0 for i in range(len(after))]
        return before + body + after, words


def _render(tokenizer: Any, turns: list[tuple[str, str]]) -> str:
    messages = [{"role": role, "content": text} for role, text in turns]
    try:
        return str(tokenizer.apply_chat_template(messages, tokenize=False))
    except Exception as error:  # the template is the model's own program; anything may come out of it
        raise ModelError(f"the chat template cannot be rendered: {error}") from None


def _common_start(a: str, b: str) -> str:
    n = 0
    while n < min(len(a), len(b)) and a[n] == b[n]:
        n += 1
    return a[:n]
