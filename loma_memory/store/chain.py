"""Messages: written once under the hash of all that they follow, and checked against it when read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import CTE, select

from loma_memory.errors import IntegrityError, UsageError
from loma_memory.store import clock, ids
from loma_memory.store.records import Message, NewMessage
from loma_memory.store.tables import messages
from loma_memory.store.unit import Unit, chunks

MAX_TEXT = 16 * 2**20  # characters
MAX_MESSAGES = 1_000_000  # in one conversation


@dataclass(frozen=True)
class Link:
    """Where a message stands: all that is needed to put another one after it.

    Attributes:
        n: number of its row, or None for the root.
        id: its id.
        depth: its depth, 0 for the root.
        turn: its turn, 0 for the root.
    """

    n: int | None
    id: str
    depth: int
    turn: int


def check(new: Sequence[NewMessage]) -> None:
    """Checks messages before anything is done with them.

    Raises:
        UsageError: a role is unknown, or a text is no text or longer than `MAX_TEXT`.
    """
    for message in new:
        if message.role not in ids.ROLES:
            raise UsageError(f"a message's role must be one of {sorted(ids.ROLES)}, not {message.role!r}")
        if not isinstance(message.text, str) or len(message.text) > MAX_TEXT:
            raise UsageError(f"a message's text must be a string of at most {MAX_TEXT} characters")
        if message.created_at is not None:
            clock.to_us(message.created_at)


def extend(
    unit: Unit, namespace: str, namespace_n: int, after: Link, new: Sequence[NewMessage]
) -> list[Link]:
    """Writes messages after one another, reusing rows that exist. Returns where each one stands."""
    now = clock.now_us()
    links = []
    for message in new:
        text = ids.canonical_text(message.text)
        id = ids.message_id(after.id, message.role, text)
        row_id = unit.vault.row_id(id)
        plain, sealed = unit.vault.seal_message(namespace, row_id, id, text)
        link = Link(None, id, after.depth + 1, ids.turn_after(after.turn, message.role))
        row = {
            "namespace_n": namespace_n,
            "parent_n": after.n,
            "id": row_id,
            "depth": link.depth,
            "turn": link.turn,
            "role": message.role,
            "text": plain,
            "sealed": sealed,
            "created_at": now if message.created_at is None else clock.to_us(message.created_at),
        }
        insert = unit.insert_or_ignore(messages, row, ["id"]).returning(messages.c.n)
        n = unit.connection.execute(insert).scalar_one_or_none()
        if n is None:
            n = unit.connection.execute(select(messages.c.n).where(messages.c.id == row_id)).scalar_one()
        after = Link(n, link.id, link.depth, link.turn)
        links.append(after)
    return links


def ancestry(head_n: int | None) -> CTE:
    """Numbers of a message and of all before it, as a subquery with the column `n`.

    UNION, and not UNION ALL, ends the walk even where damage has made the chain a ring.
    """
    start = select(messages.c.n, messages.c.parent_n).where(messages.c.n == head_n)
    walk = start.cte("walk", recursive=True)
    step = select(messages.c.n, messages.c.parent_n).join(walk, messages.c.n == walk.c.parent_n)
    return walk.union(step)


def load(unit: Unit, namespace: str, head: Link) -> list[Message]:
    """The conversation that ends at `head`, from its first message, checked link by link.

    Raises:
        IntegrityError: a message is not what its id says, or is missing.
    """
    walk = ancestry(head.n)
    query = select(messages).join(walk, messages.c.n == walk.c.n).order_by(messages.c.depth)
    parent = Link(None, ids.root_id(namespace), 0, 0)
    path = []
    for row in unit.connection.execute(query):
        try:
            message = check_row(unit, namespace, parent, row)
        except IntegrityError as error:
            raise IntegrityError(
                f"message {parent.depth + 1} of a conversation in namespace {namespace!r} is not what was "
                f"saved ({error}); the conversation was not loaded"
            ) from None
        path.append(message)
        parent = Link(row.n, message.id, message.depth, message.turn)
    if parent.id != head.id:
        raise IntegrityError(
            f"a conversation in namespace {namespace!r} does not end where its session says; "
            "it was not loaded"
        )
    return path


def check_row(unit: Unit, namespace: str, parent: Link, row: Any) -> Message:
    """A message from its row, which must be what was written after `parent`.

    Raises:
        IntegrityError: it is not.
    """
    try:
        id, text = unit.vault.open_message(namespace, row.id, row.text, row.sealed)
        depth, turn = parent.depth + 1, ids.turn_after(parent.turn, row.role)
        sound = (
            row.parent_n == parent.n
            and (row.depth, row.turn) == (depth, turn)
            and id == ids.message_id(parent.id, row.role, text)
            and row.id == unit.vault.row_id(id)
        )
        moment = clock.from_us(row.created_at)
    except (TypeError, ValueError):  # SQLite's columns take values of any type
        sound = False
    if not sound:
        raise IntegrityError("its hash does not match")
    return Message(id, parent.id, depth, turn, row.role, text, moment)


def at_turn(unit: Unit, namespace: str, head: Link, turn: int) -> Link:
    """The last message of a turn of the conversation that ends at `head`; the root for turn 0."""
    if turn == 0:
        return Link(None, ids.root_id(namespace), 0, 0)
    walk = ancestry(head.n)
    query = (
        select(messages.c.n, messages.c.id, messages.c.sealed, messages.c.depth, messages.c.turn)
        .join(walk, messages.c.n == walk.c.n)
        .where(messages.c.turn <= turn)
        .order_by(messages.c.depth.desc())
        .limit(1)
    )
    row = unit.connection.execute(query).one()
    return Link(row.n, unit.vault.open_id(namespace, row.id, row.sealed), row.depth, row.turn)


def known(unit: Unit, namespace: str, namespace_n: int, said: Sequence[NewMessage]) -> list[Link]:
    """Where the messages of a conversation stand, from its first, as far as they are saved."""
    parent = ids.root_id(namespace)
    wanted = []
    for message in said:
        parent = ids.message_id(parent, message.role, message.text)
        wanted.append(parent)
    found: dict[str, Link] = {}
    row_ids = {unit.vault.row_id(id): id for id in wanted}
    for chunk in chunks(list(row_ids)):
        query = select(messages.c.n, messages.c.id, messages.c.depth, messages.c.turn).where(
            messages.c.id.in_(chunk), messages.c.namespace_n == namespace_n
        )
        for row in unit.connection.execute(query):
            found[row_ids[row.id]] = Link(row.n, row_ids[row.id], row.depth, row.turn)
    links = []
    for id in wanted:
        if id not in found:
            break
        links.append(found[id])
    return links


def find(unit: Unit, namespace: str, namespace_n: int, message_id: str) -> Link | None:
    """Where a message with that id stands in the namespace; None if there is none."""
    if message_id == ids.root_id(namespace):
        return Link(None, message_id, 0, 0)
    query = select(messages.c.n, messages.c.depth, messages.c.turn).where(
        messages.c.id == unit.vault.row_id(message_id), messages.c.namespace_n == namespace_n
    )
    row = unit.connection.execute(query).one_or_none()
    return None if row is None else Link(row.n, message_id, row.depth, row.turn)
