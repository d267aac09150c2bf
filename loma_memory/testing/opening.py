"""Opening and closing."""

from __future__ import annotations

import pytest

from loma_memory.errors import SchemaError, StoreError, UsageError
from loma_memory.store import Store
from loma_memory.store.schema import REVISIONS
from loma_memory.testing.base import Kit, talk, tamper, texts


class Opening(Kit):
    """A store opens what it may open, and says in one line what it may not."""

    def test_opening_twice_changes_nothing(self, store_url: str, store: Store) -> None:
        """A database that is in use can be opened once more."""
        talk(store, store.session("ada"), 1)
        with Store.open(store_url) as other:
            assert store.database.memory or other.session("ada", create=False).turns == 1

    def test_a_closed_store_says_so(self, store: Store) -> None:
        """A closed store raises StoreError."""
        head = store.session("ada")
        store.close()
        with pytest.raises(StoreError, match="closed"):
            store.path(head)

    def test_closing_twice_is_no_error(self, store: Store) -> None:
        """A store may be closed more than once."""
        store.close()
        store.close()

    def test_a_newer_schema_is_refused(self, store_url: str, store: Store) -> None:
        """A database of a newer version of the library is not touched."""
        if store.database.memory:
            pytest.skip("a database in memory cannot be opened again")
        tamper(store, "UPDATE loma_schema_version SET version_num = '9999'")
        with pytest.raises(SchemaError, match="9999"):
            Store.open(store_url)
        tamper(store, f"UPDATE loma_schema_version SET version_num = '{REVISIONS[-1]}'")

    @pytest.mark.parametrize("url", ["", "chats.db", "mysql://localhost/x", "://", "sqlite+aiosqlite:///x"])
    def test_what_is_no_store_url_is_refused(self, url: str) -> None:
        """Only SQLite's and PostgreSQL's URLs are taken."""
        with pytest.raises(UsageError, match="sqlite:///"):
            Store.open(url)

    def test_a_password_is_never_shown(self) -> None:
        """Errors hide the password of the URL."""
        with pytest.raises(StoreError) as caught:
            Store.open("postgresql://ada:s3cret@127.0.0.1:1/nowhere")
        assert "s3cret" not in str(caught.value)
        assert "\n" not in str(caught.value)
        assert caught.value.__cause__ is None

    def test_what_was_saved_is_there_when_opened_again(self, store_url: str, store: Store) -> None:
        """A conversation outlives the store that saved it."""
        if store.database.memory:
            pytest.skip("a database in memory cannot be opened again")
        head = talk(store, store.session("ada"), 3)
        said = texts(store, head)
        store.close()
        with Store.open(store_url) as again:
            assert again.session("ada", create=False) == head
            assert texts(again, head) == said
