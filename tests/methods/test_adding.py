"""docs/adding-a-method.md, as a newcomer would follow it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from families import build, loaded
from programs import distance, one_pass, reader_of, turn_by_turn

from loma_memory.methods import METHODS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "adding-a-method.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
TALK = [[[[5, 9, 12, 30, 31, 7], [8, 6, 50]], [[22, 40, 41], [4, 4, 11, 60]], [[13, 14]]]]


def test_the_method_of_the_page_works(tiny: str) -> None:
    before = dict(METHODS)
    names: dict[str, Any] = {"model": tiny}
    try:
        for block in BLOCKS:
            exec(compile(block, str(PAGE), "exec"), names)
        assert METHODS["last-turns"] is names["LastTurns"]
        reader = reader_of(loaded(build("llama"), sink=[1, 5, 9]), names["LastTurns"](1))
        turns = turn_by_turn(reader, TALK)
        whole = one_pass(reader, TALK, turns.states)
        assert distance(turns.hidden, whole.hidden) <= 1e-9
        assert distance(turns.slots, whole.slots) <= 1e-9
        assert turns.states[0].slots == 2  # the last turn
    finally:
        METHODS.clear()
        METHODS.update(before)


def test_every_method_is_in_the_table_of_the_guide() -> None:
    table = (PAGE.parent / "methods.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `([a-z-]+)`", table, re.MULTILINE)) == set(METHODS)


def test_every_hook_is_named() -> None:
    page = PAGE.read_text(encoding="utf-8")
    from loma_memory.methods.base import Method

    hooks = {n for n in vars(Method) if not n.startswith("_")} - {"name", "create"}
    assert {h for h in hooks if f"`{h}" not in page and f"def {h}" not in page} == set()
