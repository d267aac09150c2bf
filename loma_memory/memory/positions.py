"""Positions: where memory tokens stand, and what happens beyond the model's range.

While a session fits the model's range every slot keeps its true distance to the text. Beyond it the
slots are packed: slot r of M stands at place r, the text after them. Beyond the range even so, places
are shared evenly. Each is a function of the state alone, so it needs no memory of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise

from torch import Tensor, arange


def spread(start: int, length: int, count: int) -> list[int]:
    """`count` positions spread evenly over the text at [start, start + length).

    Each stands in the middle of the part of the text that it is nearest to (enhanced position
    layout, EMNLP Findings 2025): round(linspace(x₁ + (ρ−1)/2, xₙ − (ρ−1)/2, count)), ρ = length/count.
    """
    if count <= 0 or length <= 0:
        return []
    rho = length / count
    return [start + min(length - 1, int(rho * j + (rho - 1) / 2 + 0.5)) for j in range(count)]


def parts(weights: Sequence[float], count: int) -> list[int]:
    """Which of `count` consecutive parts of about equal weight each token of a text belongs to.

    Part j ends between the two tokens where the weight so far is nearest to j + 1 shares, so that a heavy
    token goes to the side where it makes less of a difference; no part is empty while there are tokens
    enough. Of equal weights the parts are equally long, to a token.
    """
    length = len(weights)
    if count >= length or len(set(weights)) < 2:
        return [i * count // length for i in range(length)]
    reached = [0.0, *accumulate(weights)]
    ends = [0]
    for part in range(1, count):
        share, last = reached[-1] * part / count, length - (count - part)
        end = ends[-1] + 1
        while end < last and abs(reached[end + 1] - share) < abs(reached[end] - share):
            end += 1
        ends.append(end)
    return [j for j, (start, end) in enumerate(pairwise([*ends, length])) for _ in range(start, end)]


def spread_by_weight(start: int, weights: Sequence[float], count: int) -> list[int]:
    """`count` positions over the text at `start`, each where half the weight of its part is reached.

    Of equal weights they are those of `spread`.
    """
    if count >= len(weights) or len(set(weights)) < 2:
        return spread(start, len(weights), count)
    of = parts(weights, count)
    whole, reached = [0.0] * count, [0.0] * count
    for part, weight in zip(of, weights, strict=True):
        whole[part] += weight
    spots: list[int] = []
    for i, (part, weight) in enumerate(zip(of, weights, strict=True)):
        reached[part] += weight
        if len(spots) == part and reached[part] >= whole[part] / 2:
            spots.append(start + i)
    return spots


def place(own: Tensor, text_tokens: int, sink: int, new_tokens: int, limit: int) -> tuple[Tensor, int]:
    """Positions of the slots and of the next token of text.

    Args:
        own: the positions that the slots' keys were rotated at, (M,).
        text_tokens: tokens of text in finished turns.
        sink: length of the sink.
        new_tokens: tokens that this turn may add.
        limit: number of positions that the model was made for.

    Returns:
        Positions for the slots, (M,), and for the first new token.
    """
    start = sink + text_tokens
    if start + new_tokens <= limit:
        return own, start
    slots = int(own.shape[0])
    room = max(1, limit - sink - new_tokens)
    if slots <= room:
        return arange(sink, sink + slots), sink + slots
    return sink + arange(slots) * room // slots, sink + room
