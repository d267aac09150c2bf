"""Reading conversations back."""

from __future__ import annotations

import pytest

from loma_memory.errors import SessionNotFound
from loma_memory.store import NewMessage, Store, message_id, root_id
from loma_memory.testing.base import Kit, exchange, say, talk, texts


class Conversations(Kit):
    """A conversation is a chain of hashes, and can be found by any of them."""

    def test_a_conversation_comes_in_order(self, store: Store) -> None:
        """Messages come from the first to the last, with depth and turn."""
        path = store.path(talk(store, store.session("ada"), 3))
        assert [(m.depth, m.turn) for m in path] == [(1, 1), (2, 1), (3, 2), (4, 2), (5, 3), (6, 3)]

    def test_every_message_names_its_parent(self, store: Store) -> None:
        """Each message's parent is the one before, and the first one's is the root."""
        path = store.path(talk(store, store.session("ada", "n"), 3))
        assert [m.parent_id for m in path] == [root_id("n")] + [m.id for m in path[:-1]]

    def test_every_id_is_its_hash(self, store: Store) -> None:
        """Each id is the hash of parent, role and text."""
        for message in store.path(talk(store, store.session("ada"), 3)):
            assert message.id == message_id(message.parent_id, message.role, message.text)

    def test_a_conversation_is_found_by_any_message(self, store: Store) -> None:
        """A message's id gives the conversation up to it."""
        path = store.path(talk(store, store.session("ada"), 3))
        assert store.path(path[2].id) == path[:3]

    def test_the_root_is_an_empty_conversation(self, store: Store) -> None:
        """The root's id gives no message."""
        store.session("ada")
        assert store.path(root_id("")) == []

    @pytest.mark.parametrize("id", ["", "b2:00", "' OR 1=1 --", "b2:" + "0" * 64])
    def test_an_unknown_message_is_an_error(self, store: Store, id: str) -> None:
        """An id that no message has raises SessionNotFound."""
        talk(store, store.session("ada"), 1)
        with pytest.raises(SessionNotFound):
            store.path(id)

    def test_an_old_head_still_reads(self, store: Store) -> None:
        """A head gives the conversation as it was when the head was taken."""
        old = talk(store, store.session("ada"), 1)
        talk(store, old, 2)
        assert len(store.path(old)) == 2

    def test_a_long_conversation_is_read_whole(self, store: Store) -> None:
        """A conversation of a thousand messages comes back whole."""
        new = [NewMessage("user", f"message {number}") for number in range(1000)]
        head = store.append(store.session("ada"), new, [None] * 1000, "", {})
        assert [message.text for message in store.path(head)] == [message.text for message in new]

    def test_a_whole_history_is_known(self, store: Store) -> None:
        """The history of a saved conversation is known to its end."""
        head = talk(store, store.session("ada"), 3)
        history = [message for number in (1, 2, 3) for message in exchange(number)]
        assert store.known(history)[-1] == head.head_id

    def test_a_longer_history_is_known_in_part(self, store: Store) -> None:
        """New messages at the end of a history are not known."""
        head = talk(store, store.session("ada"), 2)
        history = [message for number in (1, 2, 3) for message in exchange(number)]
        assert store.known(history) == [m.id for m in store.path(head)]

    def test_another_history_is_not_known(self, store: Store) -> None:
        """A history that begins differently is unknown, even if it ends alike."""
        talk(store, store.session("ada"), 2)
        assert store.known([NewMessage("user", "other"), *exchange(1)]) == []
        assert store.known([]) == []
        assert store.known(exchange(1), "nowhere") == []

    def test_a_message_knows_its_sessions(self, store: Store) -> None:
        """The sessions that a message is part of are named."""
        first = say(store, store.session("b"), "hello")
        store.fork(first, "a")
        last = say(store, first, "more")
        assert store.holders(first.head_id) == ["a", "b"]
        assert store.holders(last.head_id) == ["b"]
        assert store.holders("b2:00") == store.holders(first.head_id, "nowhere") == []

    def test_different_roles_are_different_messages(self, store: Store) -> None:
        """The same words of another speaker are another message."""
        user = say(store, store.session("a"), "hello")
        note = store.append(store.session("b"), [NewMessage("note", "hello")], [None], "", {})
        assert user.head_id != note.head_id
        assert texts(store, user) == texts(store, note)
