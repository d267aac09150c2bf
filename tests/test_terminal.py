"""The chat as a person at a terminal has it: a real terminal of the system's own, and keys pressed."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("pty")  # POSIX only
from terminal import terminal

pytestmark = pytest.mark.slow


def test_the_prompt_is_there_before_the_model_and_a_session_goes_on(
    tiny: str, tiny_adapter: str, database: str, tmp_path: Path
) -> None:
    model = ("--model", tiny, "--adapter", tiny_adapter, "--store", database, "--max-tokens", "5")
    with terminal(*model, home=tmp_path) as one:
        one.until("Session 'default' (new)")
        prompt = one.until("you>")
        one.type("hello there\r")
        one.until("(the model is still loading)")
        one.until("you>")
        one.type("/stats\r")
        one.until("turns 1, messages 2")
        one.until("you>")
        one.type("/nonsense\r")
        one.until("no command /nonsense")
        one.until("you>")
        one.type("\x04")
        assert one.process.wait(60) == 0
    print(f"prompt after {prompt:.2f} s")
    with terminal(*model, home=tmp_path) as two:
        two.until("(resumed after 1 turn)")
        two.type("\x1b[A")  # the line typed last, from the history
        two.until("/nonsense")
        two.type("\x03/history\r")
        two.until("[1] user: hello there")
        two.type("/quit\r")
        assert two.process.wait(60) == 0


@pytest.mark.parametrize("model", ["no-such-model", "/no/such/folder"])
def test_a_model_that_is_not_there_ends_the_prompt(model: str, database: str, tmp_path: Path) -> None:
    with terminal("--model", model, "--store", database, home=tmp_path) as one:
        one.until("you>")
        one.until("loma-memory: ")
        one.until("no model")
        assert one.process.wait(60) != 0
        assert "Traceback" not in one.seen


def test_what_was_typed_at_a_model_that_is_not_there_is_answered_with_the_reason(
    database: str, tmp_path: Path
) -> None:
    with terminal("--model", "no-such-model", "--store", database, home=tmp_path) as one:
        one.until("you>")
        one.type("hello\r")
        one.until("no model 'no-such-model'")
        assert one.process.wait(60) != 0
        assert "Traceback" not in one.seen


def test_a_store_that_cannot_be_opened_is_told_at_once(tmp_path: Path) -> None:
    with terminal("--store", "sqlite:////no/such/folder/x.db", home=tmp_path) as one:
        one.until("loma-memory: ")
        assert one.process.wait(60) == 1
        assert "you>" not in one.seen
