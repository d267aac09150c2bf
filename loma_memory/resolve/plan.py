"""Finding how much of a request is in memory already.

Hosts resend the whole history, a window of it, or only what is new, with or without a handle of what they
saw last. The rules, in this order:

1. a *handle* that is verified: the texts before it hash to it, or are the end of what it stands for;
2. *append*: a session that the caller named, and no assistant message in the request;
3. the longest saved *prefix* of the history;
4. *fresh*.

The client's history is the truth: a handle that does not fit the texts around it is ignored, and what was
edited is read anew. A session id that merely surrounds the call (a graph's thread) never appends.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from loma_memory.errors import HandleNotFound, SessionNotFound, UsageError
from loma_memory.resolve.handles import Handle, parse_handle
from loma_memory.store import Message as StoredMessage
from loma_memory.store import NewMessage, Store, canonical_text, message_id, root_id


class Said(Protocol):
    """A message, as far as comparing goes."""

    @property
    def role(self) -> str:
        """Who said it."""

    @property
    def text(self) -> str:
        """What was said."""


Look = Callable[[str, str], Sequence[Said] | None]
"""From a namespace and a message's id to the conversation up to it."""


@dataclass(frozen=True)
class HostMessage:
    """A message as a host sends it.

    Attributes:
        role: "system", "user", "assistant" or "note".
        text: its text.
        handle: handle of the conversation that ends here. On a system message it stands for a
            conversation whose text the host did not send.
        summary: whether a host put it in the place of older messages; it is dropped where a handle
            knows better.
    """

    role: str
    text: str
    handle: str | None = None
    summary: bool = False


@dataclass(frozen=True)
class Plan:
    """Where a request goes on.

    Attributes:
        namespace: whose conversation.
        base_id: the saved message to go on from; always the end of a turn, or the root.
        depth: how many messages lie up to it.
        new: the messages after it, canonical and not empty.
        how: "handle", "append", "prefix" or "fresh".
    """

    namespace: str
    base_id: str
    depth: int
    new: tuple[NewMessage, ...]
    how: str


@dataclass(frozen=True)
class _Anchor:
    handle: Handle
    at: int  # messages of the conversation before it
    bare: bool  # stands alone, no text was sent for it


def system_text(messages: Sequence[HostMessage]) -> str | None:
    """The system prompt of a request: its system messages, joined; it never becomes memory."""
    texts = [canonical_text(m.text) for m in messages if m.role == "system"]
    return "\n\n".join(t for t in texts if t) or None


def resolve(
    store: Store,
    messages: Sequence[HostMessage],
    *,
    namespace: str = "",
    session: str | None = None,
    explicit: bool = False,
    look: Look | None = None,
) -> Plan:
    """Where a request goes on, and which of its messages are new.

    Args:
        store: where conversations are saved.
        messages: the request, as the host sends it.
        namespace: whose it is; nothing is found across namespaces.
        session: the session that it belongs to, if any.
        explicit: whether the caller named that session for this very call.
        look: gives the conversation that a message of the namespace ends, or None where it is not saved
            any more; by default the store is asked.

    Raises:
        UsageError: there is nothing to answer.
        HandleNotFound: a handle's conversation is not saved, and its text was not sent.
    """
    said, anchors, summaries = _take_apart(messages)
    if not said:
        raise UsageError("a request needs at least one message with text that is not a system prompt")
    known = store.known(said[:-1], namespace)
    look = look or (lambda owner, id: _path(store, owner, id))
    found = _by_handle(look, namespace, said, anchors, summaries, known)
    prefix = _boundary(said, len(known))
    if found is not None and found.depth >= prefix:
        return _at_turn_end(store, _further(store, found))
    if found is None and explicit and session is not None and not any(m.role == "assistant" for m in said):
        return _append(store, namespace, session, said)
    if prefix:
        return Plan(namespace, known[prefix - 1], prefix, tuple(said[prefix:]), "prefix")
    return Plan(namespace, root_id(namespace), 0, tuple(said), "fresh")


