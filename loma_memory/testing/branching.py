"""Forking, going back, forgetting and editing."""

from __future__ import annotations

import pytest

from loma_memory.errors import SessionConflict, SessionExists, UsageError
from loma_memory.store import NewMessage, Store
from loma_memory.testing.base import FINGERPRINT, SETTINGS, Kit, blobs, exchange, memory, say, talk, texts


class Branching(Kit):
    """A session can be copied, set back and rewritten without harm to any other."""

    def test_a_fork_has_the_same_conversation(self, store: Store) -> None:
        """A fork begins with the words and the memory of the original."""
        head = talk(store, store.session("ada"), 3)
        fork = store.fork(head, "copy")
        assert (fork.name, fork.version, fork.head_id, fork.turns) == ("copy", 0, head.head_id, 3)
        assert store.path(fork) == store.path(head)
        assert blobs(store, fork) == blobs(store, head)

    def test_a_fork_copies_nothing(self, store: Store) -> None:
        """A fork adds no message and no segment."""
        head = talk(store, store.session("ada"), 3)
        before = store.stats()
        store.fork(head, "copy")
        after = store.stats()
        assert (after.messages, after.segments) == (before.messages, before.segments)

    def test_a_fork_goes_its_own_way(self, store: Store) -> None:
        """What is said in a fork is not heard in the original, nor the other way round."""
        head = say(store, store.session("ada"), "hello")
        fork = say(store, store.fork(head, "copy"), "there")
        head = say(store, head, "here")
        assert texts(store, fork) == ["hello", "there"]
        assert texts(store, head) == ["hello", "here"]

    @pytest.mark.parametrize("turn", [0, 1, 2, 3])
    def test_a_fork_can_be_taken_at_a_turn(self, store: Store, turn: int) -> None:
        """A fork at turn k has the first k turns."""
        head = talk(store, store.session("ada"), 3)
        fork = store.fork(head, "copy", turn=turn)
        assert (fork.turns, fork.messages) == (turn, 2 * turn)
        assert store.path(fork) == store.path(head)[: 2 * turn]

    def test_an_old_head_can_be_forked(self, store: Store) -> None:
        """A fork of an old head has the conversation as it was then."""
        old = say(store, store.session("ada"), "hello")
        say(store, old, "more")
        assert texts(store, store.fork(old, "copy")) == ["hello"]

    def test_a_fork_needs_a_free_name(self, store: Store) -> None:
        """A fork replaces no session."""
        head = say(store, store.session("ada"), "hello")
        with pytest.raises(SessionExists, match="ada"):
            store.fork(head, "ada")
        assert store.session("ada") == head

    def test_a_fork_needs_a_good_name(self, store: Store) -> None:
        """The rules for names hold for forks."""
        with pytest.raises(UsageError, match="session name"):
            store.fork(store.session("ada"), "")

    @pytest.mark.parametrize("turn", [-1, 4])
    def test_a_fork_needs_a_turn_that_is(self, store: Store, turn: int) -> None:
        """A turn that the conversation does not have is refused."""
        head = talk(store, store.session("ada"), 3)
        with pytest.raises(UsageError, match="turns 1 to 3"):
            store.fork(head, "copy", turn=turn)

    def test_what_was_erased_cannot_be_forked(self, store: Store) -> None:
        """A fork of a head whose messages are gone is a conflict."""
        head = say(store, store.session("ada"), "hello")
        store.session("other")
        store.delete_session("ada")
        with pytest.raises(SessionConflict):
            store.fork(head, "copy")

    @pytest.mark.parametrize("turn", [0, 1, 2, 3])
    def test_a_session_can_go_back(self, store: Store, turn: int) -> None:
        """Going back to turn k leaves the first k turns, with their memory."""
        head = talk(store, store.session("ada"), 3)
        back = store.rollback(head, turn)
        assert (back.version, back.turns, back.messages) == (head.version + 1, turn, 2 * turn)
        assert store.path(back) == store.path(head)[: 2 * turn]
        assert blobs(store, back) == blobs(store, head)[: 2 * turn]
        assert store.session("ada") == back

    def test_after_going_back_one_can_go_on(self, store: Store) -> None:
        """New turns follow the turn that was gone back to."""
        head = say(store, store.session("ada"), "a", "b", "c")
        assert texts(store, say(store, store.rollback(head, 1), "d")) == ["a", "d"]

    def test_going_back_takes_a_present_head(self, store: Store) -> None:
        """Going back from a head that has moved is a conflict."""
        stale = say(store, store.session("ada"), "a")
        head = say(store, stale, "b")
        with pytest.raises(SessionConflict):
            store.rollback(stale, 0)
        assert store.session("ada") == head

    @pytest.mark.parametrize("turn", [-1, 3])
    def test_going_back_needs_a_turn_that_is(self, store: Store, turn: int) -> None:
        """A turn that the conversation does not have is refused."""
        head = talk(store, store.session("ada"), 2)
        with pytest.raises(UsageError):
            store.rollback(head, turn)

    def test_a_turn_can_be_forgotten(self, store: Store) -> None:
        """Replaying the later turns without it leaves no trace of a turn."""
        head = talk(store, store.session("ada"), 3)
        head = store.replace_after(head, 1, exchange(3), memory(8), FINGERPRINT, SETTINGS)
        assert texts(store, head) == ["question 1", "answer 1", "question 3", "answer 3"]
        assert blobs(store, head) == [segment.data for segment in memory(1) + memory(8)]
        assert (head.turns, head.messages, head.version) == (2, 4, 4)
        assert store.stats().messages == 4

    def test_forgetting_equals_never_having_said(self, store: Store) -> None:
        """The ids after forgetting are those of a conversation that never had the turn."""
        head = say(store, store.session("ada"), "a", "b", "c")
        head = store.replace_after(head, 1, [NewMessage("user", "c")], [None], "", {})
        assert head.head_id == say(store, store.session("other"), "a", "c").head_id

    def test_the_last_turn_can_be_forgotten(self, store: Store) -> None:
        """Nothing need follow the turns that are kept."""
        head = say(store, store.session("ada"), "a", "b")
        assert texts(store, store.replace_after(head, 1, [], [], "", {})) == ["a"]
        assert store.stats().messages == 1

    def test_everything_can_be_forgotten(self, store: Store) -> None:
        """A session may be emptied and stay."""
        head = say(store, store.session("ada"), "a", "b")
        head = store.replace_after(head, 0, [], [], "", {})
        assert (head.turns, head.messages) == (0, 0)
        assert store.stats().messages == 0

    def test_what_a_fork_holds_is_kept(self, store: Store) -> None:
        """Forgetting in one session takes nothing from another."""
        head = say(store, store.session("ada"), "a", "b", "c")
        fork = store.fork(head, "copy")
        store.replace_after(head, 1, [NewMessage("user", "c")], [None], "", {})
        assert texts(store, fork) == ["a", "b", "c"]
        assert store.holders(store.path(fork)[1].id) == ["copy"]

    def test_forgetting_takes_a_present_head(self, store: Store) -> None:
        """Forgetting from a head that has moved is a conflict, and nothing is erased."""
        stale = say(store, store.session("ada"), "a", "b")
        head = say(store, stale, "c")
        with pytest.raises(SessionConflict):
            store.replace_after(stale, 0, [], [], "", {})
        assert texts(store, head) == ["a", "b", "c"]

    def test_times_survive_a_replay(self, store: Store) -> None:
        """A replayed message keeps its time if it is given."""
        head = say(store, store.session("ada"), "a", "b")
        last = store.path(head)[1]
        new = [NewMessage("user", last.text, last.created_at)]
        head = store.replace_after(head, 0, new, [None], "", {})
        assert store.path(head)[0].created_at == last.created_at
