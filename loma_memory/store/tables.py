"""The schema that the queries are written against; `migrations/` is what creates it.

Rows refer to each other by small integers, so a fork is one row and a walk along a conversation is a
walk along integer keys. A message's content-derived id is written in one column only.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData()

VERSION_TABLE = "loma_schema_version"

_Key = BigInteger().with_variant(Integer, "sqlite")

namespaces = Table(
    "loma_namespaces",
    metadata,
    Column("n", _Key, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
)

messages = Table(
    "loma_messages",
    metadata,
    Column("n", _Key, primary_key=True),
    Column("namespace_n", _Key, ForeignKey("loma_namespaces.n"), nullable=False, index=True),
    Column("parent_n", _Key, ForeignKey("loma_messages.n"), index=True),  # null: first of a conversation
    Column("id", Text, nullable=False, unique=True),
    Column("depth", Integer, nullable=False),
    Column("turn", Integer, nullable=False),
    Column("role", Text, nullable=False),
    Column("text", Text),  # one of `text` and `sealed` is null
    Column("sealed", LargeBinary),  # id and text, encrypted
    Column("created_at", BigInteger, nullable=False),  # microseconds since 1970, as are all times
)

fingerprints = Table(
    "loma_fingerprints",
    metadata,
    Column("n", _Key, primary_key=True),
    Column("fingerprint", Text, nullable=False, unique=True),
    Column("settings", Text, nullable=False),  # JSON
    Column("created_at", BigInteger, nullable=False),
)

segments = Table(
    "loma_segments",
    metadata,
    Column("n", _Key, primary_key=True),
    Column("message_n", _Key, ForeignKey("loma_messages.n", ondelete="CASCADE"), nullable=False),
    Column("fingerprint_n", _Key, ForeignKey("loma_fingerprints.n"), nullable=False, index=True),
    Column("slots", Integer, nullable=False),
    Column("codec", Text, nullable=False),
    Column("checksum", LargeBinary, nullable=False),
    Column("data", LargeBinary, nullable=False),
    UniqueConstraint("message_n", "fingerprint_n"),
)

sessions = Table(
    "loma_sessions",
    metadata,
    Column("n", _Key, primary_key=True),
    Column("namespace_n", _Key, ForeignKey("loma_namespaces.n"), nullable=False),
    Column("name", Text, nullable=False),
    Column("head_n", _Key, ForeignKey("loma_messages.n"), index=True),  # null: empty session
    Column("version", BigInteger, nullable=False),
    Column("turns", Integer, nullable=False),
    Column("messages", Integer, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, index=True),
    Column("checksum", LargeBinary, nullable=False),
    UniqueConstraint("namespace_n", "name"),
)

keys = Table(
    "loma_keys",
    metadata,
    Column("key_id", Text, primary_key=True),
    Column("wrapped", LargeBinary, nullable=False),  # the index key, encrypted under the key of that id
)
