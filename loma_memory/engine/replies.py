"""From tokens to text while they come: whole characters, stop strings, an end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from loma_memory.engine.sampling import Sampling
from loma_memory.errors import UsageError


@dataclass(frozen=True)
class ReplySettings:
    """How a reply is made.

    Attributes:
        sampling: how tokens are chosen.
        max_tokens: the longest reply, in tokens.
        stop: strings that end the reply; they are not part of it.
    """

    sampling: Sampling = field(default_factory=lambda: Sampling(repetition_penalty=1.1))
    max_tokens: int = 256
    stop: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.max_tokens < 1:
            raise UsageError(f"max_tokens must be at least 1, got {self.max_tokens}")
        if any(not s for s in self.stop):
            raise UsageError("a stop string must not be empty")


class TextStream:
    """Text of one sequence, piece by piece.

    Attributes:
        text: everything so far, stop strings left out.
        tokens: tokens so far.
        finish: why it ended: "stop", "length", or "" while it runs.
    """

    def __init__(
        self, tokenizer: Any, tokens: Iterator[Sequence[int | None]], settings: ReplySettings
    ) -> None:
        """`tokens`: what `decode` yields for a batch of one."""
        self._tokenizer, self._source, self._settings = tokenizer, tokens, settings
        self.text, self.tokens, self.finish = "", 0, ""

    def __iter__(self) -> Iterator[str]:
        """Pieces of text; a character is never split, and nothing of a stop string is given out."""
        ids: list[int] = []
        given = 0
        for step in self._source:
            if step[0] is None:
                break
            ids.append(step[0])
            self.tokens += 1
            whole = self._tokenizer.decode(ids, skip_special_tokens=True)
            cut = _first(whole, self._settings.stop)
            if cut is not None:
                self.text, self.finish = whole[:cut], "stop"
                if cut > given:
                    yield whole[given:cut]
                return
            if whole.endswith("\ufffd"):
                continue  # the last character is not complete yet; at the end such a piece is dropped
            safe = len(whole) - _held(whole, self._settings.stop)
            self.text = whole
            if safe > given:
                yield whole[given:safe]
                given = safe
        self.finish = "length" if self.tokens >= self._settings.max_tokens else "stop"
        if len(self.text) > given:
            yield self.text[given:]


def _first(text: str, stops: Sequence[str]) -> int | None:
    found = [at for at in (text.find(s) for s in stops) if at >= 0]
    return min(found) if found else None


def _held(text: str, stops: Sequence[str]) -> int:
    """Length of the longest end of `text` that could begin a stop string."""
    longest = 0
    for stop in stops:
        for n in range(min(len(stop) - 1, len(text)), longest, -1):
            if text.endswith(stop[:n]):
                longest = n
                break
    return longest
