"""Choosing tokens."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from loma_memory.engine.sampling import Sampling
from loma_memory.errors import UsageError

NOTHING = torch.empty(1, 0, dtype=torch.int64)
LOGITS = torch.log(torch.tensor([[0.5, 0.3, 0.15, 0.05]]))


def counts(sampling: Sampling, draws: int = 4000) -> dict[int, float]:
    generator = torch.Generator().manual_seed(0)
    many = sampling.choose(LOGITS.expand(draws, -1), NOTHING.expand(draws, -1), generator)
    return {k: v / draws for k, v in Counter(many.tolist()).items()}


def test_temperature() -> None:
    assert counts(Sampling()) == {0: 1.0}
    plain = counts(Sampling(temperature=1.0))
    assert all(abs(plain[i] - p) < 0.03 for i, p in enumerate([0.5, 0.3, 0.15, 0.05]))
    cold, hot = counts(Sampling(temperature=0.5)), counts(Sampling(temperature=5.0))
    assert abs(cold[0] - 0.25 / 0.365) < 0.03
    assert hot[3] > 2.5 * plain[3]
    for tiny in (1e-3, 1e-30, 5e-324):
        assert counts(Sampling(temperature=tiny), 50) == {0: 1.0}


def test_top_k_and_top_p() -> None:
    assert set(counts(Sampling(temperature=1.0, top_k=2))) == {0, 1}
    assert set(counts(Sampling(temperature=1.0, top_k=99))) == {0, 1, 2, 3}
    assert set(counts(Sampling(temperature=1.0, top_p=0.5))) == {0}
    assert set(counts(Sampling(temperature=1.0, top_p=0.51))) == {0, 1}
    assert set(counts(Sampling(temperature=1.0, top_p=0.9))) == {0, 1, 2}
    assert set(counts(Sampling(temperature=1.0, top_p=1e-9))) == {0}, "one is always left"
    both = counts(Sampling(temperature=1.0, top_k=3, top_p=0.6))
    assert set(both) == {0, 1}
    assert abs(both[0] - 5 / 8) < 0.03, "what is left is scaled up"


def test_the_repetition_penalty() -> None:
    scores = torch.tensor([[2.0, 1.5, -1.0, -1.5]])
    seen = torch.tensor([[0, -1, 2]])
    assert int(Sampling(repetition_penalty=1.5).choose(scores, seen, None)) == 1
    assert int(Sampling().choose(scores, seen, None)) == 0
    low = torch.tensor([[-1.0, -1.5]])
    assert int(Sampling(repetition_penalty=2.0).choose(low, torch.tensor([[0]]), None)) == 1


@settings(deadline=None)
@given(
    st.lists(st.integers(0, 5), max_size=6),
    st.integers(0, 4),
    st.lists(st.floats(-5, 5, width=32), min_size=6, max_size=6, unique=True),
    st.floats(1.0, 3.0),
)
def test_fillers_penalise_nothing(seen: list[int], fillers: int, scores: list[float], penalty: float) -> None:
    """Also where token 0, which a filler might be taken for, has been seen."""
    sampling, logits = Sampling(repetition_penalty=penalty), torch.tensor([scores])
    alone = torch.tensor([seen], dtype=torch.int64).reshape(1, len(seen))
    padded = torch.cat([alone, torch.full((1, fillers), -1)], 1)
    expected = [
        (s / penalty if s > 0 else s * penalty) if i in seen else s for i, s in enumerate(logits[0].tolist())
    ]
    best = max(expected)
    for rows in (alone, padded, padded.flip(1)):
        assert expected[int(sampling.choose(logits, rows, None))] == pytest.approx(best, rel=1e-5)


def test_a_seed_repeats() -> None:
    sampling = Sampling(temperature=1.0, seed=3)
    device = torch.device("cpu")

    def run() -> list[int]:
        generator = sampling.generator(device)
        return [int(sampling.choose(LOGITS, NOTHING, generator)) for _ in range(20)]

    assert run() == run()
    assert Sampling(temperature=1.0).generator(device) is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"temperature": -0.1},
        {"temperature": 11},
        {"temperature": float("nan")},
        {"temperature": float("inf")},
        {"top_p": 0.0},
        {"top_p": 1.1},
        {"top_p": float("nan")},
        {"top_k": -1},
        {"repetition_penalty": 0.9},
        {"repetition_penalty": 11},
        {"repetition_penalty": float("nan")},
    ],
    ids=str,
)
def test_bad_values(wrong: dict[str, Any]) -> None:
    name, value = next(iter(wrong.items()))
    with pytest.raises(UsageError, match=f"{name} must be .*got {value}"):
        Sampling(**wrong)
