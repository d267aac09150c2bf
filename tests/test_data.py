"""Conversation files: plain and gzipped, and errors that name file, line and rule."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loma_memory.data import Dialogue, Message, group, parse_dialogue, read_dialogues, read_json_lines
from loma_memory.errors import DataError

GOOD = {"id": "a", "turns": [{"role": "user", "content": " Hi "}, {"role": "assistant", "content": "Hello"}]}


def write(path: Path, *lines: Any, packed: bool = False) -> Path:
    text = "".join((x if isinstance(x, str) else json.dumps(x)) + "\n" for x in lines)
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    return path


@pytest.mark.parametrize("packed", [False, True])
def test_plain_and_gzipped_whatever_they_are_called(tmp_path: Path, packed: bool) -> None:
    for name in ("a.jsonl", "a.jsonl.gz", "a"):
        found = read_dialogues([write(tmp_path / name, GOOD, "", GOOD, packed=packed)])
        assert len(found) == 2
        assert found[0] == Dialogue("a", ((Message("user", "Hi"), Message("assistant", "Hello")),))


def test_limits_are_for_each_file(tmp_path: Path) -> None:
    one, two = write(tmp_path / "1", *[GOOD] * 5), write(tmp_path / "2", *[GOOD] * 3)
    assert len(read_dialogues([one, two], limit=4)) == 7
    assert len(read_dialogues([one, two])) == 8
    assert len(read_dialogues([write(tmp_path / "3", GOOD, "no JSON")], limit=1)) == 1


@given(st.lists(st.sampled_from(["user", "assistant", "note"]), max_size=12))
def test_turns_begin_where_the_assistant_does_not_speak(roles: list[str]) -> None:
    messages = [Message(role, str(i)) for i, role in enumerate(roles)]
    turns = group(messages)
    assert [m for t in turns for m in t] == messages
    for number, turn in enumerate(turns):
        assert all(m.role == "assistant" for m in turn[1:])
        assert number == 0 or turn[0].role != "assistant"


def test_texts_and_problems_are_conversations_too(tmp_path: Path) -> None:
    words = " ".join(f"w{i}" for i in range(230))
    problem = {"id": "p", "question": " What is 2 + 2? ", "answer": "4"}
    text, asked = read_dialogues([write(tmp_path / "x.jsonl", {"text": words}, problem)])
    assert [len(t[0].text.split()) for t in text.turns] == [100, 100, 30]
    assert " ".join(m.text for t in text.turns for m in t) == words
    assert {m.role for t in text.turns for m in t} == {"user"}
    assert asked.turns == ((Message("user", "What is 2 + 2?"), Message("assistant", "4")),)


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("{", "not JSON"),
        ("[]", "must be an object"),
        ('"x"', "object"),
        ("{}", "turns"),
        ({"text": " "}, "text must be a non-empty string, got ' '"),
        ({"question": "x", "answer": 4}, "answer must be a non-empty string, got 4"),
        ({"turns": []}, "turns"),
        ({"turns": {}}, "turns"),
        ({"turns": ["x"]}, r"turns\[0\].role"),
        ({"turns": [{"role": "system", "content": "x"}]}, r"turns\[0\].role must be .* got 'system'"),
        ({"turns": [{"role": ["user"], "content": "x"}]}, r"turns\[0\].role"),
        ({"turns": [GOOD["turns"][0], {"role": "user"}]}, r"turns\[1\].content must be .*, got None"),
        ({"turns": [{"role": "user", "content": " "}]}, r"turns\[0\].content"),
        ({"turns": [{"role": "user", "content": 5}]}, r"got 5"),
    ],
    ids=str,
)
def test_errors_name_file_line_and_rule(tmp_path: Path, line: Any, rule: str) -> None:
    file = write(tmp_path / "talk.jsonl", GOOD, "", line)
    with pytest.raises(DataError, match=rule) as raised:
        read_dialogues([file])
    assert str(raised.value).startswith(f"{file}:3: ")
    assert "\n" not in str(raised.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "latin").write_bytes(b'{"turns"\n\xe9\n')
    whole = gzip.compress(json.dumps(GOOD).encode() * 50)
    (tmp_path / "cut.gz").write_bytes(whole[:-12])
    (tmp_path / "torn.gz").write_bytes(whole[:20] + b"\0" * 20 + whole[40:])
    write(tmp_path / "empty")
    for name, rule in (
        ("latin", ":1: not JSON"),
        ("nowhere", "cannot read .*nowhere: No such file"),
        (".", "cannot read"),
        ("empty", "holds no conversation"),
        ("cut.gz", "ends too early"),
        ("torn.gz", "torn.gz"),
    ):
        with pytest.raises(DataError, match=rule) as raised:
            read_dialogues([tmp_path / name])
        assert "\n" not in str(raised.value)
    with pytest.raises(DataError, match="2: not UTF-8 at byte 0"):
        list(read_json_lines(_skip_first(tmp_path / "latin")))


def _skip_first(file: Path) -> Path:
    file.write_bytes(b"{}\n\xe9\n")
    return file


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=4),
        lambda x: (
            st.lists(x, max_size=3)
            | st.dictionaries(st.sampled_from(["id", "turns", "role", "content", "x"]), x, max_size=4)
        ),
        max_leaves=12,
    )
)
def test_any_json_is_a_dialogue_or_a_data_error(value: Any) -> None:
    try:
        assert parse_dialogue(value, "f:1").turns
    except DataError:
        with pytest.raises(DataError, match=r"^f:1: "):
            parse_dialogue(value, "f:1")
