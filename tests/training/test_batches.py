"""What training sees: a function of (seed, step), of the right lengths and weights."""

from __future__ import annotations

import random
from collections import Counter
from itertools import pairwise, product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_chat import byte_tokenizer

from loma_memory.data import Dialogue, Message
from loma_memory.engine.chat_format import ChatFormat
from loma_memory.errors import DataError
from loma_memory.evaluation import facts as probes
from loma_memory.evaluation import talk
from loma_memory.training import facts, values
from loma_memory.training.batches import Batches, Mixture
from loma_memory.training.encode import Weights, encode, fit, padded_ids
from loma_memory.training.numbers import digits
from loma_memory.training.planting import Sample, first_turns, general, plant, quote, window
from loma_memory.training.prompts import own_prompts

FORM = ChatFormat.of(byte_tokenizer())
WEIGHTS = Weights(user=1.0, assistant=2.0, answer=5.0)
TALK = talk.dialogues()
SMALL = Mixture(lengths=(200, 400, 700), tokens=1400, planted=0.5, own=0.0, curriculum=6)


def made(seed: int = 0, **more: Any) -> Batches:
    mixture = more.pop("mixture", SMALL)
    return Batches(FORM, [TALK[:5], TALK[5:]], mixture, WEIGHTS, seed=seed, **more)


def test_a_batch_is_a_function_of_seed_and_step() -> None:
    one, two = made(), made()
    forward = [one(step) for step in range(6)]
    backward = [two(step) for step in reversed(range(6))][::-1]
    assert forward == backward
    assert len({str(b) for b in forward}) == 6
    assert made(seed=1)(0) != forward[0]


