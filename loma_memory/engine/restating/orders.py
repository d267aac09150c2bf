"""Orders of known tokens, likeliest first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def orders(bag: Sequence[int], places: Sequence[Mapping[int, float]], count: int) -> list[list[int]]:
    """About the `count` likeliest orders of some tokens, by beam search from the first place to the last.

    Args:
        bag: tokens, as many as places; one may be there several times.
        places: logits of tokens at each place. A token that has none there is taken for less likely, by 1,
            than the least likely one that has.
        count: how many are told, or all there are.
    """
    beams: list[tuple[float, tuple[int, ...], tuple[int, ...]]] = [(0.0, (), tuple(sorted(bag)))]
    for place in places:
        least = min(place.values(), default=0.0) - 1
        grown = []
        for score, told, left in beams:
            for i, token in enumerate(left):
                if i == 0 or left[i - 1] != token:
                    grown.append((score + place.get(token, least), (*told, token), left[:i] + left[i + 1 :]))
        beams = sorted(grown, key=lambda beam: -beam[0])[: 4 * count]
    return [list(told) for _, told, _ in beams[:count]]
