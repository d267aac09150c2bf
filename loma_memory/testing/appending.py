"""Saving messages."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from loma_memory.errors import SessionConflict, SessionNotFound, UsageError
from loma_memory.store import NewMessage, NewSegment, Store, clock, message_id
from loma_memory.testing.base import FINGERPRINT, SETTINGS, Kit, blobs, exchange, memory, say, talk, texts

WORDS = [
    "",
    "plain",
    "naïve café",
    "日本語のテキスト",
    "🙂👩‍👩‍👧",
    "a\tb\nc\r\nd",
    "'; DROP TABLE loma_messages; --",
]


class Appending(Kit):
    """What is appended is saved as it was said, once, and in one piece."""

    def test_appending_moves_the_head(self, store: Store) -> None:
        """The new head has the next version and counts turns and messages."""
        head = talk(store, store.session("ada"), 1)
        assert (head.version, head.turns, head.messages) == (1, 1, 2)
        assert store.session("ada") == head

    def test_the_head_is_the_hash_of_the_conversation(self, store: Store) -> None:
        """Anyone can compute a head from the words alone."""
        empty = store.session("ada")
        head = talk(store, empty, 1)
        user, bot = exchange(1)
        assert head.head_id == message_id(message_id(empty.head_id, user.role, user.text), bot.role, bot.text)

    @pytest.mark.parametrize("text", WORDS)
    def test_words_are_kept(self, store: Store, text: str) -> None:
        """A text comes back letter by letter."""
        assert texts(store, say(store, store.session("ada"), text)) == [text]

    def test_a_long_text_is_kept(self, store: Store) -> None:
        """A text of very many different words comes back letter by letter."""
        text = " ".join(str(number) for number in range(200_000))
        assert texts(store, say(store, store.session("ada"), text)) == [text]

    def test_space_around_a_text_is_dropped(self, store: Store) -> None:
        """Only what is between the first and the last sign is saved and hashed."""
        head = say(store, store.session("ada"), "  hello \n")
        assert texts(store, head) == ["hello"]
        assert head.head_id == message_id(store.session("b").head_id, "user", "hello")

    @pytest.mark.parametrize("text", ["a\x00b", "a\ud800b"])
    def test_what_no_database_can_hold_is_replaced(self, store: Store, text: str) -> None:
        """A model may generate what cannot be saved; the turn is saved all the same."""
        assert texts(store, say(store, store.session("ada"), text)) == ["a\ufffdb"]

    @pytest.mark.parametrize(
        ("roles", "turns"),
        [
            (["user", "assistant"], [1, 1]),
            (["user", "assistant", "user", "assistant"], [1, 1, 2, 2]),
            (["user", "user"], [1, 2]),
            (["note", "user", "assistant"], [1, 2, 2]),
            (["user", "assistant", "assistant"], [1, 1, 1]),
            (["assistant", "user"], [1, 2]),
        ],
    )
    def test_a_turn_begins_with_a_user_or_a_note(
        self, store: Store, roles: list[str], turns: list[int]
    ) -> None:
        """Messages are counted to the turn that they belong to."""
        new = [NewMessage(role, f"m{place}") for place, role in enumerate(roles)]
        head = store.append(store.session("ada"), new, [None] * len(new), "", {})
        assert [message.turn for message in store.path(head)] == turns
        assert head.turns == turns[-1]

    def test_a_reply_may_come_in_a_later_call(self, store: Store) -> None:
        """A turn goes on over several calls."""
        head = say(store, store.session("ada"), "hello")
        head = store.append(head, [NewMessage("assistant", "hi")], [None], "", {})
        assert (head.turns, head.messages, head.version) == (1, 2, 2)

    @pytest.mark.parametrize("role", ["system", "", "User", "tool"])
    def test_other_roles_are_refused(self, store: Store, role: str) -> None:
        """There are three roles."""
        with pytest.raises(UsageError, match="role"):
            store.append(store.session("ada"), [NewMessage(role, "x")], [None], "", {})

    def test_nothing_cannot_be_appended(self, store: Store) -> None:
        """Appending takes at least one message."""
        with pytest.raises(UsageError, match="at least one"):
            store.append(store.session("ada"), [], [], "", {})

    def test_every_message_needs_a_segment_or_none(self, store: Store) -> None:
        """Messages and segments are as many."""
        with pytest.raises(UsageError, match="2 messages, 1 segments"):
            store.append(store.session("ada"), exchange(1), [None], "", {})

    @pytest.mark.parametrize(
        ("segment", "fingerprint", "settings"),
        [
            (NewSegment(1, "raw", "text"), "f", {}),  # type: ignore[arg-type]
            (NewSegment(-1, "raw", b"x"), "f", {}),
            (NewSegment(2**31, "raw", b"x"), "f", {}),
            (NewSegment(1, "", b"x"), "f", {}),
            (NewSegment(1, "raw", b"x"), "", {}),
            (NewSegment(1, "raw", b"x"), "f", {"a": object()}),
            (NewSegment(1, "raw", b"x"), "f", {"a": float("nan")}),
        ],
    )
    def test_a_wrong_segment_is_refused(
        self, store: Store, segment: NewSegment, fingerprint: str, settings: dict[str, Any]
    ) -> None:
        """A segment that breaks a rule is refused before anything is written."""
        head = store.session("ada")
        with pytest.raises(UsageError):
            store.append(head, [NewMessage("user", "x")], [segment], fingerprint, settings)
        assert store.session("ada") == head
        assert store.stats().messages == 0

    def test_a_stale_writer_is_told(self, store: Store) -> None:
        """Who appends to a head that has moved gets SessionConflict, which names the versions."""
        stale = store.session("ada")
        say(store, stale, "first")
        with pytest.raises(SessionConflict, match="at version 1, not 0"):
            say(store, stale, "second")

    def test_a_conflict_leaves_the_session_as_it_was(self, store: Store) -> None:
        """The loser's words are nowhere."""
        stale = store.session("ada")
        head = say(store, stale, "first")
        with pytest.raises(SessionConflict):
            store.append(stale, exchange(1), memory(1), FINGERPRINT, SETTINGS)
        assert store.session("ada") == head
        assert texts(store, head) == ["first"]
        assert store.stats().segments == 0

    def test_the_loser_can_try_again(self, store: Store) -> None:
        """After a conflict, appending to the present head works."""
        stale = store.session("ada")
        say(store, stale, "first")
        with pytest.raises(SessionConflict):
            say(store, stale, "second")
        assert texts(store, say(store, store.session("ada"), "second")) == ["first", "second"]

    def test_appending_to_a_deleted_session_is_an_error(self, store: Store) -> None:
        """A deleted session does not come back by itself."""
        head = talk(store, store.session("ada"), 1)
        store.delete_session("ada")
        with pytest.raises(SessionNotFound):
            talk(store, head, 1)
        assert store.sessions() == []

    def test_a_session_made_anew_is_not_the_old_one(self, store: Store) -> None:
        """A head of a deleted session is stale for one of the same name and version."""
        old = say(store, store.session("ada"), "old")
        store.delete_session("ada")
        say(store, store.session("ada"), "new")
        with pytest.raises(SessionConflict):
            say(store, old, "more")

    def test_a_time_can_be_given(self, store: Store) -> None:
        """A message keeps the time that it came with, to the microsecond."""
        moment = datetime(2001, 2, 3, 4, 5, 6, 789, tzinfo=UTC)
        head = store.append(store.session("ada"), [NewMessage("user", "x", moment)], [None], "", {})
        assert store.path(head)[0].created_at == moment

    def test_a_time_needs_a_zone(self, store: Store) -> None:
        """A time without a zone is refused."""
        with pytest.raises(UsageError, match="time zone"):
            store.append(
                store.session("ada"), [NewMessage("user", "x", datetime(2001, 1, 1))], [None], "", {}
            )

    def test_a_clock_that_goes_back_changes_no_order(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """When a session was last used never goes back, and its messages keep their order."""
        head = talk(store, store.session("ada"), 1)
        past = clock.to_us(head.updated_at - timedelta(days=400))
        monkeypatch.setattr(clock, "now_us", lambda: past)
        later = talk(store, head, 1)
        assert later.updated_at == head.updated_at
        assert [message.depth for message in store.path(later)] == [1, 2, 3, 4]

    def test_the_same_words_are_saved_once(self, store: Store) -> None:
        """Sessions that begin alike share their messages and memory."""
        talk(store, store.session("a"), 3)
        talk(store, store.session("b"), 3)
        stats = store.stats()
        assert (stats.sessions, stats.turns, stats.messages, stats.segments) == (2, 6, 6, 6)

    def test_memory_is_saved_with_the_words(self, store: Store) -> None:
        """Segments come back in the order of their messages."""
        head = talk(store, store.session("ada"), 2)
        assert blobs(store, head) == [segment.data for number in (1, 2) for segment in memory(number)]
