"""Where memory tokens and slots stand."""

from __future__ import annotations

from itertools import pairwise

import torch
from hypothesis import given
from hypothesis import strategies as st

from loma_memory.memory.positions import place, spread


@given(st.integers(0, 10_000), st.integers(1, 500), st.integers(1, 500))
def test_spread_stays_in_the_text_in_order_and_even(start: int, length: int, count: int) -> None:
    spots = spread(start, length, count)
    assert len(spots) == count
    assert start <= spots[0]
    assert spots[-1] < start + length
    assert spots == sorted(spots)
    if count <= length:
        assert len(set(spots)) == count, "no two at one place while there is room"
    steps = [b - a for a, b in pairwise(spots)]
    if steps:
        assert max(steps) - min(steps) <= 1
    # Symmetric: as far from the start of the text as from its end, to a place.
    assert abs((spots[0] - start) - (start + length - 1 - spots[-1])) <= 1


def test_spread_by_hand() -> None:
    assert spread(10, 8, 1) == [14]  # 10 + 3.5, rounded half up
    assert spread(0, 8, 8) == list(range(8))
    assert spread(0, 16, 2) == [4, 12]
    assert spread(0, 3, 1) == [1]
    assert spread(5, 0, 3) == []
    assert spread(5, 3, 0) == []


@st.composite
def sessions(draw: st.DrawFn) -> tuple[list[int], int, int, int, int]:
    sink, limit = draw(st.integers(1, 8)), draw(st.integers(20, 90))
    new = draw(st.integers(1, limit - sink))
    text = draw(st.integers(0, 2000))
    count = draw(st.integers(0, 60))
    own = sorted(draw(st.lists(st.integers(sink, sink + text), min_size=count, max_size=count)))
    return own, text, sink, new, limit


@given(sessions())
def test_places_are_in_range_and_in_order(case: tuple[list[int], int, int, int, int]) -> None:
    own, text, sink, new, limit = case
    places, start = place(torch.tensor(own, dtype=torch.int64), text, sink, new, limit)
    assert places.dtype == torch.int64
    assert len(places) == len(own)
    assert start + new <= max(limit, sink + 1 + new)
    assert start >= sink
    found = places.tolist()
    assert found == sorted(found)
    if found:
        assert found[0] >= sink
        if sink + text + new > limit:
            assert found[-1] < start
    if sink + text + new <= limit:
        assert (found, start) == (own, sink + text), "true positions while the session fits"


@given(st.integers(0, 60), st.integers(1, 4))
def test_beyond_the_range_slots_are_packed(count: int, sink: int) -> None:
    own = torch.arange(count) * 7 + sink
    places, start = place(own, 10_000, sink, 20, 100)
    if count <= 80 - sink:
        assert places.tolist() == list(range(sink, sink + count))
        assert start == sink + count
    else:
        assert start == 80


@given(st.integers(100, 5000))
def test_more_slots_than_places_share_them_evenly(count: int) -> None:
    places, start = place(torch.arange(count), 10_000, 4, 20, 64)
    assert start == 44
    _, shared = places.unique(return_counts=True)
    assert int(shared.max() - shared.min()) <= 1
    assert len(shared) == 40
