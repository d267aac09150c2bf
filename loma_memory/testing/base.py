"""What the tests of the kit share: the store under test, and short ways to fill it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from sqlalchemy import text

from loma_memory.store import NewMessage, NewSegment, SessionHead, Store

FINGERPRINT = "model-a"
SETTINGS = {"model": "a", "ratio": 8}


class Kit:
    """Base of all classes of the kit. A subclass says where the database is."""

    @pytest.fixture
    def store_url(self) -> str:
        """URL of a database that is empty at each test. To be overridden."""
        raise NotImplementedError("give the class a fixture `store_url`")

    @pytest.fixture
    def store(self, store_url: str) -> Iterator[Store]:
        """The store under test."""
        with Store.open(store_url) as store:
            yield store


def exchange(number: int, word: str = "") -> list[NewMessage]:
    """The two messages of one turn."""
    return [
        NewMessage("user", f"question {number} {word}".strip()),
        NewMessage("assistant", f"answer {number} {word}".strip()),
    ]


def memory(number: int, size: int = 64) -> list[NewSegment]:
    """Segments for the two messages of `exchange(number)`, different for each message."""
    return [NewSegment(number + part, "raw", bytes([number % 251, part]) * (size // 2)) for part in (1, 2)]


def talk(
    store: Store, head: SessionHead, turns: int, word: str = "", fingerprint: str = FINGERPRINT
) -> SessionHead:
    """Appends that many turns, each with its memory."""
    for _ in range(turns):
        number = head.turns + 1
        head = store.append(head, exchange(number, word), memory(number), fingerprint, SETTINGS)
    return head


def say(store: Store, head: SessionHead, *texts: str) -> SessionHead:
    """Appends messages of the user, without memory."""
    return store.append(head, [NewMessage("user", said) for said in texts], [None] * len(texts), "", {})


def texts(store: Store, head: SessionHead | str, namespace: str = "") -> list[str]:
    """The words of a conversation."""
    return [message.text for message in store.path(head, namespace)]


def tamper(store: Store, statement: str, **parameters: Any) -> None:
    """Changes rows behind the store's back, as a damaged disk or another program would."""
    with store.database.write() as connection:
        if store.database.sqlite:
            connection.execute(text("PRAGMA defer_foreign_keys=ON"))
        changed = connection.execute(text(statement), parameters)
        assert changed.rowcount != 0, f"nothing was changed by {statement}"


def blobs(store: Store, head: SessionHead, fingerprint: str = FINGERPRINT) -> Sequence[bytes | None]:
    """The data of a conversation's segments."""
    return [found.data if found else None for found in store.segments(head, fingerprint)]
