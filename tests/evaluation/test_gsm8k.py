"""Mathematics: which number counts, and that zones are compressed on the way."""

from __future__ import annotations

import json

import pytest
from speaking import speaking

from loma_memory.data import Dialogue, Message
from loma_memory.errors import DataError
from loma_memory.evaluation import gsm8k
from loma_memory.methods import method


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("8*2=<<8*2=16>>16 pounds.\n#### 16", 16.0),
        ("It is 1,234.5 in all.", 1234.5),
        ("#### -3", -3.0),
        ("none", None),
        ("7.", 7.0),
    ],
)
def test_the_last_number_counts(text: str, number: float | None) -> None:
    assert gsm8k.last_number(text) == number


def problem(answer: str) -> Dialogue:
    return Dialogue("p", ((Message("user", "What is 2 + 2?"), Message("assistant", answer)),))


def test_zones_are_compressed() -> None:
    reader = speaking(method("loma", ratio=4))
    found = gsm8k.evaluate(reader, [problem("#### 4"), problem("#### 5")], zone=16, max_tokens=12)
    json.dumps(found, allow_nan=False)
    assert set(found["accuracy"]) == {"full", "memory"}
    assert found["compressions"] >= 1.0  # the question alone is longer than a zone
    assert (found["problems"], found["zone"]) == (2, 16)
    with pytest.raises(DataError, match="p: the answer must hold a number"):
        gsm8k.evaluate(reader, [problem("four")])
