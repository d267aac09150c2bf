"""Full-text search."""

from __future__ import annotations

import pytest

from loma_memory.errors import UsageError
from loma_memory.store import NewMessage, Store
from loma_memory.testing.base import Kit, say, talk

HOSTILE = [
    '"', "'", "nuts'", '"nuts', "nuts AND", "nuts NOT", "NEAR(nuts", "nuts*", "*nuts", "text:nuts", "(nuts",
    "nuts)", "nuts & | !", "nuts:*", "\\", "nuts\\", "%nuts_", "nuts -- x", "nuts; DROP TABLE loma_messages",
    "{nuts} : x", "^nuts", "nuts + nuts", "nuts <-> nuts", "nuts\x00", "nuts\ud800", ":loma_query nuts",
    "\ufeffnuts",
]  # fmt: skip


class Searching(Kit):
    """Search finds words in the conversations of a namespace, whatever is typed."""

    @pytest.fixture
    def filled(self, store: Store) -> Store:
        """A store with something to find."""
        head = say(store, store.session("ada"), "I am allergic to nuts.", "What's for dinner?")
        say(store, head, "Walnuts in Café-Crème, 3.14 of O'Hara's recipe")
        return store

    def found(self, store: Store, query: str, namespace: str = "") -> list[str]:
        """The texts that a query finds."""
        return [hit.message.text for hit in store.search(query, namespace)]

    @pytest.mark.parametrize(
        "query",
        ["nuts", "NUTS", "allergic nuts", "nuts allergic", "nut", "all", "i am", " nuts ", "nuts."],
    )
    def test_words_are_found(self, filled: Store, query: str) -> None:
        """Words are found in any order, in upper or lower case, and by their beginning."""
        assert self.found(filled, query) == ["I am allergic to nuts."]

    @pytest.mark.parametrize(
        "query", ["café", "CRÈME", "café-crème", "3.14", "14", "o'hara", "hara", "recipe walnuts"]
    )
    def test_words_are_found_between_signs(self, filled: Store, query: str) -> None:
        """Signs between words make no difference."""
        assert len(self.found(filled, query)) == 1

    @pytest.mark.parametrize("query", ["bananas", "nuts bananas", "uts", "nuts dinner"])
    def test_all_words_must_be_there(self, filled: Store, query: str) -> None:
        """A message without one of the words is not found."""
        assert self.found(filled, query) == []

    @pytest.mark.parametrize("query", HOSTILE)
    def test_no_query_can_break_the_search(self, filled: Store, query: str) -> None:
        """Signs of query languages mean nothing; the words between them are searched."""
        try:
            found = self.found(filled, query)
        except UsageError:
            assert not any(sign.isalnum() for sign in query)
        else:
            assert set(found) <= {"I am allergic to nuts."}

    @pytest.mark.parametrize("query", ["", "  ", "?!", "🙂", "x " * 33])
    def test_a_query_needs_words(self, filled: Store, query: str) -> None:
        """A query without a word, or with very many, is refused."""
        with pytest.raises(UsageError, match="1 to 32 words"):
            filled.search(query)

    @pytest.mark.parametrize(
        ("said", "query"), [("我对花生过敏", "花生"), ("ナッツアレルギーです", "アレルギー")]
    )
    def test_scripts_without_spaces_are_searched(self, filled: Store, said: str, query: str) -> None:
        """Where words are not set apart, any part of a text is found."""
        say(filled, filled.session("other"), said, "something else")
        assert self.found(filled, query) == [said]

    def test_the_newest_come_first(self, filled: Store) -> None:
        """Hits come in the order of being saved, the last one first, as many as asked for."""
        say(filled, filled.session("other"), *(f"apple {number}" for number in range(5)))
        assert self.found(filled, "apple") == [f"apple {number}" for number in (4, 3, 2, 1, 0)]
        assert [hit.message.text for hit in filled.search("apple", limit=2)] == ["apple 4", "apple 3"]
        assert filled.search("apple", limit=0) == []

    def test_a_hit_names_its_sessions(self, filled: Store) -> None:
        """All sessions that a message is part of are named, and the message is whole."""
        head = filled.session("ada")
        filled.fork(head, "copy")
        (hit,) = filled.search("allergic")
        assert hit.sessions == ("ada", "copy")
        assert hit.message == filled.path(head)[0]

    def test_replies_are_searched(self, filled: Store) -> None:
        """Both sides of a conversation are searched."""
        filled.append(filled.session("b"), [NewMessage("assistant", "zebra")], [None], "", {})
        assert self.found(filled, "zebra") == ["zebra"]

    def test_what_was_taken_back_is_not_found(self, filled: Store) -> None:
        """Turns after a rollback are not found, though gc has not been by."""
        filled.rollback(filled.session("ada"), 1)
        assert self.found(filled, "dinner") == []
        assert len(self.found(filled, "nuts")) == 1

    def test_what_no_session_holds_hides_nothing(self, filled: Store) -> None:
        """Many hits that are taken back do not keep an older one from being found."""
        head = talk(filled, filled.session("b"), 1, "mango")
        gone = say(filled, head, *(f"mango {number}" for number in range(120)))
        filled.rollback(gone, 1)
        assert len(filled.search("mango", limit=2)) == 2

    def test_what_was_deleted_is_not_found(self, filled: Store) -> None:
        """A deleted session's words are not found."""
        filled.delete_session("ada")
        assert self.found(filled, "nuts") == []

    def test_what_was_forgotten_is_not_found(self, filled: Store) -> None:
        """A forgotten turn's words are not found."""
        filled.replace_after(filled.session("ada"), 1, [], [], "", {})
        assert self.found(filled, "dinner") == []
        assert len(self.found(filled, "nuts")) == 1

    def test_another_namespace_is_not_searched(self, filled: Store) -> None:
        """A namespace's search sees that namespace only."""
        assert self.found(filled, "nuts", "other") == []
        say(filled, filled.session("ada", "other"), "nuts and bolts")
        assert self.found(filled, "nuts", "other") == ["nuts and bolts"]
        assert self.found(filled, "nuts") == ["I am allergic to nuts."]

    def test_what_was_imported_is_found(self, filled: Store) -> None:
        """An imported session is searched like any other."""
        filled.import_session(filled.export_session(filled.session("ada")), namespace="other")
        assert len(self.found(filled, "allergic", "other")) == 1
