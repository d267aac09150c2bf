"""The first schema."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Creates all tables, and the full-text index in the way of the database at hand."""
    key = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    op.create_table(
        "loma_namespaces",
        sa.Column("n", key, primary_key=True),
        sa.Column("name", sa.Text, nullable=False, unique=True),
    )
    op.create_table(
        "loma_messages",
        sa.Column("n", key, primary_key=True),
        sa.Column("namespace_n", key, sa.ForeignKey("loma_namespaces.n"), nullable=False, index=True),
        sa.Column("parent_n", key, sa.ForeignKey("loma_messages.n"), index=True),
        sa.Column("id", sa.Text, nullable=False, unique=True),
        sa.Column("depth", sa.Integer, nullable=False),
        sa.Column("turn", sa.Integer, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("text", sa.Text),
        sa.Column("sealed", sa.LargeBinary),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.CheckConstraint("(text IS NULL) <> (sealed IS NULL)"),
    )
    op.create_table(
        "loma_fingerprints",
        sa.Column("n", key, primary_key=True),
        sa.Column("fingerprint", sa.Text, nullable=False, unique=True),
        sa.Column("settings", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "loma_segments",
        sa.Column("n", key, primary_key=True),
        sa.Column("message_n", key, sa.ForeignKey("loma_messages.n", ondelete="CASCADE"), nullable=False),
        sa.Column("fingerprint_n", key, sa.ForeignKey("loma_fingerprints.n"), nullable=False, index=True),
        sa.Column("slots", sa.Integer, nullable=False),
        sa.Column("codec", sa.Text, nullable=False),
        sa.Column("checksum", sa.LargeBinary, nullable=False),
        sa.Column("data", sa.LargeBinary, nullable=False),
        sa.UniqueConstraint("message_n", "fingerprint_n"),
    )
    op.create_table(
        "loma_sessions",
        sa.Column("n", key, primary_key=True),
        sa.Column("namespace_n", key, sa.ForeignKey("loma_namespaces.n"), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("head_n", key, sa.ForeignKey("loma_messages.n"), index=True),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("turns", sa.Integer, nullable=False),
        sa.Column("messages", sa.Integer, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, index=True),
        sa.Column("checksum", sa.LargeBinary, nullable=False),
        sa.UniqueConstraint("namespace_n", "name"),
    )
    op.create_table(
        "loma_keys",
        sa.Column("key_id", sa.Text, primary_key=True),
        sa.Column("wrapped", sa.LargeBinary, nullable=False),
    )
    for statement in _POSTGRESQL if op.get_context().dialect.name == "postgresql" else _SQLITE:
        op.execute(sa.text(statement.replace(":", r"\:")))


# Triggers keep the index in step also where rows go by a cascade. Accents are kept, as in PostgreSQL's
# 'simple' configuration, so that both databases find the same messages.
_SQLITE = (
    """CREATE VIRTUAL TABLE loma_search USING fts5(
        text, content='loma_messages', content_rowid='n', tokenize='unicode61 remove_diacritics 0')""",
    """CREATE TRIGGER loma_search_insert AFTER INSERT ON loma_messages WHEN new.text IS NOT NULL BEGIN
        INSERT INTO loma_search(rowid, text) VALUES (new.n, new.text); END""",
    """CREATE TRIGGER loma_search_delete AFTER DELETE ON loma_messages WHEN old.text IS NOT NULL BEGIN
        INSERT INTO loma_search(loma_search, rowid, text) VALUES ('delete', old.n, old.text); END""",
)

# A tsvector may not exceed 1 MiB, or the message could not be saved: only the first 100,000 characters
# are indexed. Punctuation becomes space so that the parser does not see URLs, numbers and file names
# where SQLite sees words.
_POSTGRESQL = (
    r"""ALTER TABLE loma_messages ADD COLUMN search tsvector GENERATED ALWAYS AS (to_tsvector('simple',
        translate(left(text, 100000), '!"#$%&''()*+,-./:;<=>?@[\]^_`{|}~', repeat(' ', 32)))) STORED""",
    "CREATE INDEX loma_messages_search ON loma_messages USING gin (search)",
    # Key/value slots are close to random bytes: compressing them costs time and gains nothing.
    "ALTER TABLE loma_segments ALTER COLUMN data SET STORAGE EXTERNAL",
)
