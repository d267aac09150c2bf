"""The everyday path: open, append, read back, open again."""

from __future__ import annotations

from pathlib import Path

import pytest

from loma_memory.errors import SessionConflict, UsageError
from loma_memory.store import NewMessage, NewSegment, Store, StoredSegment, message_id, root_id


def test_what_was_appended_is_there_after_opening_again(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/chats.db"
    with Store.open(url) as store:
        head = store.session("ada")
        new = [NewMessage("user", " hello "), NewMessage("assistant", "hi")]
        head = store.append(head, new, [None, NewSegment(2, "raw", b"kv")], "fp", {"model": "m"})
    with Store.open(url) as store:
        assert store.session("ada", create=False) == head
        path = store.path(head)
        assert [(m.role, m.text, m.turn, m.depth) for m in path] == [
            ("user", "hello", 1, 1),
            ("assistant", "hi", 1, 2),
        ]
        assert path[1].id == message_id(message_id(root_id(""), "user", "hello"), "assistant", "hi")
        assert store.segments(head, "fp") == [None, StoredSegment(path[1].id, "fp", 2, "raw", b"kv")]


def test_the_second_of_two_writers_is_told(tmp_path: Path) -> None:
    with Store.open("sqlite://") as store:
        head = store.session("ada")
        store.append(head, [NewMessage("user", "first")], [None], "", {})
        with pytest.raises(SessionConflict, match="version 1"):
            store.append(head, [NewMessage("user", "second")], [None], "", {})
        assert [m.text for m in store.path(store.session("ada"))] == ["first"]


def test_other_urls_are_refused() -> None:
    with pytest.raises(UsageError, match="mysql"):
        Store.open("mysql://x/y")
