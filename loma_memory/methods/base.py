"""What a compression method says; everything else in the library asks it through these calls."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

from torch import Tensor

from loma_memory.attention.layout import TEXT, TokenLayout
from loma_memory.errors import UsageError
from loma_memory.memory import MemoryState, Segment

Move = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Keys (L, Hkv, S, D) rotated at some positions (S,), as they would be at others (S,)."""


def check_ratio(ratio: float) -> float:
    """A ratio of text tokens per slot: finite and at least 1.

    Raises:
        UsageError: anything else.
    """
    if not math.isfinite(ratio) or ratio < 1:
        raise UsageError(
            f"ratio must be a finite number of at least 1 (tokens of text per slot), got {ratio}"
        )
    return float(ratio)


class Method(ABC):
    """A way of remembering.

    A method is one mathematical form with two programs: the one-pass form applies `visible` to a whole
    conversation at once (training), the turn-by-turn form applies it to one turn and the kept slots
    (chat). They agree to rounding; `tests/methods` holds every method to it.
    """

    name: ClassVar[str]
    """The name that users give."""
    needs_adapter: ClassVar[bool] = False
    """Whether memory tokens are run, with a trained adapter active on them."""
    needs_weights: ClassVar[bool] = False
    """Whether it has trained weights of its own in the adapter's folder, instead of memory tokens."""
    adapter_of: ClassVar[str | None] = None
    """The method whose adapter it uses, where that is not one of its own."""
    needs_attention: ClassVar[bool] = False
    """Whether `condense` asks how much attention each token received."""

    one_pass: ClassVar[bool] = True
    """Whether a mask says all that is remembered; methods that choose or average text have no such form."""

    independent: ClassVar[bool] = False
    """Whether a turn is compressed without earlier memory in view; it is then read twice."""

    aligned: ClassVar[bool] = False
    """Whether training also aligns what queries read from memory with what they would read from the text."""

    weighs: ClassVar[bool] = False
    """Whether memory tokens stand where the weight of a message is, instead of evenly."""

    restates: ClassVar[int | None] = None
    """Kind of the tokens that restate a message from its slots; None for methods that cannot."""

    @classmethod
    @abstractmethod
    def create(cls, ratio: float | None) -> Self:
        """The method at a ratio (tokens of text per slot); None for its default."""

    def memory_positions(self, start: int, weights: Sequence[float]) -> list[int]:
        """Positions of the memory tokens that follow a message.

        Args:
            start: rotary position of the message's first token.
            weights: of the tokens of the message, role markers included; all 1 unless `weighs` is set.

        Returns:
            One position a memory token; empty for methods without memory tokens.
        """
        return []

    def load_weights(self, folder: Path, layers: int, width: int, device: Any) -> None:
        """Take trained weights from an adapter's folder, where `needs_weights` is set.

        Args:
            folder: the adapter's folder.
            layers: layers of the model.
            width: channels of a key.
            device: where the model computes.
        """
        raise NotImplementedError

    def repeat_positions(self, segment: Segment) -> list[int]:
        """Positions of the tokens that restate a message, where `restates` is set: those of its text."""
        raise NotImplementedError

    @abstractmethod
    def visible(self, q: TokenLayout, k: TokenLayout) -> Tensor:
        """The mask rule: which keys each query may see, (Q, K) bool."""

    def derived(self, row: TokenLayout) -> tuple[TokenLayout, Tensor] | None:
        """Further keys and values that the one-pass form needs: means of those of a row of S tokens.

        Turn by turn the same is done by `update`.

        Returns:
            Their layout, (E,), and their weights over the row's tokens, (E, S); None where there are none.
        """
        return None

    def keeps(self, layout: TokenLayout) -> Tensor:
        """Which tokens of a finished turn become slots, (S,) bool; by default its text."""
        return layout.kind == TEXT

    def condense(self, segment: Segment, move: Move, received: Tensor | None) -> Segment:
        """What is kept of a message whose tokens `keeps` chose; by default all of them.

        Args:
            segment: their keys and values.
            move: re-rotates keys.
            received: attention that each token received in its own turn, (L, Hkv, S), where
                `needs_attention` is set.
        """
        return segment

    def taught(self) -> Method:
        """The method whose masks training uses; by default this one."""
        return self

    def update(self, state: MemoryState, segments: Sequence[Segment]) -> MemoryState:
        """The state after a turn whose messages became `segments`; by default they are appended."""
        return state.with_turn(segments)

    def settings(self) -> dict[str, Any]:
        """What defines the memory that this method makes; part of every segment's fingerprint."""
        return {"method": self.name}
