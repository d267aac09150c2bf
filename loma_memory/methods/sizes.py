"""How much memory a method keeps: in proportion to the text, or a fixed number of slots."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

from loma_memory.memory.positions import spread
from loma_memory.methods.base import Method, check_ratio


class Proportional(Method):
    """One slot for `ratio` tokens of text, and at least one a message."""

    def __init__(self, ratio: float = 8.0) -> None:
        """`ratio`: tokens of text per slot.

        Raises:
            UsageError: a ratio below 1.
        """
        self.ratio = check_ratio(ratio)

    @classmethod
    def create(cls, ratio: float | None) -> Self:
        """The method at `ratio`, 8 by default."""
        return cls() if ratio is None else cls(ratio)

    def slots_for(self, length: float) -> int:
        """Slots of a message of `length` tokens."""
        return max(1, int(length / self.ratio + 0.5))

    def settings(self) -> dict[str, Any]:
        """Name and ratio."""
        return {"method": self.name, "ratio": self.ratio}


class Fixed(Method):
    """`slots` memory tokens a message, whatever its length."""

    def __init__(self, slots: int = 16) -> None:
        """`slots`: memory tokens a message."""
        self.slots = slots

    @classmethod
    def create(cls, ratio: float | None) -> Self:
        """The number of slots is fixed; a ratio is ignored, so that methods can be compared at one ratio."""
        return cls()

    def memory_positions(self, start: int, weights: Sequence[float]) -> list[int]:
        """`slots` positions spread over the message; a short message has several at one position."""
        return spread(start, len(weights), self.slots)

    def settings(self) -> dict[str, Any]:
        """Name and number of slots."""
        return {"method": self.name, "slots": self.slots}
