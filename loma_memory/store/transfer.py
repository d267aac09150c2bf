"""Taking a session out of a database as one file, and into another."""

from __future__ import annotations

import json
import logging
from collections import defaultdict

from sqlalchemy import select

from loma_memory.errors import IntegrityError
from loma_memory.store import bundle, chain, clock, heads, ids, segments
from loma_memory.store.bundle import Bundle, BundleMessage, BundleSegment
from loma_memory.store.chain import Link, ancestry
from loma_memory.store.failpoints import reach
from loma_memory.store.records import NewMessage, NewSegment, SessionHead
from loma_memory.store.tables import fingerprints, messages
from loma_memory.store.tables import segments as segment_table
from loma_memory.store.unit import Unit

log = logging.getLogger(__name__)


def export(unit: Unit, namespace: str, name: str, link: Link) -> bytes:
    """A file with a conversation and all its sound segments; the others can be rebuilt where it goes.

    Raises:
        IntegrityError: a message is not what was saved.
    """
    path = chain.load(unit, namespace, link)
    known: dict[str, int] = {}
    settings = []
    kept = []
    walk = ancestry(link.n)
    query = (
        select(segment_table, messages, fingerprints.c.fingerprint, fingerprints.c.settings)
        .select_from(walk)
        .join(messages, messages.c.n == walk.c.n)
        .join(segment_table, segment_table.c.message_n == walk.c.n)
        .join(fingerprints, fingerprints.c.n == segment_table.c.fingerprint_n)
        .execution_options(yield_per=50)
    )
    for row in unit.connection.execute(query):
        try:
            data = segments.open_row(unit, namespace, row.fingerprint, row).data
        except IntegrityError as error:
            log.warning("segment of message %d not exported: %s", row.depth, error)
            continue
        if row.fingerprint not in known:
            known[row.fingerprint] = len(known)
            settings.append((row.fingerprint, json.loads(row.settings)))
        kept.append(BundleSegment(row.depth - 1, known[row.fingerprint], row.slots, row.codec, data))
    said = [BundleMessage(m.role, clock.to_us(m.created_at), m.text) for m in path]
    return bundle.pack(Bundle(name, said, settings, kept))


def restore(unit: Unit, namespace: str, name: str, packed: Bundle) -> SessionHead:
    """Writes a checked bundle as a new session.

    Raises:
        SessionExists: there is one of that name.
    """
    namespace_n = unit.namespace_n(namespace, create=True)
    unit.lock_namespace(namespace_n, exclusive=False)
    root = Link(None, ids.root_id(namespace), 0, 0)
    new = [NewMessage(m.role, m.text, clock.from_us(m.created_at)) for m in packed.messages]
    links = chain.extend(unit, namespace, namespace_n, root, new)
    reach("import.messages")
    by_fingerprint: dict[int, list[BundleSegment]] = defaultdict(list)
    for segment in packed.segments:
        by_fingerprint[segment.fingerprint].append(segment)
    for place, ours in by_fingerprint.items():
        fingerprint, settings = packed.fingerprints[place]
        segments.write(
            unit,
            namespace,
            [links[segment.message] for segment in ours],
            [NewSegment(segment.slots, segment.codec, segment.data) for segment in ours],
            fingerprint,
            json.dumps(dict(settings), sort_keys=True),
            replace=False,
        )
    return heads.create(unit, namespace, name, links[-1] if links else root)
