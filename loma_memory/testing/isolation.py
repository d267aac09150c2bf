"""Nothing crosses namespaces."""

from __future__ import annotations

import pytest

from loma_memory.errors import SessionConflict, SessionNotFound
from loma_memory.store import NewSegment, Store
from loma_memory.testing.base import FINGERPRINT, SETTINGS, Kit, blobs, exchange, say, talk, texts


class Isolation(Kit):
    """Two namespaces with the same names and words know nothing of each other."""

    def test_the_same_name_is_another_session(self, store: Store) -> None:
        """A session's name means something in its namespace only."""
        say(store, store.session("ada", "a"), "hello")
        assert store.session("ada", "b").turns == 0
        assert store.session("ada").turns == 0

    def test_the_same_words_are_other_messages(self, store: Store) -> None:
        """The same conversation has other ids, and its own rows."""
        one = talk(store, store.session("ada", "a"), 1)
        two = talk(store, store.session("ada", "b"), 1)
        assert one.head_id != two.head_id
        assert store.stats().messages == 4

    def test_an_id_opens_nothing_elsewhere(self, store: Store) -> None:
        """A message's id is unknown in another namespace."""
        head = talk(store, store.session("ada", "a"), 1)
        store.session("ada", "b")
        for namespace in ("b", "", "nowhere"):
            with pytest.raises(SessionNotFound):
                store.path(head.head_id, namespace)
            with pytest.raises(SessionNotFound):
                store.segments(head.head_id, FINGERPRINT, namespace)
            assert store.holders(head.head_id, namespace) == []

    def test_a_forged_head_opens_nothing(self, store: Store) -> None:
        """A head of one namespace with an id of another reads nothing."""
        secret = talk(store, store.session("ada", "a"), 1)
        own = say(store, store.session("eve", "b"), "hello")
        forged = own.__class__(**{**own.__dict__, "head_id": secret.head_id})
        with pytest.raises(SessionNotFound):
            store.path(forged)
        with pytest.raises(SessionConflict):
            say(store, forged, "more")
        with pytest.raises(SessionConflict):
            store.fork(forged, "stolen")
        with pytest.raises(SessionNotFound):
            store.export_session(forged)

    def test_a_history_is_not_known_elsewhere(self, store: Store) -> None:
        """What was said in one namespace is unknown in another."""
        talk(store, store.session("ada", "a"), 1)
        store.session("ada", "b")
        assert store.known(exchange(1), "b") == []
        assert len(store.known(exchange(1), "a")) == 2

    def test_memory_cannot_be_put_elsewhere(self, store: Store) -> None:
        """A head of one namespace gives no way to another's memory."""
        victim = talk(store, store.session("ada", "a"), 1)
        own = talk(store, store.session("eve", "b"), 1)
        with pytest.raises(SessionConflict):
            store.put_segments(own, {victim.head_id: NewSegment(1, "raw", b"evil")}, FINGERPRINT, SETTINGS)
        assert b"evil" not in blobs(store, victim)

    def test_lists_and_stats_are_a_namespaces_own(self, store: Store) -> None:
        """Listing and counting see one namespace."""
        talk(store, store.session("ada", "a"), 4)
        assert store.sessions("b") == []
        talk(store, store.session("bob", "b"), 1)
        assert [head.name for head in store.sessions("b")] == ["bob"]
        assert store.stats(namespace="b").turns == 1

    def test_deleting_is_a_namespaces_own(self, store: Store) -> None:
        """Deleting in one namespace leaves another's session of the same name."""
        kept = say(store, store.session("ada", "a"), "hello")
        say(store, store.session("ada", "b"), "hello")
        store.delete_session("ada", "b")
        assert texts(store, kept) == ["hello"]

    def test_a_hundred_namespaces_stay_apart(self, store: Store) -> None:
        """Each of many namespaces sees its own canary and no other."""
        spaces = [f"tenant {number}" for number in range(100)]
        for number, space in enumerate(spaces):
            say(store, store.session("ada", space), f"my canary{number:03d} sings", "hello")
        for number, space in enumerate(spaces):
            (hit,) = store.search("canary", space)
            assert hit.message.text == f"my canary{number:03d} sings"
            assert texts(store, store.session("ada", space))[0] == hit.message.text
