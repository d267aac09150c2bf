"""Positions: where memory tokens stand, and what happens beyond the model's range.

While a session fits the model's range every slot keeps its true distance to the text. Beyond it the
slots are packed: slot r of M stands at place r, the text after them. Beyond the range even so, places
are shared evenly. Each is a function of the state alone, so it needs no memory of its own.
"""

from __future__ import annotations

from collections.abc import Sequence

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

    Part j ends with the first token at which j + 1 shares of the weight are reached; no part is empty
    while there are tokens enough. Of equal weights the parts are equally long, to a token.
    """
    length, whole, reached = len(weights), sum(weights), 0.0
    if count >= length:
        return [i * count // length for i in range(length)]
    found, part = [], 0
    for i, weight in enumerate(weights):
        reached += weight
        found.append(part)
        last = part == count - 1
        full = reached * count >= whole * (part + 1) * (1 - 1e-12)
        if not last and (full or length - 1 - i == count - 1 - part):
            part += 1
    return found


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
