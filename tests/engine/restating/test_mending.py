"""Restating that reads again what it restated: slots of the right text are those kept, and no others are."""

from __future__ import annotations

from itertools import chain
from typing import Any

import pytest
import torch
from families import build, loaded, with_adapter
from programs import reader_of

from loma_memory.engine.reader import Reader
from loma_memory.engine.restating import mending
from loma_memory.engine.restating.mending import mend
from loma_memory.engine.restating.restate import ranked, restate
from loma_memory.engine.restating.spelling import Part
from loma_memory.errors import UsageError
from loma_memory.evaluation.walk import stored
from loma_memory.memory import MemoryState
from loma_memory.methods import Method, method

FIRST = [[5, 6, 7, 8, 9, 10, 11], [12, 13]]
SECOND = [[14, 15, 16, 17, 18], [9, 9, 8, 7, 30, 31, 32]]


def reader(how: Method, family: str = "llama") -> Reader:
    adapter = with_adapter(loaded(build(family)).model, repeat_rows=4)
    return reader_of(loaded(adapter.model), how, adapter.tokens)


def misread(monkeypatch: pytest.MonkeyPatch, changes: dict[tuple[int, int], int]) -> None:
    """Let restating give the turn's own tokens, but others where `changes` says so; then all in order."""

    def told(_reader: Any, segments: Any, count: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
        found = []
        for m, segment in enumerate(segments):
            rows = []
            for p in range(segment.text_tokens):
                first = changes.get((m, p), SECOND[m][p])
                rows.append([first, *(t for t in range(count + 1) if t != first)][:count])
            ids = torch.tensor(rows)
            found.append((ids, -torch.arange(count).float().expand(ids.shape)))
        return found

    monkeypatch.setattr(mending, "ranked", told)


def unsolved(_reader: Any, _segments: Any, likely: list[Any]) -> tuple[list[None], float]:
    """As of a model whose first layer says nothing of the tokens."""
    return [None] * len(likely), 0.0


@pytest.mark.parametrize("solves", [True, False])
@pytest.mark.parametrize("family", ["llama", "gemma3", "qwen3"])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {(1, 4): 33},
        {(0, 0): 40, (1, 6): 41},  # in both messages
        {(1, 3): 30, (1, 4): 7},  # neighbours in the same part, exchanged
        {(1, 0): 50, (1, 2): 52},  # two of one part
    ],
)
def test_what_is_wrong_is_found_and_mended(
    monkeypatch: pytest.MonkeyPatch, family: str, solves: bool, changes: dict[tuple[int, int], int]
) -> None:
    source = reader(method("loma", ratio=3), family)
    _, [before] = source.remember([MemoryState()], [FIRST])
    _, [after] = source.remember([before], [SECOND])
    misread(monkeypatch, changes)
    if not solves:
        monkeypatch.setattr(mending, "bags", unsolved)
    found = mend(source, before, after.segments[2:])
    assert found.messages == SECOND
    assert found.agrees
    assert len(source.decoder.layers) == len(source.model.get_decoder().layers)  # the reader is as it was


def test_slots_that_storing_has_changed_agree_as_far_as_they_can(monkeypatch: pytest.MonkeyPatch) -> None:
    source = reader(method("loma", ratio=3))
    _, [after] = source.remember([MemoryState()], [SECOND])
    kept = [stored(s, "int8") for s in after.segments]
    misread(monkeypatch, {(1, 3): 30, (1, 4): 7, (0, 2): 44})
    found = mend(source, MemoryState(), kept)
    assert found.messages == SECOND
    assert found.agrees
    assert found.apart > 1e-4


def test_other_slots_do_not_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the right token is never tried, the text is told to be wrong."""
    source = reader(method("loma", ratio=3))
    _, [after] = source.remember([MemoryState()], [SECOND])
    misread(monkeypatch, {(1, 4): 33})
    monkeypatch.setattr(mending, "LIKELY", 1)
    monkeypatch.setattr(mending, "bags", unsolved)
    found = mend(source, MemoryState(), after.segments)
    assert not found.agrees
    assert found.messages != SECOND
    # And a text is only right after what it was read after.
    misread(monkeypatch, {})
    _, [before] = source.remember([MemoryState()], [FIRST])
    assert not mend(source, before, after.segments).agrees


@pytest.mark.parametrize("many", [True, False])
def test_where_restating_is_unsure_what_the_model_would_write_is_tried(
    monkeypatch: pytest.MonkeyPatch, many: bool
) -> None:
    source = reader(method("loma", ratio=3))
    _, [before] = source.remember([MemoryState()], [FIRST])
    _, [after] = source.remember([before], [SECOND])
    wrong = [(m, p) for m, message in enumerate(SECOND) for p in range(len(message))][: 9 if many else 2]
    misread(monkeypatch, {place: 40 + i for i, place in enumerate(wrong)})
    asked = []

    def spelled(_reader: Reader, parts: list[Part]) -> list[list[int]]:
        asked.append(parts)
        bags = [list(bag or ()) for _, bag in parts]
        assert [len(places) for places, _ in parts] == [len(bag) for bag in bags]
        assert sorted(chain(*bags)) == sorted(chain(*SECOND))
        return [[9] * 12, [*chain(*SECOND)]]

    monkeypatch.setattr(mending, "spell", spelled)
    monkeypatch.setattr(mending, "ROUNDS", 64 if not many else 0)
    found = mend(source, before, after.segments[2:])
    assert found.messages == SECOND
    assert found.agrees
    assert len(asked) == many


def test_without_anything_to_mend_it_is_restating() -> None:
    """A random model restates nothing; what comes out is never farther from the slots than what it told."""
    for name in ("loma", "loma-retell"):
        source = reader(method(name, ratio=2))
        _, [after] = source.remember([MemoryState()], [SECOND])
        plain = restate(source, after.segments)
        found = mend(source, MemoryState(), after.segments)
        before = mending._Check(source, MemoryState(), after.segments)([plain])
        assert found.apart <= float(before.max())
        assert [len(m) for m in found.messages] == [len(m) for m in plain]
        best = [ids[:, 0].tolist() for ids, _ in ranked(source, after.segments, 3)]
        assert best == plain


def test_others_cannot() -> None:
    plain = reader(method("ccm-concat", ratio=3))
    _, [after] = plain.remember([MemoryState()], [FIRST])
    with pytest.raises(UsageError, match="ccm-concat cannot restate"):
        mend(plain, MemoryState(), after.segments)
