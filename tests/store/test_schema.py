"""Migrations, released schemas, and databases that are not ours to touch."""

from __future__ import annotations

import gzip
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from loma_memory.errors import SchemaError, StoreError
from loma_memory.store import Store, failpoints, schema
from loma_memory.store.tables import VERSION_TABLE, metadata
from loma_memory.testing.base import blobs, memory, talk, texts

GOLDEN = sorted(Path(__file__).with_name("golden").glob("*.gz"))


def test_the_list_of_revisions_is_that_of_the_files() -> None:
    config = Config()
    config.set_main_option("script_location", "loma_memory.store:migrations")
    found = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]
    assert tuple(reversed(found)) == schema.REVISIONS


def test_the_migrations_make_the_tables_that_the_queries_use(store_url: str) -> None:
    with Store.open(store_url) as store, store.database.read() as connection:
        options = {"version_table": VERSION_TABLE, "compare_type": True, "include_name": _is_ours}
        context = MigrationContext.configure(connection, opts=options)
        differences = [str(found) for found in compare_metadata(context, metadata)]
    # PostgreSQL's column for full-text search is in no Table: only text() queries use it.
    assert [found for found in differences if "search" not in found] == []


def _is_ours(name: str | None, kind: str, parents: object) -> bool:
    return kind != "table" or not (name or "").startswith("loma_search")


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda path: path.name)
def test_every_released_schema_opens_for_ever(golden: Path, tmp_path: Path) -> None:
    (tmp_path / "chats.db").write_bytes(gzip.decompress(golden.read_bytes()))
    with Store.open(f"sqlite:///{tmp_path}/chats.db") as store:
        head = store.session("ada", "golden", create=False)
        assert texts(store, head)[:2] == ["question 1 golden", "answer 1 golden"]
        assert blobs(store, head)[:2] == [segment.data for segment in memory(1)]
        assert store.search("golden", "golden")
        assert store.verify().ok
        assert talk(store, head, 1).turns == head.turns + 1


def test_there_is_a_golden_database_of_every_schema() -> None:
    assert tuple(path.name.split(".")[0] for path in GOLDEN) == schema.REVISIONS


def test_a_newer_schema_is_left_untouched(tmp_path: Path) -> None:
    path = tmp_path / "chats.db"
    with Store.open(f"sqlite:///{path}") as store:
        talk(store, store.session("ada"), 1)
        with store.database.write() as connection:
            connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '0999'"))
    before = path.read_bytes()
    with pytest.raises(SchemaError, match="0999"):
        Store.open(f"sqlite:///{path}")
    assert path.read_bytes() == before


def test_many_can_open_a_new_database_at_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/chats.db"
    with ThreadPoolExecutor(6) as pool:
        stores = list(pool.map(lambda _: Store.open(url), range(6)))
    for store in stores:
        assert store.sessions() == []
        store.close()


def test_a_migration_that_is_stopped_has_not_happened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path}/chats.db"

    def stop(name: str) -> None:
        raise KeyboardInterrupt(name)

    monkeypatch.setattr(failpoints, "hook", stop)
    with pytest.raises(KeyboardInterrupt, match=r"migrate\.upgraded"):
        Store.open(url)
    monkeypatch.undo()
    tables = sqlite3.connect(tmp_path / "chats.db")
    assert tables.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
    tables.close()
    with Store.open(url) as store:
        assert store.verify().ok


def test_tables_of_others_stay(tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "chats.db")
    other.execute("CREATE TABLE messages (text)")
    other.execute("INSERT INTO messages VALUES ('mine')")
    other.commit()
    with Store.open(f"sqlite:///{tmp_path}/chats.db") as store:
        talk(store, store.session("ada"), 1)
        store.erase_namespace("")
    assert other.execute("SELECT text FROM messages").fetchall() == [("mine",)]
    other.close()


def test_a_start_with_the_present_schema_does_not_load_alembic(sqlite_url: str) -> None:
    code = (
        "import sys; from loma_memory.store import Store\n"
        f"Store.open({sqlite_url!r}).close()\n"
        "heavy = ('alembic', 'sqlalchemy.orm', 'torch', 'cryptography')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    root = Path(schema.__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=True)
    assert done.stdout.strip() == "[]"


def test_a_database_in_another_encoding_is_refused(pg_server: object) -> None:
    pg_server.psql(  # type: ignore[attr-defined]
        "CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C';"
    )
    with pytest.raises(StoreError, match="UTF8"):
        Store.open(pg_server.get_uri(database="latin"))  # type: ignore[attr-defined]
