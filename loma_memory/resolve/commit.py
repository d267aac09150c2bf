"""Saving what came of a request: a chain, and the session that holds it.

Whatever no session holds is erased sooner or later, so every chain has one. A session that the caller
named follows the client's history wherever it goes. All else is held by *branches*: sessions named
`label~` and twelve hex digits, the label being the id that surrounded the call, or nothing. A request
that continues a branch moves it, any other begins a new one; so edits, forks and the side jobs of a host
never move what a conversation stands on, and all that belongs to an id is found, and forgotten, by its label.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from loma_memory.errors import SessionConflict, SessionExists, SessionNotFound, UsageError
from loma_memory.resolve.plan import Plan
from loma_memory.store import (
    Message,
    NewMessage,
    NewSegment,
    SessionHead,
    Store,
    message_id,
)

_BRANCH = re.compile(r"(.*)~[0-9a-f]{12}", re.DOTALL)
_RETRIES = 8
_PAGE = 200


def branch_label(name: str) -> str | None:
    """The label of a branch's name; None for the name of an ordinary session."""
    found = _BRANCH.fullmatch(name)
    return None if found is None else found[1]


def commit(
    store: Store,
    plan: Plan,
    messages: Sequence[NewMessage],
    segments: Sequence[NewSegment | None],
    fingerprint: str,
    settings: Mapping[str, Any],
    *,
    session: str | None = None,
    explicit: bool = False,
    hint: str | None = None,
) -> SessionHead:
    """Saves messages after a plan's base, and moves or makes the session that holds them.

    Args:
        store: where to.
        plan: what `resolve` found.
        messages: what follows the base: the plan's new messages and the reply.
        segments: the memory of each, or None.
        fingerprint: of what made the segments.
        settings: what the fingerprint stands for.
        session: the id that the request came with, if any.
        explicit: whether the caller named it.
        hint: the branch that may still end at the plan's base, which saves looking for one.

    Returns:
        The session that holds the conversation, pointing at the last of `messages`.

    Raises:
        SessionConflict: another writer appended to the named session first, or the base was erased;
            nothing was saved.
        UsageError: the session has a branch's name.
    """
    check_session(session)
    what = (messages, segments, fingerprint, settings)
    if session is not None and explicit:
        for left in reversed(range(_RETRIES)):
            try:
                return _move_named(store, plan, session, *what)
            except SessionConflict:
                # Who resends the history is right whatever the session did meanwhile; who appends is not.
                if left == 0 or plan.how == "append":
                    raise
    return _move_branch(store, plan, session or "", hint, *what)


def check_session(session: str | None) -> None:
    """Checks that a name is not one that branches have.

    Raises:
        UsageError: it is.
    """
    if session is not None and branch_label(session) is not None:
        raise UsageError(f"a session name must not end like a branch's, in ~ and 12 hex digits: {session!r}")


def forget(store: Store, session: str, namespace: str = "") -> int:
    """Deletes a session and every branch of its label.

    Returns:
        How many sessions and branches there were.
    """
    names = [session, *branches(store, session, namespace)]
    gone = 0
    for name in names:
        try:
            store.delete_session(name, namespace)
            gone += 1
        except SessionNotFound:
            continue
    return gone


def branches(store: Store, label: str, namespace: str = "") -> list[str]:
    """Names of the branches of a label."""
    found, offset = [], 0
    while page := store.sessions(namespace, like=f"{label}~", limit=_PAGE, offset=offset):
        found += [head.name for head in page if branch_label(head.name) == label]
        offset += _PAGE
    return found


def _move_branch(
    store: Store,
    plan: Plan,
    label: str,
    hint: str | None,
    messages: Sequence[NewMessage],
    segments: Sequence[NewSegment | None],
    fingerprint: str,
    settings: Mapping[str, Any],
) -> SessionHead:
    what = (messages, segments, fingerprint, settings)
    for head in _held_at(store, plan, label, hint):
        try:
            return store.append(head, *what)
        except (SessionConflict, SessionNotFound):
            continue  # another request was there first: this one branches off
    leaf = plan.base_id
    for message in messages:
        leaf = message_id(leaf, message.role, message.text)
    name = _branch_name(label, leaf)
    try:
        return store.append(_begin(store, plan, name), *what)
    except (SessionConflict, SessionExists):
        # The same words were said here before: what there is to save is saved.
        head = store.session(name, plan.namespace, create=False)
        if name not in store.holders(leaf, plan.namespace):
            raise
        return _pointing(plan.namespace, name, leaf, plan.depth + len(messages), head)


def _move_named(
    store: Store,
    plan: Plan,
    session: str,
    messages: Sequence[NewMessage],
    segments: Sequence[NewSegment | None],
    fingerprint: str,
    settings: Mapping[str, Any],
) -> SessionHead:
    head = store.session(session, plan.namespace)
    if head.head_id == plan.base_id:
        return store.append(head, messages, segments, fingerprint, settings)
    if plan.how == "append":
        raise SessionConflict(f"session {session!r} has moved since; nothing was saved")
    old = store.path(head)
    base = store.path(plan.base_id, plan.namespace) if plan.depth else []
    kept = _shared(old, base)
    if kept < len(old):  # the old end stays: a checkpoint of the host may point at it
        with contextlib.suppress(SessionExists):
            store.fork(head, _branch_name(session, head.head_id))
    added = [NewMessage(m.role, m.text) for m in base[kept:]]
    return store.replace_after(
        head,
        old[kept - 1].turn if kept else 0,
        [*added, *messages],
        [*(None for _ in added), *segments],
        fingerprint,
        settings,
    )


def _held_at(store: Store, plan: Plan, label: str, hint: str | None) -> Iterator[SessionHead]:
    """Branches of a label that end at the plan's base."""
    if not plan.depth:
        return
    for name in _names(store, plan, hint):
        if branch_label(name) == label:
            try:
                head = store.session(name, plan.namespace, create=False)
            except SessionNotFound:
                continue
            if head.head_id == plan.base_id:
                yield head


def _names(store: Store, plan: Plan, hint: str | None) -> Iterator[str]:
    if hint is not None:
        yield hint
    yield from store.holders(plan.base_id, plan.namespace)


def _begin(store: Store, plan: Plan, name: str) -> SessionHead:
    """A new session at the plan's base.

    Raises:
        SessionExists: there is one of that name.
        SessionConflict: the base has been erased.
    """
    if plan.depth:
        return store.fork(_pointing(plan.namespace, name, plan.base_id, plan.depth), name)
    head = store.session(name, plan.namespace)
    if head.messages:
        raise SessionExists(f"a session {name!r} already exists in the namespace {plan.namespace!r}")
    return head


def _pointing(namespace: str, name: str, id: str, depth: int, like: SessionHead | None = None) -> SessionHead:
    """A head as a value, for a message that no session need point at."""
    now = datetime.now(UTC)
    if like is None:
        return SessionHead(namespace, name, id, 0, 0, depth, now, now)
    return SessionHead(namespace, name, id, like.version, like.turns, depth, like.created_at, like.updated_at)


def _shared(old: Sequence[Message], base: Sequence[Message]) -> int:
    """How many messages two conversations share, cut back to the end of a turn in both."""
    n = 0
    while n < min(len(old), len(base)) and old[n].id == base[n].id:
        n += 1
    while n and any(n < len(path) and path[n].turn == path[n - 1].turn for path in (old, base)):
        n -= 1
    return n


def _branch_name(label: str, id: str) -> str:
    return f"{label}~{id.rpartition(':')[2][:12]}"
