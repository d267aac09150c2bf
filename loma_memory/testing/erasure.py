"""Deleting."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import cast

import pytest
from sqlalchemy import text

from loma_memory.errors import SessionNotFound, UsageError
from loma_memory.store import NewMessage, NewSegment, Store
from loma_memory.testing.base import FINGERPRINT, SETTINGS, Kit, say, talk, texts

CANARY = "xylophonecanary"
PAST = timedelta(seconds=-1)


def traces(store: Store) -> int:
    """How often the canary is left: in SQLite's pages, or in PostgreSQL's rows."""
    with store.database.outside() as connection:
        if store.database.sqlite:
            raw = connection.connection.driver_connection
            pages = cast(bytes, raw.serialize())  # type: ignore[union-attr]
            return pages.count(CANARY.encode())
        rows = connection.execute(
            text(
                "SELECT (SELECT count(*) FROM loma_messages WHERE text LIKE :like OR search::text LIKE :like)"
                " + (SELECT count(*) FROM loma_segments WHERE position(:word in data) > 0)"
            ),
            {"like": f"%{CANARY}%", "word": CANARY.encode()},
        )
        return int(rows.scalar_one())


def plant(store: Store, name: str, namespace: str = "") -> None:
    """A session with the canary in a text and in a segment."""
    head = talk(store, store.session(name, namespace), 1)
    kv = NewSegment(1, "raw", CANARY.encode() * 100)
    store.append(head, [NewMessage("user", f"my {CANARY} sings")], [kv], FINGERPRINT, SETTINGS)


class Erasure(Kit):
    """What is deleted is gone, and what is not deleted is there."""

    def test_a_deleted_session_is_gone(self, store: Store) -> None:
        """A deleted session has neither name nor messages nor memory."""
        talk(store, store.session("ada"), 2)
        erased = store.delete_session("ada")
        assert (erased.sessions, erased.messages, erased.segments) == (1, 4, 4)
        assert store.sessions() == []
        assert (store.stats().messages, store.stats().segments) == (0, 0)

    def test_an_unknown_session_cannot_be_deleted(self, store: Store) -> None:
        """Deleting what is not there is an error."""
        store.session("ada")
        for name, namespace in (("bob", ""), ("ada", "nowhere")):
            with pytest.raises(SessionNotFound):
                store.delete_session(name, namespace)

    def test_an_empty_session_can_be_deleted(self, store: Store) -> None:
        """A session without messages can be deleted."""
        store.session("ada")
        assert store.delete_session("ada").messages == 0

    def test_shared_messages_stay_for_the_others(self, store: Store) -> None:
        """Deleting a session takes nothing from its fork."""
        head = say(store, store.session("ada"), "a", "b")
        fork = say(store, store.fork(head, "copy", turn=1), "c")
        assert store.delete_session("ada").messages == 1
        assert texts(store, fork) == ["a", "c"]
        assert store.verify().ok

    def test_no_byte_of_a_deleted_session_is_left(self, store: Store) -> None:
        """Texts and memory of a deleted session are in no page and in no index."""
        talk(store, store.session("other"), 3, "kept")
        plant(store, "ada")
        assert traces(store)
        store.delete_session("ada")
        assert traces(store) == 0

    def test_no_byte_of_a_forgotten_turn_is_left(self, store: Store) -> None:
        """Texts and memory of a forgotten turn are in no page and in no index."""
        plant(store, "ada")
        store.replace_after(store.session("ada"), 1, [], [], "", {})
        assert traces(store) == 0

    def test_no_byte_of_an_erased_namespace_is_left(self, store: Store) -> None:
        """Texts and memory of an erased namespace are in no page and in no index."""
        plant(store, "ada", "tenant")
        plant(store, "bob", "tenant")
        erased = store.erase_namespace("tenant")
        assert (erased.sessions, erased.complete) == (2, True)
        assert traces(store) == 0
        assert store.namespaces() == []

    def test_erasing_a_namespace_leaves_the_others(self, store: Store) -> None:
        """The same conversation in another namespace is untouched."""
        kept = talk(store, store.session("ada", "a"), 2)
        talk(store, store.session("ada", "b"), 2)
        store.erase_namespace("b")
        assert len(store.path(kept)) == 4
        assert None not in store.segments(kept, FINGERPRINT)
        assert store.namespaces() == ["a"]

    def test_an_unknown_namespace_cannot_be_erased(self, store: Store) -> None:
        """Erasing what is not there is an error."""
        with pytest.raises(SessionNotFound):
            store.erase_namespace("nowhere")

    def test_an_erased_namespace_can_be_used_again(self, store: Store) -> None:
        """A namespace begins anew after it was erased."""
        say(store, store.session("ada", "a"), "old")
        store.erase_namespace("a")
        assert texts(store, say(store, store.session("ada", "a"), "new"), "a") == ["new"]

    def test_gc_takes_what_going_back_has_left(self, store: Store) -> None:
        """After a rollback the later turns stay until gc, which takes them and nothing else."""
        head = store.rollback(talk(store, store.session("ada"), 3), 1)
        assert store.stats().messages == 6
        erased = store.gc()
        assert (erased.sessions, erased.messages, erased.segments) == (0, 4, 4)
        assert len(store.path(head)) == 2

    def test_gc_of_a_tidy_store_takes_nothing(self, store: Store) -> None:
        """Without anything to collect, gc changes nothing."""
        head = talk(store, store.session("ada"), 2)
        store.fork(head, "copy", turn=1)
        store.session("empty")
        assert store.gc().messages == 0
        assert len(store.path(head)) == 4

    def test_a_session_lives_until_it_expires(self, store: Store) -> None:
        """A session with a time ahead is there, and says when it expires."""
        moment = datetime.now(UTC) + timedelta(hours=1)
        head = store.set_expiry(talk(store, store.session("ada"), 1), moment)
        assert head.expires_at == store.session("ada").expires_at
        assert head.expires_at is not None
        assert abs(head.expires_at - moment) < timedelta(milliseconds=1)
        assert store.expire().sessions == 0
        assert store.sessions() == [head]

    def test_an_expired_session_is_not_found(self, store: Store) -> None:
        """Once expired, a session is not found, listed or searched, nor can it be appended to."""
        head = store.set_expiry(say(store, store.session("ada"), "hello"), PAST)
        assert store.sessions() == []
        assert store.search("hello") == []
        assert store.holders(head.head_id) == []
        with pytest.raises(SessionNotFound):
            store.session("ada", create=False)
        with pytest.raises(SessionNotFound):
            say(store, head, "more")

    def test_expire_deletes(self, store: Store) -> None:
        """Expired sessions of all namespaces are deleted, not hidden."""
        old = [talk(store, store.session("old", namespace), 2) for namespace in ("a", "b")]
        for namespace in ("a", "b"):
            talk(store, store.session("new", namespace), 1)
        for head in old:
            store.set_expiry(head, PAST)
        erased = store.expire()
        assert (erased.sessions, erased.messages) == (2, 4)
        assert store.stats().messages == 4

    def test_a_name_is_free_again_once_expired(self, store: Store) -> None:
        """A session of an expired one's name begins empty."""
        store.set_expiry(say(store, store.session("ada"), "old"), PAST)
        assert store.session("ada").turns == 0
        assert store.stats().messages == 0

    def test_an_expiry_can_be_taken_back(self, store: Store) -> None:
        """None means never."""
        head = store.set_expiry(store.session("ada"), timedelta(hours=1))
        assert store.set_expiry(head, None).expires_at is None
        assert store.session("ada").expires_at is None

    def test_an_expiry_stays_when_the_session_goes_on(self, store: Store) -> None:
        """Appending does not put the expiry off."""
        head = store.set_expiry(store.session("ada"), timedelta(hours=1))
        assert talk(store, head, 1).expires_at == head.expires_at

    def test_an_expiry_needs_a_zone(self, store: Store) -> None:
        """A time without a zone is refused."""
        with pytest.raises(UsageError, match="time zone"):
            store.set_expiry(store.session("ada"), datetime(2001, 1, 1))

    def test_a_store_can_be_compacted(self, store: Store) -> None:
        """Compacting changes nothing that can be read."""
        head = talk(store, store.session("ada"), 3)
        path, kept = store.path(head), store.segments(head, FINGERPRINT)
        store.vacuum()
        assert (store.path(head), store.segments(head, FINGERPRINT)) == (path, kept)
