"""Damage is noticed wherever it is."""

from __future__ import annotations

import logging

import pytest

from loma_memory.errors import IntegrityError
from loma_memory.store import Store
from loma_memory.testing.base import FINGERPRINT, SETTINGS, Kit, blobs, memory, say, talk, tamper

# The segments of `memory(n)` have n + 1 and n + 2 slots, so 3 slots are those of message 2 and 3.
_SECOND = (
    "WHERE message_n = (SELECT n FROM loma_messages WHERE depth = 2 AND namespace_n = "
    "(SELECT n FROM loma_namespaces WHERE name = ''))"
)
SEGMENT_DAMAGE = {
    "slots": f"UPDATE loma_segments SET slots = slots + 1 {_SECOND}",
    "codec": f"UPDATE loma_segments SET codec = 'int4' {_SECOND}",
    "checksum": f"UPDATE loma_segments SET checksum = substr(checksum, 2) {_SECOND}",
    "no checksum": f"UPDATE loma_segments SET checksum = substr(checksum, 1, 0) {_SECOND}",
    "cut data": f"UPDATE loma_segments SET data = substr(data, 1, 63) {_SECOND}",
    "no data": f"UPDATE loma_segments SET data = substr(data, 1, 0) {_SECOND}",
    "data of another message": (
        "UPDATE loma_segments SET (slots, codec, checksum, data) = (SELECT slots, codec, checksum, data "
        f"FROM loma_segments s WHERE s.message_n = (SELECT n FROM loma_messages WHERE depth = 3)) {_SECOND}"
    ),
    "another fingerprint": (
        "UPDATE loma_fingerprints SET fingerprint = 'model-x' WHERE fingerprint = 'model-a'"
    ),
}
MESSAGE_DAMAGE = {
    "text": "UPDATE loma_messages SET text = 'evil' WHERE depth = 2",
    "role": "UPDATE loma_messages SET role = 'note' WHERE depth = 2",
    "unknown role": "UPDATE loma_messages SET role = 'system' WHERE depth = 2",
    "id": "UPDATE loma_messages SET id = 'b2:00' WHERE depth = 2",
    "depth": "UPDATE loma_messages SET depth = 3 WHERE depth = 2",
    "turn": "UPDATE loma_messages SET turn = 2 WHERE depth = 2",
    "no parent": "UPDATE loma_messages SET parent_n = NULL WHERE depth = 3",
    "other parent": (
        "UPDATE loma_messages SET parent_n = (SELECT n FROM loma_messages WHERE depth = 1) WHERE depth = 3"
    ),
    "ring": (
        "UPDATE loma_messages SET parent_n = (SELECT n FROM loma_messages WHERE depth = 4) WHERE depth = 1"
    ),
}
SESSION_DAMAGE = {
    "version": "UPDATE loma_sessions SET version = version + 1",
    "turns": "UPDATE loma_sessions SET turns = turns + 1",
    "messages": "UPDATE loma_sessions SET messages = messages + 1",
    "expiry": "UPDATE loma_sessions SET expires_at = 9000000000000000",
    "name": "UPDATE loma_sessions SET name = 'bob'",
    "head": "UPDATE loma_sessions SET head_n = (SELECT n FROM loma_messages WHERE depth = 2)",
    "no head": "UPDATE loma_sessions SET head_n = NULL",
    "checksum": "UPDATE loma_sessions SET checksum = substr(checksum, 2)",
}


