"""Where memory tokens and slots stand."""

from __future__ import annotations

from itertools import accumulate, pairwise

import torch
from hypothesis import given
from hypothesis import strategies as st

from loma_memory.memory.positions import parts, place, spread, spread_by_weight


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


WEIGHTS = st.lists(st.sampled_from([0.2, 0.6, 1.0, 4.0]), min_size=1, max_size=60)


@given(WEIGHTS, st.integers(1, 60))
def test_parts_are_runs_of_about_equal_weight(weights: list[float], count: int) -> None:
    found = parts(weights, count)
    assert len(found) == len(weights)
    assert found == sorted(found)
    if count <= len(weights):
        assert sorted(set(found)) == list(range(count)), "none is empty"
    else:
        assert len(set(found)) == len(weights), "each token has one of its own"
    heavy = [sum(w for w, p in zip(weights, found, strict=True) if p == part) for part in range(count)]
    alone = [found.count(part) == 1 for part in range(count)]
    # A part that is more than a token heavier than its share had to take what was left over.
    share = sum(weights) / count
    assert all(h <= share + 2 * max(weights) or a for h, a in zip(heavy[:-1], alone[:-1], strict=True))


@given(WEIGHTS, st.integers(1, 60))
def test_each_part_ends_where_the_weight_is_nearest_to_its_share(weights: list[float], count: int) -> None:
    found = parts(weights, count)
    if count >= len(weights) or len(set(weights)) < 2:
        return
    reached = [0.0, *accumulate(weights)]
    ends = [found.index(part) for part in range(count)]
    for part in range(1, count):
        share = reached[-1] * part / count
        others = range(ends[part - 1] + 1, len(weights) - (count - part) + 1)
        assert abs(reached[ends[part]] - share) <= min(abs(reached[e] - share) for e in others) + 1e-9


@given(st.integers(1, 80), st.integers(1, 80), st.floats(0.1, 9))
def test_of_equal_weights_parts_are_equally_long(length: int, count: int, weight: float) -> None:
    assert parts([weight] * length, count) == [i * count // length for i in range(length)]
    assert spread_by_weight(7, [weight] * length, count) == spread(7, length, count)


@given(st.integers(0, 500), WEIGHTS, st.integers(1, 60))
def test_each_slot_stands_in_its_part(start: int, weights: list[float], count: int) -> None:
    spots = spread_by_weight(start, weights, count)
    assert len(spots) == count
    if count <= len(weights):
        assert [parts(weights, count)[s - start] for s in spots] == list(range(count))


def test_rare_words_get_slots_of_their_own_by_hand() -> None:
    #          my   name  is   T    ams  in   .
    weights = [0.6, 0.6, 0.6, 4.0, 4.0, 4.0, 0.2]
    assert parts(weights, 3) == [0, 0, 0, 0, 1, 2, 2]
    assert spread_by_weight(10, weights, 3) == [13, 14, 15]
    assert parts([4.0, 0.2, 0.2], 3) == [0, 1, 2], "Every part gets a token, however light."
    assert parts([0.2, 0.2, 4.0], 2) == [0, 0, 1]
    #      My   name is   Ada  and  a    dog  called B    isc  uit
    told = [1.0, 0.6, 0.2, 2.0, 0.2, 0.2, 0.9, 0.5, 6.0, 6.0, 6.0]
    assert parts(told, 3) == [0] * 8 + [1, 1, 2], "a rare word is not mixed with what comes before it"
    pin = [0.9, 2.0, 0.2, 6.0, 6.0, 6.0, 6.0]
    assert parts(pin, 3) == [0, 0, 0, 0, 1, 2, 2]


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
