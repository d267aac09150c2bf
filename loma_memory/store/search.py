"""Full-text search: FTS5 on SQLite, tsvector on PostgreSQL.

Whoever searches need know no query language, and cannot break one: a query is taken apart into words,
and only words reach the database.
"""

from __future__ import annotations

import logging
import re

from sqlalchemy import ColumnElement, select, text

from loma_memory.errors import StoreError, UsageError
from loma_memory.store import clock, ids
from loma_memory.store.records import Message, SearchHit
from loma_memory.store.tables import messages, sessions
from loma_memory.store.unit import Unit

log = logging.getLogger(__name__)

MAX_WORDS = 32
_PUNCTUATION = re.compile(r"[\s!-/:-@\[-`{-~]+")
# Scripts without spaces between words: the indexes take a whole sentence for one word there.
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)


def words(query: str) -> list[str]:
    """The words of a query: what is between spaces and punctuation and has a letter or digit.

    Raises:
        UsageError: there is none, or more than `MAX_WORDS`.
    """
    parts = _PUNCTUATION.split(ids.canonical_text(query[:10_000]))
    found = [part for part in parts if any(char.isalnum() for char in part)]
    if not 0 < len(found) <= MAX_WORDS:
        raise UsageError(f"a search takes 1 to {MAX_WORDS} words, not {len(found)}")
    return found


def search(unit: Unit, namespace: str, query: str, limit: int) -> list[SearchHit]:
    """Messages with all words of the query, the newest first. A word also finds longer ones it begins.

    Raises:
        UsageError: the query has no word, or too many.
        StoreError: the database is encrypted.
    """
    if unit.vault.encrypted:
        raise StoreError(
            "an encrypted database cannot be searched: an index would hold its words in plain text"
        )
    wanted = words(query)
    namespace_n = unit.namespace_n(namespace)
    parent = messages.alias("parent")
    found = (
        select(messages, parent.c.id.label("parent_id"))
        .join(parent, parent.c.n == messages.c.parent_n, isouter=True)
        .where(messages.c.namespace_n == namespace_n, *_conditions(unit, wanted))
        .order_by(messages.c.n.desc())
    )
    hits: list[SearchHit] = []
    offset, size = 0, max(limit, 50)
    # Not every message that is found is part of a session still, so pages are read until there are enough.
    while len(hits) < limit:
        page = unit.connection.execute(found.limit(size).offset(offset)).all()
        held = holders(unit, namespace_n, [row.n for row in page])
        for row in page:
            message = Message(
                row.id,
                row.parent_id or ids.root_id(namespace),
                row.depth,
                row.turn,
                row.role,
                row.text or "",
                clock.from_us(row.created_at),
            )
            if row.n not in held:
                continue
            if ids.message_id(message.parent_id, message.role, message.text) != message.id:
                log.warning(
                    "message %d in namespace %r is not what was saved: not shown", row.depth, namespace
                )
                continue
            hits.append(SearchHit(message, tuple(sorted(held[row.n]))))
        if len(page) < size:
            break
        offset += size
    return hits[:limit]


def holders(unit: Unit, namespace_n: int, message_ns: list[int]) -> dict[int, list[str]]:
    """For each message that is part of a session: the names of the sessions."""
    start = select(messages.c.n.label("hit"), messages.c.n).where(messages.c.n.in_(message_ns))
    walk = start.cte("descent", recursive=True)
    walk = walk.union(select(walk.c.hit, messages.c.n).join(walk, messages.c.parent_n == walk.c.n))
    query = (
        select(walk.c.hit, sessions.c.name)
        .join(sessions, sessions.c.head_n == walk.c.n)
        .where(sessions.c.namespace_n == namespace_n)
        .where(sessions.c.expires_at.is_(None) | (sessions.c.expires_at > clock.now_us()))
    )
    held: dict[int, list[str]] = {}
    for hit, name in unit.connection.execute(query):
        held.setdefault(hit, []).append(name)
    return held


def _conditions(unit: Unit, wanted: list[str]) -> list[ColumnElement[bool]]:
    scanned = [word for word in wanted if _UNSPACED.search(word)]
    indexed = [word for word in wanted if word not in scanned]
    conditions = [messages.c.text.contains(word, autoescape=True) for word in scanned]
    if indexed and unit.sqlite:
        fts = text("SELECT rowid FROM loma_search WHERE loma_search MATCH :loma_query")
        match = " ".join(f'"{word}"*' for word in indexed)
        conditions.append(messages.c.n.in_(fts.bindparams(loma_query=match)))
    elif indexed:
        match = " & ".join(f"'{word}':*" for word in indexed)
        matches = text("loma_messages.search @@ to_tsquery('simple', :loma_query)")
        conditions.append(matches.bindparams(loma_query=match))  # type: ignore[arg-type]
    return conditions
