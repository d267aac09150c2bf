"""Saving memory and reading it back."""

from __future__ import annotations

import pytest

from loma_memory.errors import SessionConflict, SessionNotFound
from loma_memory.store import NewMessage, NewSegment, Store, StoredSegment
from loma_memory.testing.base import FINGERPRINT, SETTINGS, Kit, blobs, exchange, memory, say, talk


class Segments(Kit):
    """Memory is bytes that belong to a message and to the fingerprint of what made them."""

    @pytest.mark.parametrize("size", [0, 1, 4096, 100_000, 3_000_000])
    def test_bytes_come_back_as_they_were(self, store: Store, size: int) -> None:
        """Segments of any size come back bit by bit."""
        data = bytes(range(256)) * (size // 256) + bytes(size % 256)
        new = NewSegment(7, "int8", data)
        head = store.append(store.session("ada"), [NewMessage("user", "x")], [new], FINGERPRINT, SETTINGS)
        assert store.segments(head, FINGERPRINT) == [
            StoredSegment(head.head_id, FINGERPRINT, 7, "int8", data)
        ]

    def test_a_message_may_have_no_memory(self, store: Store) -> None:
        """None stands where there is no segment."""
        new = memory(1)
        head = store.append(store.session("ada"), exchange(1), [None, new[1]], FINGERPRINT, SETTINGS)
        assert blobs(store, head) == [None, new[1].data]

    def test_an_empty_session_has_no_memory(self, store: Store) -> None:
        """An empty conversation has an empty list of segments."""
        assert store.segments(store.session("ada"), FINGERPRINT) == []

    def test_memory_of_another_model_is_not_given(self, store: Store) -> None:
        """Segments are given only to the fingerprint that they were saved under."""
        head = talk(store, store.session("ada"), 2)
        assert store.segments(head, "model-b") == [None] * 4
        assert store.segments(head, "") == [None] * 4

    def test_a_message_can_have_memory_of_two_models(self, store: Store) -> None:
        """Segments under two fingerprints live side by side."""
        head = talk(store, store.session("ada"), 1)
        ids = [message.id for message in store.path(head)]
        other = dict(zip(ids, memory(9), strict=True))
        store.put_segments(head, other, "model-b", {"model": "b"})
        assert blobs(store, head) == [segment.data for segment in memory(1)]
        assert blobs(store, head, "model-b") == [segment.data for segment in memory(9)]

    def test_rebuilt_memory_replaces_the_old(self, store: Store) -> None:
        """Putting a segment replaces the one that is there, and no other."""
        head = talk(store, store.session("ada"), 1)
        store.put_segments(head, {head.head_id: NewSegment(3, "int4", b"new")}, FINGERPRINT, SETTINGS)
        kept, changed = store.segments(head, FINGERPRINT)
        assert kept is not None
        assert kept.data == memory(1)[0].data
        assert changed == StoredSegment(head.head_id, FINGERPRINT, 3, "int4", b"new")

    def test_putting_memory_moves_no_head(self, store: Store) -> None:
        """A rebuild is no change of the session."""
        head = talk(store, store.session("ada"), 1)
        store.put_segments(head, {head.head_id: NewSegment(3, "raw", b"x")}, FINGERPRINT, SETTINGS)
        assert store.session("ada") == head

    def test_memory_of_an_unknown_message_is_refused(self, store: Store) -> None:
        """Nothing is put where one of the messages is not in the namespace."""
        head = talk(store, store.session("ada"), 1)
        new = {head.head_id: NewSegment(3, "raw", b"x"), "b2:00": NewSegment(3, "raw", b"x")}
        with pytest.raises(SessionConflict):
            store.put_segments(head, new, FINGERPRINT, SETTINGS)
        assert blobs(store, head) == [segment.data for segment in memory(1)]

    def test_memory_of_the_root_is_refused(self, store: Store) -> None:
        """The root is no message."""
        head = store.session("ada")
        with pytest.raises(SessionConflict):
            store.put_segments(head, {head.head_id: NewSegment(1, "raw", b"x")}, FINGERPRINT, SETTINGS)

    def test_putting_nothing_is_no_error(self, store: Store) -> None:
        """An empty rebuild does nothing."""
        head = say(store, store.session("ada"), "x")
        store.put_segments(head, {}, FINGERPRINT, SETTINGS)
        assert blobs(store, head) == [None]

    def test_memory_is_found_by_any_message(self, store: Store) -> None:
        """A message's id gives the memory up to it."""
        head = talk(store, store.session("ada"), 2)
        middle = store.path(head)[1].id
        found = store.segments(middle, FINGERPRINT)
        assert [segment and segment.data for segment in found] == [segment.data for segment in memory(1)]

    def test_memory_of_an_unknown_conversation_is_an_error(self, store: Store) -> None:
        """An unknown id raises SessionNotFound."""
        store.session("ada")
        with pytest.raises(SessionNotFound):
            store.segments("b2:00", FINGERPRINT)

    def test_appending_computes_memory_anew(self, store: Store) -> None:
        """Where a message was saved before, memory that was just computed replaces the old."""
        talk(store, store.session("a"), 1)
        head = store.append(store.session("b"), exchange(1), memory(5), FINGERPRINT, SETTINGS)
        assert blobs(store, head) == [segment.data for segment in memory(5)]