def _take_apart(
    messages: Sequence[HostMessage],
) -> tuple[list[NewMessage], list[_Anchor], int]:
    said: list[NewMessage] = []
    anchors: list[_Anchor] = []
    summaries = 0
    for message in messages:
        text = canonical_text(message.text)
        bare = message.role == "system"
        if message.summary and summaries == len(said):
            summaries += 1
        if text and not bare:
            said.append(NewMessage(message.role, text))
        handle = parse_handle(message.handle)
        if handle is not None:
            anchors.append(_Anchor(handle, len(said), bare))
    return said, anchors, summaries


def _by_handle(
    look: Look,
    namespace: str,
    said: Sequence[NewMessage],
    anchors: Sequence[_Anchor],
    summaries: int,
    known: Sequence[str],
) -> Plan | None:
    """The last handle that fits, looked at from the newest."""
    for anchor in reversed(anchors):
        id, at = anchor.handle.message_id, anchor.at
        if at >= len(said):
            continue  # nothing would be left to answer
        plan = Plan(namespace, id, anchor.handle.depth, tuple(said[at:]), "handle")
        if 0 < at <= len(known) and known[at - 1] == id:
            return plan
        if _hash(namespace, said[:at]) == id:
            return None  # all of its text is here: whatever part of it is saved is a prefix
        path = look(namespace, id)
        if path is None:
            if anchor.bare or anchor.handle.depth > at:
                raise HandleNotFound(
                    f"the conversation of handle {anchor.handle.message_id[:19]}… ({anchor.handle.depth} "
                    f"messages) is not in the store, and the request holds only {at} of them; "
                    "send the whole history, or begin a new conversation"
                )
            continue
        if len(path) == anchor.handle.depth and (
            anchor.bare or _ends_with(path, said[:at]) or _ends_with(path, said[summaries:at])
        ):
            return plan
    return None


def _append(store: Store, namespace: str, session: str, said: Sequence[NewMessage]) -> Plan:
    try:
        head = store.session(session, namespace, create=False)
    except SessionNotFound:
        return Plan(namespace, root_id(namespace), 0, tuple(said), "fresh")
    how = "append" if head.messages else "fresh"
    return _at_turn_end(store, Plan(namespace, head.head_id, head.messages, tuple(said), how))


def _further(store: Store, plan: Plan) -> Plan:
    """The same plan from the last turn after its base that is saved as well."""
    id, depth = plan.base_id, 0
    for n, message in enumerate(plan.new[:-1], 1):
        id = message_id(id, message.role, message.text)
        if plan.new[n].role == "assistant":
            continue  # the turn goes on
        if not store.holders(id, plan.namespace):
            break
        depth, plan_id = n, id
    if not depth:
        return plan
    return Plan(plan.namespace, plan_id, plan.depth + depth, plan.new[depth:], plan.how)


def _at_turn_end(store: Store, plan: Plan) -> Plan:
    """The same plan from the end of a turn: memory is made of whole turns."""
    if not plan.depth or plan.new[0].role != "assistant":
        return plan
    path = store.path(plan.base_id, plan.namespace)
    last = [m for m in path if m.turn == path[-1].turn]
    depth = len(path) - len(last)
    new = (*(NewMessage(m.role, m.text) for m in last), *plan.new)
    base = path[depth - 1].id if depth else root_id(plan.namespace)
    return Plan(plan.namespace, base, depth, new, plan.how)


def _boundary(said: Sequence[NewMessage], saved: int) -> int:
    """The most saved messages after which a turn begins; the last message is never among them."""
    at = min(saved, len(said) - 1)
    while at > 0 and said[at].role == "assistant":
        at -= 1
    return at


def _path(store: Store, namespace: str, id: str) -> list[StoredMessage] | None:
    try:
        return store.path(id, namespace)
    except SessionNotFound:
        return None


def _hash(namespace: str, said: Sequence[NewMessage]) -> str:
    id = root_id(namespace)
    for message in said:
        id = message_id(id, message.role, message.text)
    return id


def _ends_with(path: Sequence[Said], said: Sequence[NewMessage]) -> bool:
    """Whether some messages, at least one, are the end of a conversation."""
    if not 0 < len(said) <= len(path):
        return False
    end = path[len(path) - len(said) :]
    return all(p.role == s.role and p.text == canonical_text(s.text) for p, s in zip(end, said, strict=True))