def test_rows_fit_and_the_longest_come_later() -> None:
    batches = made()
    for step in range(12):
        rows = batches(step)
        open_to = [200, 400, 700][: min(3, 1 + step * 3 // 6)]
        longest = max(map(len, rows))
        assert longest <= max(open_to)
        assert len(rows) in [round(1400 / n) for n in open_to]
        for row in rows:
            assert len(row.weights) == len(row.flat) == sum(len(m) for t in row.turns for m in t)
            assert any(row.weights)


def test_weights_fall_on_words_only() -> None:
    sample = Sample(
        (
            (Message("user", "ab"), Message("assistant", "cd")),
            (Message("user", "e"), Message("assistant", "f")),
        ),
        frozenset({(1, 1)}),
    )
    encoded = encode(FORM, sample, WEIGHTS)
    text = FORM.tokenizer.convert_ids_to_tokens(encoded.flat)
    weighed = [(t, w) for t, w in zip(text, encoded.weights, strict=True) if w]
    assert weighed == [
        ("a", 1.0), ("b", 1.0), ("<|im_end|>", 1.0), ("c", 2.0), ("d", 2.0), ("<|im_end|>", 2.0),
        ("e", 1.0), ("<|im_end|>", 1.0), ("f", 5.0), ("<|im_end|>", 5.0),
    ]  # fmt: skip
    later = encode(FORM, sample, WEIGHTS, first_turn=1)
    assert sum(w > 0 for w in later.weights) == 4
    assert later.flat == encoded.flat
    assert encoded.flat == [i for t in sample.turns for m in t for i in FORM.message_ids(m.role, m.text)]


def test_fitting_drops_whole_turns_from_the_end() -> None:
    sample = Sample(TALK[0].turns)
    whole = encode(FORM, sample, WEIGHTS)
    first = sum(len(m) for m in whole.turns[0])
    assert fit(whole, len(whole)) == whole
    assert fit(whole, first).turns == whole.turns[:1]
    assert len(fit(whole, first - 1)) == 0
    cut = fit(whole, len(whole) - 1)
    assert cut.turns == whole.turns[:-1]
    assert cut.weights == whole.weights[: len(cut)]


def test_rows_are_padded_at_their_end() -> None:
    encoded = encode(FORM, Sample(TALK[0].turns[:1]), WEIGHTS)
    longer = encode(FORM, Sample(TALK[0].turns[:2]), WEIGHTS)
    ids, weights = padded_ids([1, 2], [encoded, longer])
    assert len(ids[0]) == len(ids[1]) == len(weights[0]) == len(longer) + 2
    assert ids[0] == [1, 2, *encoded.flat] + [0] * (len(longer) - len(encoded))
    assert weights[0][:2] == [0.0, 0.0]
    assert set(weights[0][2 + len(encoded) :]) == {0.0}


def test_planted_facts_are_told_before_they_are_asked_for() -> None:
    soon = 0
    for seed in range(60):
        base = first_turns(TALK[seed % len(TALK)], 4)
        sample = plant(base, random.Random(seed), 3)
        assert len(sample.answers) in (3, 4)
        known = 0
        for t, m in sample.answers:
            question, answer = sample.turns[t]
            assert (question.role, answer.role, m) == ("user", "assistant", 1)
            told = " ".join(turn[0].text for turn in sample.turns[:t])
            words = [w.strip(".,!?") for w in answer.text.split()]
            known += any(w in told and len(w) > 1 for w in words)
            soon += t < len(sample.turns) - len(sample.answers)
        assert known >= 3
        assert [t[0].role for t in sample.turns] == ["user"] * len(sample.turns)
    assert soon > 30, "some are asked for before other turns follow"


def test_the_own_name_stands_beside_other_names() -> None:
    """Whose name is whose is what compressed memory mixes up first."""
    beside = 0
    for seed in range(400):
        kinds = [f.kind for f in facts.draw_facts(random.Random(seed), 3)]
        assert len(set(kinds)) == 3
        if "name" in kinds[:2]:
            beside += any(k.endswith("'s name") for k in kinds[:2])
    assert 120 < beside < 240


def test_what_was_to_be_learned_stays_so_when_facts_are_planted() -> None:
    pairs = [(f"Prompt {i}?", f"Answer {i}.") for i in range(9)]
    for seed in range(40):
        base = general(pairs, random.Random(seed), 4)
        sample = plant(base, random.Random(seed), 2)
        own = [t for t, turn in enumerate(sample.turns) if turn[1].text.startswith("Answer ")]
        assert sample.own == {(t, 1) for t in own}
        assert len(sample.answers) in (2, 3)
    assert first_turns(TALK[0], 0).turns == TALK[0].turns[:1]


def test_quotes_repeat_what_was_said_turns_before() -> None:
    quoted = 0
    for seed in range(60):
        base = plant(first_turns(TALK[seed % len(TALK)], 8), random.Random(seed), 2)
        sample = quote(base, random.Random(seed))
        asides = [t for t, turn in enumerate(sample.turns) if len(turn) == 1]
        kept = [turn for turn in sample.turns if len(turn) > 1]
        assert tuple(kept) == base.turns
        for t in asides:
            before = [m.text for turn in sample.turns[: t - 2] for m in turn]
            told = sample.turns[t][0].text
            assert any(told.endswith(f": {text}") for text in before), told
        answers = {sample.turns[t][m].text for t, m in sample.answers if t not in asides}
        assert answers == {base.turns[t][m].text for t, m in base.answers}
        assert {(t, 0) for t in asides} <= sample.answers
        quoted += len(asides)
    assert quoted > 60
    nothing = Sample(TALK[0].turns[:2])
    assert quote(nothing, random.Random(0)) == nothing


def test_a_share_of_rows_has_quotes() -> None:
    def share(quoted: float) -> float:
        mixture = Mixture(lengths=(700,), tokens=7000, planted=0.5, quoted=quoted, curriculum=0)
        rows = [row for step in range(12) for row in made(mixture=mixture)(step)]
        return sum(any(len(turn) == 1 for turn in row.turns) for row in rows) / len(rows)

    assert share(0.0) == 0.0
    assert 0.2 < share(0.5) < 0.7
    assert share(1.0) > 0.6


def test_kinds_of_which_there_are_many_do_not_crowd_out_the_others() -> None:
    drawn = Counter(f.kind for s in range(3000) for f in facts.draw_facts(random.Random(s), 1))
    assert drawn["job"] > 1.8 * drawn["favourite beach"]
    assert set(drawn) == {k.name for k in facts.KINDS}


def test_windows_and_general_prompts() -> None:
    dialogue = Dialogue("d", tuple((Message("user", str(i)), Message("assistant", "x")) for i in range(9)))
    starts = Counter(window(dialogue, random.Random(s), 4).turns[0][0].text for s in range(200))
    assert set(starts) == {str(i) for i in range(6)}
    assert window(dialogue, random.Random(0), 40).turns == dialogue.turns
    pairs = [(f"p{i}", f"a{i}") for i in range(5)]
    for seed in range(30):
        sample = general(pairs, random.Random(seed), 3)
        assert len({t[0] for t in sample.turns}) == 3
        assert all((u.text[1:], u.role, a.role) == (a.text[1:], "user", "assistant") for u, a in sample.turns)
        assert (sample.own, sample.answers) == ({(i, 1) for i in range(len(sample.turns))}, frozenset())
    own = made(own=pairs, mixture=Mixture(lengths=(120,), tokens=400, planted=0.0, own=1.0, curriculum=0))
    said = FORM.tokenizer.decode([i for row in own(0) for i in row.flat])
    assert "p" in said
    assert "umbrella" not in said


def test_own_prompts_are_of_four_kinds_and_seeded() -> None:
    prompts = own_prompts(TALK, 5)
    assert prompts == own_prompts(TALK, 5)
    assert prompts != own_prompts(TALK, 6)
    assert len(set(prompts)) == len(prompts) > 300
    assert {"Hello!", "Ok."} < set(prompts)
    assert any(p.startswith("Explain ") for p in prompts)
    said = {m.text for d in TALK for t in d.turns for m in t if m.role == "user"}
    assert said & set(prompts)
    assert any(" my " in f" {p.casefold()}" for p in set(prompts) - said)


def test_single_exchanges_make_conversations_together() -> None:
    problems = [
        Dialogue(f"p{i}", ((Message("user", f"What is {i}?"), Message("assistant", f"{i}.")),))
        for i in range(9)
    ]
    mixture = Mixture(lengths=(300,), tokens=600, planted=0.0, curriculum=0)
    for row in Batches(FORM, [problems], mixture, WEIGHTS, first_turn=1)(0):
        assert len(row.turns) > 2
        assert all(len(turn) == 2 for turn in row.turns)


def test_running_text_has_zones_and_no_roles() -> None:
    words = " ".join(f"word{n}" for n in range(900))
    book = Dialogue("b", tuple((Message("user", words[at : at + 600]),) for at in range(0, len(words), 600)))
    mixture = Mixture(lengths=(200, 330), tokens=900, zone=16, text=64, curriculum=0)
    for step in range(4):
        for row in Batches(FORM, [[book]], mixture, WEIGHTS, first_turn=1, seed=step)(step):
            assert {len(m) for turn in row.turns for m in turn} == {16}
            assert all(len(turn) == 4 for turn in row.turns[:-1])
            assert len(row) in (192, 320)
            assert row.weights == (0.0,) * 64 + (1.0,) * (len(row) - 64)
            said = FORM.tokenizer.decode(row.flat)
            assert said in book.text
            assert "im_start" not in said


def test_short_texts_follow_one_another_until_a_row_is_full() -> None:
    notes = [Dialogue(str(n), ((Message("user", f"Note {n} is short."),),)) for n in range(9)]
    mixture = Mixture(lengths=(100,), tokens=300, zone=25, text=50, curriculum=0)
    for row in Batches(FORM, [notes], mixture, WEIGHTS, first_turn=1)(0):
        assert len(row) == 100
        assert "short.\nNote" in FORM.tokenizer.decode(row.flat)


def test_conversations_with_nothing_to_learn_from_are_refused() -> None:
    alone = [Dialogue("d", ((Message("user", "Hi"), Message("assistant", "Hello")),))]
    mixture = Mixture(lengths=(50,), tokens=50, planted=0.0, curriculum=0)
    with pytest.raises(DataError, match="no turn 2 within that length"):
        Batches(FORM, [alone], mixture, WEIGHTS, first_turn=1)(0)
    with pytest.raises(DataError, match="at most 8 tokens"):
        made(mixture=Mixture(lengths=(8,), tokens=8, planted=0.0, curriculum=0))(0)


# --- training and evaluation share no fact -----------------------------------------------------------


def training_values() -> set[str]:
    """Everything a training fact can be about, as far as it is a list."""
    lists = [v for k, v in vars(values).items() if k.isupper() and isinstance(v, (list, tuple))]
    drawn = {k.draw(random.Random(s)) for k in facts.KINDS for s in range(400)}
    return {str(v).casefold() for v in drawn} | {str(v).casefold() for group in lists for v in group}


def test_no_value_is_both_trained_and_asked_for() -> None:
    trained = training_values()
    assert len(trained) > 500
    for kind, asked, _, _ in probes.PROBES:
        if kind == "number":  # drawn from all four-digit numbers: checked by the wordings
            continue
        both = {v for v in asked if v.casefold() in trained}
        assert not both, f"{kind}: {both}"


def normal(text: str) -> str:
    return " ".join("".join(c if c.isalnum() else " " for c in text.casefold().replace("{v}", "")).split())


def test_no_wording_is_both_trained_and_asked_for() -> None:
    statements = {normal(s) for k in facts.KINDS for s in k.statements}
    questions = {normal(q) for k in facts.KINDS for q in k.questions}
    nouns = [*facts._NOUNS.values(), *(f"my {k.name}" for k in facts.KINDS)]
    for form, noun in product(facts._ASKING, nouns):
        questions.add(normal(form.format(n=noun, N=noun[0].upper() + noun[1:])))
    assert len(questions) > 300
    for kind, _, told, asked in probes.PROBES:
        assert not {s for s in told if normal(s) in statements}, kind
        assert not {q for q in asked if normal(q) in questions}, kind


def test_probes_are_well_formed() -> None:
    for seed in range(300):
        probe = probes.draw(random.Random(seed))
        assert probe.value in probe.options
        assert len(set(probe.options)) == 4
        assert probe.value in probe.statement or probe.value.capitalize() in probe.statement
        assert probe.value.casefold() not in probe.question.casefold()
        assert "{" not in probe.statement + probe.question


@given(st.integers(1, 9), st.integers(0, 3), st.integers())
def test_rows_of_digits(count: int, group: int, seed: int) -> None:
    drawn = digits(count, "-", group)(random.Random(seed))
    parts = drawn.split("-")
    assert len("".join(parts)) == count
    assert drawn[0] != "0"
    assert all(len(p) == (group or count) for p in parts[:-1])


def test_half_of_the_rows_of_digits_or_more_have_one_twice_in_succession() -> None:
    rng = random.Random(3)
    rows = [digits(4)(rng) for _ in range(400)]
    assert 0.55 < sum(any(a == b for a, b in pairwise(r)) for r in rows) / 400 < 0.75


def test_training_facts_are_well_formed() -> None:
    for seed in range(200):
        for fact in facts.draw_facts(random.Random(seed), 4):
            assert fact.value.casefold() in fact.statement.casefold()
            assert fact.value.casefold() in fact.answer.casefold()
            assert "{" not in fact.statement + fact.question + fact.answer
    with pytest.raises(ValueError, match="ample"):
        facts.draw_facts(random.Random(0), len(facts.KINDS) + 1)
