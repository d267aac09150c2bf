"""Making, finding and listing sessions."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from loma_memory.errors import SessionNotFound, UsageError
from loma_memory.store import Store, root_id
from loma_memory.testing.base import Kit, say, talk

GOOD_NAMES = ["a", "Ada Lovelace", "ada@example.org", "a/b\\c", "100%_'\"`;--", "日本語 🙂 ñ", "x" * 200, " "]
BAD_NAMES = ["", "   ", "x" * 201, "a\x00b", "a\nb", "a\ud800b", "\x7f"]


class Sessions(Kit):
    """A session is a name that points at the end of a conversation."""

    def test_a_new_session_is_empty(self, store: Store) -> None:
        """A new session has version 0 and points at the root."""
        head = store.session("ada")
        assert (head.version, head.turns, head.messages, head.head_id) == (0, 0, 0, root_id(""))
        assert store.path(head) == []

    def test_a_session_is_made_once(self, store: Store) -> None:
        """Asking again gives the same session."""
        assert store.session("ada") == store.session("ada")

    def test_a_session_is_resumed(self, store: Store) -> None:
        """Asking for a session gives it where it is now."""
        head = talk(store, store.session("ada"), 2)
        assert store.session("ada") == head

    def test_create_false_makes_nothing(self, store: Store) -> None:
        """Without `create`, an unknown name is an error and stays unknown."""
        for _ in range(2):
            with pytest.raises(SessionNotFound, match="ada") as caught:
                store.session("ada", create=False)
        assert "\n" not in str(caught.value)
        assert store.sessions() == []

    def test_an_unknown_namespace_has_no_session(self, store: Store) -> None:
        """Without `create`, an unknown namespace is an error and stays unknown."""
        with pytest.raises(SessionNotFound):
            store.session("ada", "nowhere", create=False)
        assert store.namespaces() == []

    def test_namespaces_are_listed(self, store: Store) -> None:
        """Namespaces are listed in alphabetical order."""
        for namespace in ("b", "", "a"):
            store.session("ada", namespace)
        assert store.namespaces() == ["", "a", "b"]

    def test_times_are_utc(self, store: Store) -> None:
        """A session's times are aware, in UTC, and now."""
        head = store.session("ada")
        assert head.created_at.tzinfo == UTC
        assert abs(datetime.now(UTC) - head.created_at) < timedelta(minutes=5)
        assert head.updated_at == head.created_at

    @pytest.mark.parametrize("name", [name for name in GOOD_NAMES if name.strip()])
    def test_any_words_may_be_a_name(self, store: Store, name: str) -> None:
        """Names are kept as they are, whatever signs they have."""
        assert store.session(name).name == name
        assert [head.name for head in store.sessions()] == [name]

    @pytest.mark.parametrize("name", BAD_NAMES)
    def test_some_words_may_not_be_a_name(self, store: Store, name: str) -> None:
        """Empty, very long and unprintable names are refused."""
        with pytest.raises(UsageError, match="session name"):
            store.session(name)

    @pytest.mark.parametrize("namespace", GOOD_NAMES)
    def test_any_words_may_be_a_namespace(self, store: Store, namespace: str) -> None:
        """Namespaces are kept as they are, whatever signs they have."""
        assert store.session("ada", namespace).namespace == namespace
        assert store.namespaces() == [namespace]

    @pytest.mark.parametrize("namespace", ["x" * 201, "a\x00b", "a\nb", "a\ud800b"])
    def test_some_words_may_not_be_a_namespace(self, store: Store, namespace: str) -> None:
        """Very long and unprintable namespaces are refused."""
        with pytest.raises(UsageError, match="namespace name"):
            store.session("ada", namespace)

    def test_names_differ_by_case_and_accent(self, store: Store) -> None:
        """Names are compared letter by letter."""
        for name in ("ada", "Ada", "áda", "ada "):
            store.session(name)
        assert len(store.sessions()) == 4

    def test_the_list_begins_with_the_last_used(self, store: Store) -> None:
        """Sessions are listed by their last use."""
        heads = [store.session(name) for name in "abc"]
        say(store, heads[0], "hello")
        assert [head.name for head in store.sessions()] == ["a", "c", "b"]

    def test_the_list_shows_heads_as_they_are(self, store: Store) -> None:
        """A listed session is the same as one asked for by name."""
        head = talk(store, store.session("ada"), 2)
        assert store.sessions() == [head]

    def test_the_list_has_pages(self, store: Store) -> None:
        """Pages have neither gaps nor repeats."""
        names = [f"s{number}" for number in range(7)]
        for name in names:
            store.session(name)
        paged = [head.name for offset in range(0, 9, 3) for head in store.sessions(limit=3, offset=offset)]
        assert paged == names[::-1]

    def test_an_empty_page_is_empty(self, store: Store) -> None:
        """A page of no length, and one past the end, have nothing."""
        store.session("ada")
        assert store.sessions(limit=0) == store.sessions(offset=1) == store.sessions("nowhere") == []

    @pytest.mark.parametrize(("limit", "offset"), [(-1, 0), (1, -1)])
    def test_a_negative_page_is_refused(self, store: Store, limit: int, offset: int) -> None:
        """A negative limit or offset is an error."""
        with pytest.raises(UsageError, match="-1"):
            store.sessions(limit=limit, offset=offset)

    def test_the_list_can_be_filtered(self, store: Store) -> None:
        """A filter finds part of a name, in upper or lower case."""
        for name in ("Ada Lovelace", "adam", "Charles"):
            store.session(name)
        assert {head.name for head in store.sessions(like="ADA")} == {"Ada Lovelace", "adam"}

    @pytest.mark.parametrize("sign", ["%", "_", "\\", "'", '"', "/"])
    def test_a_filter_has_no_special_signs(self, store: Store, sign: str) -> None:
        """Signs that databases treat specially stand for themselves in a filter."""
        store.session(f"a{sign}b")
        store.session("axb")
        assert [head.name for head in store.sessions(like=sign)] == [f"a{sign}b"]

    def test_threads_that_make_one_session_get_one(self, store: Store) -> None:
        """A session that many make at once is made once."""
        with ThreadPoolExecutor(8) as pool:
            heads = list(pool.map(lambda _: store.session("ada"), range(16)))
        assert len(set(heads)) == 1
        assert len(store.sessions()) == 1