class Integrity(Kit):
    """Whatever is not as it was written is never used."""

    def test_a_sound_store_verifies(self, store: Store) -> None:
        """Verifying finds nothing wrong with what was saved, and counts it."""
        head = talk(store, store.session("ada"), 3)
        store.fork(head, "copy", turn=1)
        store.session("empty", "other")
        report = store.verify()
        assert report.ok
        counted = {(one.namespace, one.name): (one.messages, one.segments) for one in report.sessions}
        assert counted == {("", "ada"): (6, 6), ("", "copy"): (2, 2), ("other", "empty"): (0, 0)}

    def test_an_empty_store_verifies(self, store: Store) -> None:
        """Verifying an empty store finds nothing."""
        assert store.verify().ok
        assert store.verify().sessions == ()

    @pytest.mark.parametrize("damage", SEGMENT_DAMAGE)
    def test_damaged_memory_is_not_given(
        self, store: Store, damage: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        """None stands for a damaged segment, the others are given, and the log says so."""
        head = talk(store, store.session("ada"), 2)
        sound = blobs(store, head)
        tamper(store, SEGMENT_DAMAGE[damage])
        fingerprint = "model-x" if damage == "another fingerprint" else FINGERPRINT
        with caplog.at_level(logging.WARNING):
            found = blobs(store, head, fingerprint)
        assert found[1] is None
        assert damage == "another fingerprint" or [found[0], *found[2:]] == [sound[0], *sound[2:]]
        assert "checksum" in caplog.text
        report = store.verify()
        assert not report.ok
        assert (2, fingerprint) in report.sessions[0].bad_segments
        assert report.sessions[0].bad_messages == ()

    @pytest.mark.parametrize("damage", [name for name in SEGMENT_DAMAGE if name != "another fingerprint"])
    def test_damaged_memory_can_be_rebuilt(self, store: Store, damage: str) -> None:
        """A rebuilt segment takes the place of a damaged one."""
        head = talk(store, store.session("ada"), 2)
        tamper(store, SEGMENT_DAMAGE[damage])
        store.put_segments(head, {store.path(head)[1].id: memory(1)[1]}, FINGERPRINT, SETTINGS)
        assert blobs(store, head) == [segment.data for segment in memory(1) + memory(2)]
        assert store.verify().ok

    @pytest.mark.parametrize("damage", MESSAGE_DAMAGE)
    def test_a_damaged_conversation_is_not_given(self, store: Store, damage: str) -> None:
        """A conversation with a damaged message raises IntegrityError, and verify names the message."""
        head = talk(store, store.session("ada"), 2)
        tamper(store, MESSAGE_DAMAGE[damage])
        with pytest.raises(IntegrityError, match="was not loaded"):
            store.path(head)
        report = store.verify()
        assert not report.ok
        assert report.sessions[0].bad_messages or report.sessions[0].problem

    @pytest.mark.parametrize("damage", SESSION_DAMAGE)
    def test_a_damaged_session_is_not_given(self, store: Store, damage: str) -> None:
        """A session whose row is damaged raises IntegrityError, and verify names it."""
        talk(store, store.session("ada"), 2)
        tamper(store, SESSION_DAMAGE[damage])
        name = "bob" if damage == "name" else "ada"
        with pytest.raises(IntegrityError):
            store.session(name)
        report = store.verify()
        assert not report.ok
        assert report.sessions[0].problem

    def test_a_head_in_another_namespace_is_noticed(self, store: Store) -> None:
        """A session that was made to point into another namespace raises IntegrityError."""
        say(store, store.session("ada", "a"), "secret")
        say(store, store.session("eve", "b"), "hello")
        tamper(
            store,
            "UPDATE loma_sessions SET head_n = (SELECT n FROM loma_messages WHERE text = 'secret') "
            "WHERE name = 'eve'",
        )
        with pytest.raises(IntegrityError):
            store.session("eve", "b")

    def test_damage_stays_where_it_is(self, store: Store) -> None:
        """Other sessions are read as ever, and verify reports by session."""
        talk(store, store.session("ada"), 2)
        kept = talk(store, store.session("ada", "other"), 2)
        tamper(store, "UPDATE loma_messages SET text = 'evil' WHERE n = (SELECT min(n) FROM loma_messages)")
        assert len(store.path(kept)) == 4
        assert {one.namespace: one.ok for one in store.verify().sessions} == {"": False, "other": True}

    def test_a_damaged_session_hides_no_other(self, store: Store) -> None:
        """A list leaves a damaged session out; it can be deleted."""
        store.session("ada")
        store.session("bob")
        tamper(store, "UPDATE loma_sessions SET version = 7 WHERE name = 'ada'")
        assert [head.name for head in store.sessions()] == ["bob"]
        assert store.delete_session("ada").sessions == 1
        assert store.verify().ok

    def test_a_damaged_message_is_not_found(self, store: Store) -> None:
        """Search shows no message that is not what was saved."""
        say(store, store.session("ada"), "my zebra")
        tamper(store, "UPDATE loma_messages SET role = 'note'")
        assert store.search("zebra") == []
