"""Encryption at rest: what is hidden, what is refused, and how keys change."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from loma_memory.errors import IntegrityError, StoreError, UsageError
from loma_memory.store import Store, encrypt_database, failpoints, new_key
from loma_memory.store.keys import parse_keys
from loma_memory.testing.base import FINGERPRINT, Kit, blobs, memory, say, talk, tamper, texts
from loma_memory.testing.branching import Branching
from loma_memory.testing.bundles import Bundles
from loma_memory.testing.conversations import Conversations
from loma_memory.testing.segments import Segments

pytest.importorskip("cryptography")

KEY, OTHER = new_key(), new_key()
WORD = "xylophonecanary"


class TestConformance(Conversations, Segments, Branching, Bundles, Kit):
    """An encrypted store keeps the promises of a plain one, but for search."""

    @pytest.fixture
    def store_url(self, sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
        monkeypatch.setenv("LOMA_KEY", KEY)
        return sqlite_url


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    with Store.open(store_url, key=KEY) as store:
        yield store


def dump(store: Store) -> bytes:
    """All that the database holds, as one string of bytes."""
    with store.database.read() as connection:
        names = "messages", "segments", "sessions", "namespaces", "fingerprints", "keys"
        rows = [row for name in names for row in connection.execute(text(f"SELECT * FROM loma_{name}"))]
    return repr(
        [[bytes(value) if isinstance(value, memoryview) else value for value in row] for row in rows]
    ).encode()


def test_neither_words_nor_memory_are_in_the_database(store: Store) -> None:
    head = talk(store, store.session("ada"), 3, WORD)
    held = dump(store)
    assert WORD.encode() not in held
    assert repr(memory(1)[0].data)[2:-1].encode() not in held
    assert texts(store, head)[0] == f"question 1 {WORD}"


def test_nothing_is_in_the_files(sqlite_url: str, tmp_path: Path) -> None:
    with Store.open(sqlite_url, key=KEY) as store:
        head = talk(store, store.session("ada"), 5, WORD)
        for path in tmp_path.iterdir():
            assert WORD.encode() not in path.read_bytes()
            assert head.head_id.encode() not in path.read_bytes()  # a hash of words that might be guessed


@pytest.mark.parametrize("key", [None, OTHER])
def test_without_the_key_nothing_opens(sqlite_url: str, key: str | None) -> None:
    with Store.open(sqlite_url, key=KEY) as store:
        talk(store, store.session("ada"), 1)
    with pytest.raises(StoreError, match="encrypted under key") as caught:
        Store.open(sqlite_url, key=key)
    assert "\n" not in str(caught.value)
    assert KEY not in str(caught.value)
    with Store.open(sqlite_url, key=KEY) as store:
        assert store.verify().ok


def test_a_plain_database_is_refused(sqlite_url: str) -> None:
    with Store.open(sqlite_url) as store:
        store.session("ada")
    with pytest.raises(StoreError, match="in plain text, which is refused"):
        Store.open(sqlite_url, key=KEY)


def test_the_key_can_come_from_a_function(sqlite_url: str) -> None:
    with Store.open(sqlite_url, key=lambda: KEY) as store:
        head = say(store, store.session("ada"), "hello")
    with Store.open(sqlite_url, key=KEY) as store:
        assert texts(store, head) == ["hello"]


@pytest.mark.parametrize("key", ["x", "a" * 43, "00" * 31, f"{KEY},x", "é" * 44, "00" * 33])
def test_a_bad_key_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(UsageError, match="32 random bytes") as caught:
        Store.open("sqlite://", key=key)
    assert len(key) < 2 or key not in str(caught.value)


def test_keys_are_base64_or_hexadecimal() -> None:
    raw = parse_keys(KEY)[0]
    urlsafe = KEY.replace("+", "-").replace("/", "_")
    assert parse_keys(f" {KEY} , {raw.hex()},{urlsafe}") == [raw] * 3


def test_a_plain_row_is_refused(store: Store) -> None:
    head = talk(store, store.session("ada"), 1)
    tamper(store, "UPDATE loma_messages SET sealed = NULL, text = 'evil' WHERE depth = 1")
    with pytest.raises(IntegrityError, match="plain text"):
        store.path(head)
    assert not store.verify().ok


MOVES = {
    "to another message": (
        "UPDATE loma_messages SET sealed = (SELECT m.sealed FROM loma_messages m WHERE m.depth = 4) "
        "WHERE depth = 2"
    ),
    "to another namespace": (
        "UPDATE loma_messages SET sealed = (SELECT m.sealed FROM loma_messages m WHERE m.depth = 2 AND "
        "m.namespace_n = (SELECT n FROM loma_namespaces WHERE name = 'other')) WHERE depth = 2"
    ),
}


@pytest.mark.parametrize("move", MOVES)
def test_an_encrypted_text_opens_in_its_place_only(store: Store, move: str) -> None:
    head = talk(store, store.session("ada"), 2)
    say(store, store.session("ada", "other"), "question 1", "x")
    tamper(store, MOVES[move])
    with pytest.raises(IntegrityError, match="does not decrypt"):
        store.path(head)


def test_encrypted_memory_opens_in_its_place_only(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    head = talk(store, store.session("ada"), 2)
    tamper(store, "UPDATE loma_fingerprints SET fingerprint = 'model-x'")
    with caplog.at_level(logging.WARNING):
        assert blobs(store, head, "model-x") == [None] * 4
    # Even with a right checksum, which only holders of the key can make.
    vault = store._vault
    row = "k2:other"
    with pytest.raises(IntegrityError, match="does not decrypt"):
        vault.open_segment("", row, "f", "raw", vault.seal_segment("other", row, "f", "raw", b"x"))
    with pytest.raises(IntegrityError, match="does not decrypt"):
        vault.open_segment("", row, "f", "raw", vault.seal_segment("", row, "g", "raw", b"x"))


def test_nothing_is_encrypted_twice_alike(store: Store) -> None:
    vault = store._vault
    assert vault.seal_segment("", "r", "f", "raw", b"x") != vault.seal_segment("", "r", "f", "raw", b"x")


def test_an_encrypted_store_cannot_be_searched(store: Store) -> None:
    say(store, store.session("ada"), "hello")
    with pytest.raises(StoreError, match="cannot be searched"):
        store.search("hello")


def test_a_key_can_be_changed(store_url: str, store: Store) -> None:
    heads = [talk(store, store.session(name, space), 3) for name, space in (("a", ""), ("b", ""), ("a", "x"))]
    said = [texts(store, head) for head in heads]
    before = dump(store)
    old_id = store._vault.key_id.encode()  # type: ignore[attr-defined]
    assert store.rotate_key(OTHER) == 2 * (6 + 6)  # two of the sessions share their rows
    assert old_id in before
    assert old_id not in dump(store)
    assert [texts(store, head) for head in heads] == said
    assert blobs(store, heads[0]) == [segment.data for number in (1, 2, 3) for segment in memory(number)]
    assert talk(store, heads[0], 1).turns == 4
    assert store.verify().ok
    if not store.database.memory:
        with pytest.raises(StoreError, match="encrypted under key"):
            Store.open(store_url, key=KEY)
        with Store.open(store_url, key=OTHER) as again:
            assert again.verify().ok


def test_a_change_that_was_stopped_goes_on(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loma_memory.store.rotation._BATCH", 3)
    with Store.open(sqlite_url, key=KEY) as store:
        head = talk(store, store.session("ada"), 5)
        batches: list[str] = []

        def stop(name: str) -> None:
            batches.append(name)
            if len(batches) == 2:
                raise KeyboardInterrupt

        monkeypatch.setattr(failpoints, "hook", stop)
        with pytest.raises(KeyboardInterrupt):
            store.rotate_key(OTHER)
        monkeypatch.setattr(failpoints, "hook", None)
    with Store.open(sqlite_url, key=f"{OTHER},{KEY}") as store:
        assert len(texts(store, head)) == 10
        assert store.verify().ok
        assert store.rotate_key(OTHER) > 0
    with Store.open(sqlite_url, key=OTHER) as store:
        assert len(texts(store, head)) == 10
        assert store.verify().ok


def test_a_writer_with_the_old_key_is_stopped(sqlite_url: str) -> None:
    with Store.open(sqlite_url, key=KEY) as old, Store.open(sqlite_url, key=KEY) as rotated:
        head = talk(old, old.session("ada"), 1)
        rotated.rotate_key(OTHER)
        with pytest.raises(StoreError, match="no longer in use"):
            talk(old, head, 1)
        assert rotated.session("ada") == head


def test_damage_does_not_stop_a_change_of_key(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    head = talk(store, store.session("ada"), 2)
    kept = talk(store, store.session("bob"), 1, "else")
    tamper(store, "UPDATE loma_segments SET data = substr(data, 1, 40) WHERE slots = 2")
    tamper(store, "UPDATE loma_messages SET sealed = substr(sealed, 1, 40) WHERE depth = 3")
    with caplog.at_level(logging.WARNING):
        store.rotate_key(OTHER)
    assert len(texts(store, kept)) == 2
    assert blobs(store, kept)[0] is None  # it was damaged as well, and is to be rebuilt
    with pytest.raises(IntegrityError):
        store.path(head)


def test_only_an_encrypted_store_has_a_key_to_change() -> None:
    with Store.open("sqlite://") as store, pytest.raises(UsageError, match="only an encrypted store"):
        store.rotate_key(KEY)


def test_a_plain_database_can_be_encrypted(sqlite_url: str, tmp_path: Path) -> None:
    with Store.open(sqlite_url) as store:
        head = talk(store, store.session("ada", "ns"), 4, WORD)
        fork = store.fork(head, "copy", turn=2)
        said, kept = store.path(head), store.segments(head, FINGERPRINT)
        assert encrypt_database(sqlite_url, KEY) == 16
        with pytest.raises(StoreError, match="has been encrypted meanwhile"):
            talk(store, head, 1)
    for path in tmp_path.iterdir():
        assert WORD.encode() not in path.read_bytes()
    with Store.open(sqlite_url, key=KEY) as store:
        assert (store.path(head), store.segments(head, FINGERPRINT)) == (said, kept)
        assert store.session("copy", "ns") == fork
        assert store.verify().ok
        assert talk(store, head, 1).turns == 5
    with pytest.raises(StoreError, match="encrypted already"):
        encrypt_database(sqlite_url, OTHER)


def test_a_plain_postgresql_can_be_encrypted(pg_url: str) -> None:
    with Store.open(pg_url) as store:
        head = talk(store, store.session("ada"), 2, WORD)
        said = store.path(head)
    assert encrypt_database(pg_url, KEY) == 8
    with Store.open(pg_url, key=KEY) as store:
        assert WORD.encode() not in dump(store)
        assert store.path(head) == said
        assert store.verify().ok
        with store.database.read() as connection:
            assert connection.execute(text("SELECT count(search) FROM loma_messages")).scalar_one() == 0


def test_an_encrypted_session_moves_into_a_plain_database(store: Store) -> None:
    head = talk(store, store.session("ada"), 2)
    with Store.open("sqlite://") as plain:
        moved = plain.import_session(store.export_session(head))
        assert texts(plain, moved) == texts(store, head)
        assert blobs(plain, moved) == blobs(store, head)


def test_many_can_encrypt_a_new_database_at_once(sqlite_url: str, tmp_path: Path) -> None:
    stores = [Store.open(sqlite_url, key=KEY) for _ in range(3)]
    head = say(stores[0], stores[0].session("ada"), "hello")
    for store in stores:
        assert texts(store, head) == ["hello"]
        store.close()
