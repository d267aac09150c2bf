"""What is minimised, against the same figures worked out in another way; and a tiny model that learns."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from families import build, loaded, with_adapter
from peft import LoraConfig, get_peft_model
from programs import reader_of, turn_by_turn
from torch import Tensor, nn

from loma_memory.adapter import AdapterSettings, MemoryAdapter
from loma_memory.engine.decode import logits
from loma_memory.engine.reader import Reader
from loma_memory.memory import MemoryState
from loma_memory.methods import method
from loma_memory.methods.ccm_concat import CCMConcat
from loma_memory.training.encode import Encoded
from loma_memory.training.loop import LoopSettings, train
from loma_memory.training.objectives import MemoryObjective, TextObjective

SINK = [1, 5, 9]


def talks(count: int = 3, seed: int = 0) -> list[Encoded]:
    """Conversations whose words from the second turn on are targets of weight 1."""
    draw = random.Random(seed)
    made = []
    for b in range(count):
        turns = tuple(
            tuple(tuple(draw.randrange(3, 67) for _ in range(draw.randint(2, 7))) for _ in range(2))
            for _ in range(2 + b)
        )
        first = sum(map(len, turns[0]))
        total = sum(len(m) for t in turns for m in t)
        made.append(Encoded(turns, (0.0,) * first + (1.0,) * (total - first)))
    return made


def log_likelihoods(reader: Reader, rows: list[Encoded]) -> Tensor:
    """Log-probabilities before every target, turn by turn, (targets, vocabulary)."""
    with torch.no_grad():
        run = turn_by_turn(reader, [e.turns for e in rows])
        found = []
        for hidden, encoded in zip(run.hidden, rows, strict=True):
            spots = torch.tensor([i for i, w in enumerate(encoded.weights) if w])
            found.append(torch.log_softmax(logits(reader.model, hidden[spots - 1]), -1))
    return torch.cat(found)


@pytest.mark.parametrize("family", ["llama", "qwen2"])
def test_the_loss_is_the_kl_that_turn_by_turn_reading_shows(family: str) -> None:
    adapter = with_adapter(loaded(build(family)).model)
    known, rows = loaded(adapter.model, sink=SINK), talks()
    # Only inside a turn is the word before a target in view of the same reading.
    inner = [
        Encoded(e.turns, tuple(w if i not in _starts(e) else 0.0 for i, w in enumerate(e.weights)))
        for e in rows
    ]
    full = log_likelihoods(reader_of(known, method("full")), inner)
    for how in (method("full"), method("none"), CCMConcat(2)):
        objective = MemoryObjective(
            adapter.model, adapter.tokens, [how], SINK, positions=10_000, weights=known.format.weigh
        )
        total, count, figures = objective(inner, 3)
        got = log_likelihoods(reader_of(known, how, adapter.tokens), inner)
        expected = (full.exp() * (full - got)).sum()
        total = total.detach()
        assert int(count) == len(full)
        assert float(total) == pytest.approx(float(expected), rel=1e-4, abs=1e-3)
        assert figures["agree"] == pytest.approx(float((full.argmax(-1) == got.argmax(-1)).double().mean()))
        if how.name == "full":
            assert abs(float(total)) < 1e-3
        else:
            assert float(total) > 1.0


def _starts(encoded: Encoded) -> set[int]:
    """Places of the first token of every turn."""
    places, at = set(), 0
    for turn in encoded.turns:
        places.add(at)
        at += sum(map(len, turn))
    return places


def test_targets_are_drawn_where_there_is_weight_and_by_the_seed() -> None:
    adapter = with_adapter(loaded(build("llama")).model)
    objective = MemoryObjective(
        adapter.model, adapter.tokens, [CCMConcat(2), CCMConcat(6)], SINK, positions=5
    )
    rows = talks()
    with torch.no_grad():
        one, two, other = objective(rows, 1), objective(rows, 1), objective(rows, 2)
    assert float(one[0]) == float(two[0])
    assert float(one[0]) != float(other[0])
    assert int(one[1]) == 5
    assert {objective(rows, s)[2]["ratio"] for s in range(12)} == {2.0, 6.0}
    few = [Encoded(rows[0].turns, tuple(1.0 if i == len(rows[0]) - 1 else 0.0 for i in range(len(rows[0]))))]
    assert int(objective(few, 0)[1]) == 1


def test_what_weighs_more_counts_more() -> None:
    adapter = with_adapter(loaded(build("llama")).model)
    objective = MemoryObjective(adapter.model, adapter.tokens, [CCMConcat(2)], SINK, positions=10_000)
    (row, *_) = talks()
    last = len(row) - 1

    def told(weights: Sequence[float]) -> tuple[float, float, dict[str, float]]:
        with torch.no_grad():
            total, count, figures = objective([Encoded(row.turns, tuple(weights))], 1)
        return float(total), float(count), figures

    whole = told(row.weights)
    alone = told([float(i == last) for i in range(len(row))])
    heavy = told([8.0 if i == last else w for i, w in enumerate(row.weights)])
    assert row.weights[last] == 1.0
    assert alone[0] > 1e-3
    assert heavy[0] == pytest.approx(whole[0] + 7 * alone[0], rel=1e-4)
    assert heavy[1] == whole[1] + 7
    assert heavy[2]["answers_kl"] == pytest.approx(alone[0], rel=1e-4)
    assert "answers" not in whole[2], "only what weighs more than 1 is an answer"


def test_labels_are_learned_beside_the_teacher_except_for_answers() -> None:
    known = loaded(build("llama"))
    adapter = with_adapter(known.model)
    (row, *_) = talks()
    inner = Encoded(row.turns, tuple(w if i not in _starts(row) else 0.0 for i, w in enumerate(row.weights)))
    last = len(row) - 1
    answered = Encoded(row.turns, tuple(8.0 if i == last else w for i, w in enumerate(inner.weights)))

    def total(labels: float, encoded: Encoded) -> float:
        objective = MemoryObjective(
            adapter.model, adapter.tokens, [CCMConcat(2)], SINK, 10_000, known.format.weigh, labels
        )
        with torch.no_grad():
            return float(objective([encoded], 1)[0])

    got = log_likelihoods(reader_of(known, CCMConcat(2), adapter.tokens), [inner])
    places = [i for i, w in enumerate(inner.weights) if w > 0]
    truth = [-float(got[n, row.flat[i]]) for n, i in enumerate(places)]
    assert total(1.0, inner) == pytest.approx(sum(truth), rel=1e-4)
    assert total(0.25, inner) == pytest.approx(0.75 * total(0.0, inner) + 0.25 * sum(truth), rel=1e-4)
    alone = Encoded(row.turns, tuple(8.0 if i == last else 0.0 for i in range(len(row))))
    assert total(1.0, alone) == pytest.approx(total(0.0, alone))
    assert total(1.0, answered) == pytest.approx(sum(truth[:-1]) + total(0.0, alone), rel=1e-4)


def test_only_the_adapter_learns_and_all_of_it() -> None:
    adapter = with_adapter(loaded(build("llama")).model)
    objective = MemoryObjective(adapter.model, adapter.tokens, [CCMConcat(2)], SINK)
    total, _, _ = objective(talks(), 0)
    total.backward()
    assert all(p.grad is not None and float(p.grad.abs().max()) > 0 for p in adapter.parameters())
    trained = {id(p) for p in adapter.parameters()}
    assert all(p.grad is None for p in adapter.model.parameters() if id(p) not in trained)


def test_the_text_objective_is_weighted_cross_entropy_under_an_ordinary_lora() -> None:
    config = LoraConfig(
        r=2, lora_alpha=4, target_modules="all-linear", task_type="CAUSAL_LM", init_lora_weights=False
    )
    torch.manual_seed(3)
    wrapped = get_peft_model(loaded(build("llama")).model, config)
    model: Any = wrapped.get_base_model()
    rows = [Encoded(e.turns, tuple(w * (1 + i % 3) for i, w in enumerate(e.weights))) for e in talks()]
    expected, weight = 0.0, 0.0
    with torch.no_grad():
        for encoded in rows:
            ids = torch.tensor([[*SINK, *encoded.flat]])
            scores = torch.log_softmax(model(input_ids=ids).logits[0], -1)  # plain PEFT, before the gate
            for i, w in enumerate(encoded.weights):
                expected -= w * float(scores[len(SINK) + i - 1, encoded.flat[i]])
                weight += w
    total, count, _ = TextObjective(model, SINK)(rows, 0)
    assert float(count) == pytest.approx(weight)
    assert float(total.detach()) == pytest.approx(expected, rel=1e-4)
    total.backward()
    assert any(
        p.grad is not None and float(p.grad.abs().max()) > 0
        for n, p in model.named_parameters()
        if "lora_A" in n
    )


# --- a model that really learns ----------------------------------------------------------------------

ASK, SAY = 3, 4
VALUES = range(20, 52)


def told_and_asked(draw: random.Random) -> tuple[tuple[tuple[int, ...], ...], ...]:
    """Turn 1 says a value among other words, turn 2 asks, and its reply begins with the value."""
    value = draw.choice(VALUES)
    words = [draw.randrange(5, 20) for _ in range(7)]
    words.insert(draw.randrange(8), value)
    return (tuple(words),), ((ASK,), (SAY, value))


def encoded(seed: int, count: int) -> list[Encoded]:
    draw = random.Random(seed)
    return [Encoded(told_and_asked(draw), (0.0,) * 10 + (1.0,)) for _ in range(count)]


def reader_that_knows_the_task() -> Any:
    """A tiny model trained to answer with everything in view."""
    model = build("llama", dtype=torch.float32, exact=False, num_hidden_layers=2)
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.1)
    known = loaded(model, sink=SINK)
    model.requires_grad_(True).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for step in range(500):
        rows = torch.tensor([[*SINK, *e.flat] for e in encoded(step, 64)])
        scores = model(input_ids=rows[:, :-1]).logits[:, -1]
        loss = nn.functional.cross_entropy(scores, rows[:, -1])
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        if float(loss.detach()) < 0.02:
            break
    model.requires_grad_(False).eval()
    return known


def answers(reader: Reader, rows: list[Encoded]) -> tuple[float, float]:
    """Share of right answers and loss, reading turn by turn."""
    _, states = reader.remember([MemoryState()] * len(rows), [e.turns[0] for e in rows])
    done = reader.run(states, [[e.turns[1][0], [SAY]] for e in rows])
    scores = logits(reader.model, done.hidden[:, 1])
    gold = torch.tensor([e.flat[-1] for e in rows])
    right = float((scores.argmax(-1) == gold).float().mean())
    return right, float(nn.functional.cross_entropy(scores, gold))


@pytest.mark.slow
def test_a_tiny_model_learns_to_remember(tmp_path: Path) -> None:
    known = reader_that_knows_the_task()
    torch.manual_seed(0)
    adapter = MemoryAdapter.create(known.model, AdapterSettings(rank=8, alpha=8))
    how = CCMConcat(8)
    objective = MemoryObjective(adapter.model, adapter.tokens, [how], SINK, 64, known.format.weigh)
    test = encoded(10**6, 200)
    full, nothing = reader_of(known, method("full")), reader_of(known, method("none"))
    memory = reader_of(known, how, adapter.tokens)
    before = answers(memory, test)
    log = train(
        objective,
        adapter.parameters(),
        lambda step: encoded(2 * 10**6 + step, 64),
        LoopSettings(steps=250, lr=1e-2, warmup=10, save_every=250),
        tmp_path,
        report=lambda _: None,
    )
    after, best, worst = answers(memory, test), answers(full, test), answers(nothing, test)
    assert best[0] > 0.95
    assert worst[0] < 0.15
    assert log[-1]["loss"] < 0.3 * log[0]["loss"]
    assert after[0] > 0.8 > before[0]
    assert after[1] < 0.35 * worst[1]
