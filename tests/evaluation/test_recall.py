"""Recall: which answers count as right, and that a session is asked as chat would ask it."""

from __future__ import annotations

import json
import random

import pytest
from speaking import speaking

from loma_memory.data import Dialogue
from loma_memory.errors import DataError
from loma_memory.evaluation import recall, talk
from loma_memory.evaluation.facts import PROBES, Probe, draw_others, together
from loma_memory.methods import method

PROBE = Probe("name", "The name's Ada.", "How am I called?", "Ada", ("Ada", "Keiko", "Jasper", "Isolde"))


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        ("Your name is Ada.", True),
        ("ADA!", True),
        ("ada", True),
        ("I don't know.", False),
        ("", False),
        ("Keiko", False),
        ("Ada or Keiko, I am not sure.", False),
        ("Is it Adam?", False),
        ("Canada is lovely.", False),
        ("Ada's", True),
    ],
)
def test_right_answers(answer: str, right: bool) -> None:
    assert recall.correct(answer, PROBE) is right


def test_values_that_hold_one_another() -> None:
    rye = Probe("allergy", "", "", "sunflower seeds", ("sunflower seeds", "rye", "mango", "seeds"))
    assert recall.correct("Sunflower seeds make you ill.", rye)
    assert not recall.correct("Seeds.", rye)
    day = Probe("birthday", "", "", "March 29", ("March 29", "July 30", "May 31", "October 29"))
    assert recall.correct("It is on March 29.", day)
    assert not recall.correct("It is on March 2.", day)


def test_every_value_counts_as_its_own_answer() -> None:
    for kind, values, _, _ in PROBES:
        for i, value in enumerate(values):
            options = (value, *(values[(i + k) % len(values)] for k in (1, 2, 3)))
            probe = Probe(kind, "", "", value, options)
            assert recall.correct(f"It is {value}.", probe)
            assert not recall.correct(f"It is {options[1]}.", probe)


def test_a_case_tells_first_and_asks_after_other_turns() -> None:
    for turns in (0, 1, 10, 30):
        case = recall._case(talk.dialogues()[:3], turns, 1, random.Random(turns))
        assert len(case.turns) == turns + 1
        assert case.turns[0][0].role == "user"
        assert case.turns[0][0].text.endswith(case.probe.statement)
        assert case.said == case.probe.statement
        assert case.beside == []
        assert all(turn[0].role == "user" for turn in case.turns)


def test_several_facts_are_told_in_one_sentence() -> None:
    places = set()
    for seed in range(60):
        case = recall._case(talk.dialogues()[:3], 1, 2, random.Random(seed))
        (other,) = case.beside
        assert other.kind != case.probe.kind
        assert case.turns[0][0].text.endswith(case.said)
        assert case.said.count(case.probe.value) >= 1
        assert case.said.count(other.value) >= 1
        places.add(case.said.index(case.probe.value) < case.said.index(other.value))
    assert places == {True, False}, "the one that is asked for comes first or last"


def test_facts_in_one_sentence_keep_their_words() -> None:
    dog = Probe("dog", "My dog Rex is asleep.", "?", "Rex", ())
    town = Probe("home", "Leipzig is home!", "?", "Leipzig", ())
    age = Probe("age", "I'm 40.", "?", "40", ())
    assert together([PROBE, dog]) == "The name's Ada, and my dog Rex is asleep."
    assert together([dog, town, age]) == "My dog Rex is asleep, and Leipzig is home, and I'm 40."
    assert together([town, dog]) == "Leipzig is home, and my dog Rex is asleep."


def test_what_counts_as_mixed_up() -> None:
    dog = Probe("dog", "", "", "Biscuit", ("Biscuit", "Truffle", "Rex", "Tango"))
    assert recall.mixed_up("You're called Biscuit.", PROBE, [dog])
    assert not recall.mixed_up("You're Ada, and your dog is Biscuit.", PROBE, [dog]), "that is right"
    assert not recall.mixed_up("You're Keiko.", PROBE, [dog]), "wrong, but not mixed up"
    assert not recall.mixed_up("You're Keiko.", PROBE, [])


def test_more_facts_than_there_are_kinds() -> None:
    with pytest.raises(ValueError, match=f"at most {len(PROBES)} facts can be told at once"):
        draw_others(random.Random(0), PROBE, len(PROBES))


def test_the_table() -> None:
    reader = speaking(method("full"))
    told: list[tuple[int, int]] = []
    found = recall.evaluate(
        reader, talk.dialogues(), turns=1, limit=3, batch=2, progress=lambda a, b: told.append((a, b))
    )
    json.dumps(found, allow_nan=False)
    for share in (found["generated"], found["ranked"], found["mixed_up"]):
        assert set(share) == {"full", "none", "memory", "swapped"}
        assert all(0.0 <= v <= 1.0 for v in share.values())
    assert found["ranked"]["full"] == found["ranked"]["memory"]
    assert (found["turns"], found["told"], found["questions"], found["method"]) == (1, 1, 3, "full")
    assert set(found["mixed_up"].values()) == {0.0}, "nothing was told beside it"
    assert told == [(2, 3), (3, 3)]
    for example in found["examples"]:
        assert example["full"] == example["memory"], "method full is full context"
    again = recall.evaluate(reader, talk.dialogues(), turns=1, limit=3, batch=3)
    assert again["examples"] == found["examples"], "neither the batch nor the day matters"
    other = recall.evaluate(reader, talk.dialogues(), turns=1, limit=3, seed=1)
    assert other["examples"] != found["examples"]


def test_another_session_is_one_that_was_told_something_else() -> None:
    ada, keiko = PROBE, Probe("name", "", "", "Keiko", PROBE.options)
    assert [recall._other(i, [ada, ada, keiko]) for i in range(3)] == [2, 2, 0]
    assert recall._other(0, [ada]) == 0


def test_no_dialogues() -> None:
    with pytest.raises(DataError, match="at least one dialogue"):
        recall.evaluate(speaking(method("full")), [])


def test_small_talk_is_well_formed() -> None:
    dialogues = talk.dialogues()
    assert len(dialogues) >= 10
    for d in dialogues:
        assert isinstance(d, Dialogue)
        assert len(d.turns) >= 4
        assert all([m.role for m in t] == ["user", "assistant"] for t in d.turns)
    told = " ".join(m.text for d in dialogues for t in d.turns for m in t).casefold()
    assert not [
        v for _, values, _, _ in PROBES for v in values if f" {v.casefold()} " in told and v.isdigit()
    ]
