"""Orders of known tokens by what is likely at each place."""

from __future__ import annotations

from itertools import pairwise, permutations

from hypothesis import given
from hypothesis import strategies as st

from loma_memory.engine.restating.orders import orders

Places = list[dict[int, float]]


def worth(order: list[int] | tuple[int, ...], places: Places) -> float:
    """The sum of logits, as `orders` has it."""
    return sum(p.get(t, min(p.values(), default=0.0) - 1) for t, p in zip(order, places, strict=True))


@st.composite
def problems(draw: st.DrawFn) -> tuple[list[int], Places]:
    tokens = draw(st.lists(st.integers(0, 5), min_size=1, max_size=5))
    place = st.dictionaries(st.integers(0, 5), st.floats(-20, 20), max_size=6)
    return tokens, [draw(place) for _ in tokens]


@given(problems())
def test_with_room_enough_all_orders_are_told_likeliest_first(problem: tuple[list[int], Places]) -> None:
    bag, places = problem
    told = orders(bag, places, 200)
    assert sorted(map(tuple, told)) == sorted(set(permutations(bag)))
    likely = [worth(o, places) for o in told]
    assert all(a >= b - 1e-9 for a, b in pairwise(likely))


@given(problems(), st.integers(1, 4))
def test_no_more_than_asked_for_and_each_once(problem: tuple[list[int], Places], count: int) -> None:
    bag, places = problem
    told = orders(bag, places, count)
    assert len(told) == min(count, len(set(permutations(bag))))
    assert len(set(map(tuple, told))) == len(told)
    assert all(sorted(o) == sorted(bag) for o in told)


def test_what_each_place_says_decides() -> None:
    places = [{7: 3.0, 8: 2.0}, {7: 2.5, 8: 1.0}]
    assert orders([8, 7], places, 1) == [[8, 7]]  # 2.0 + 2.5, above 3.0 + 1.0
    assert orders([7, 8], places, 9) == [[8, 7], [7, 8]]
