"""Methods side by side: what they share changes no figure, and other models share nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from speaking import short, speaking

from loma_memory.engine.reader import Reader
from loma_memory.evaluation import dialogue, table
from loma_memory.methods import method

NAMES = ("ccm-concat", "window", "mean-pool")


def readers() -> list[Reader]:
    return [speaking(method(name)) for name in NAMES]


def without_time(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    left_out = {"seconds", "adapter", "trained_tokens"}
    return [{k: v for k, v in row.items() if k not in left_out} for row in rows]


def compare(entrants: list[Reader]) -> list[dict[str, Any]]:
    made = [table.Entrant(reader, "b2:abc", 5) for reader in entrants]
    return table.compare([lambda e=e: e for e in made], short(), batch=2, report=lambda _: None)


def test_a_table_is_what_each_method_gets_alone() -> None:
    alone = [dialogue.evaluate(reader, short(), batch=2) for reader in readers()]
    assert without_time(compare(readers())) == without_time(alone)


def test_baselines_are_read_once_a_model(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    run = Reader.run

    def counted(self: Reader, *args: Any, **kwargs: Any) -> Any:
        read.append(self.method.name)
        return run(self, *args, **kwargs)

    monkeypatch.setattr(Reader, "run", counted)
    compare(readers())
    once = read.count("full")
    assert once == read.count("none") == read.count("window")
    read.clear()
    others = readers()
    others[2].loaded = replace(others[2].loaded, digest="b2:another")
    compare(others)
    assert read.count("full") == 2 * once
