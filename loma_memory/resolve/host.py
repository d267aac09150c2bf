"""Replies for hosts that resend the history: only what is new is read, and what came of it is saved."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from loma_memory.data import Message, group
from loma_memory.engine.engine import Engine
from loma_memory.engine.replies import ReplySettings, TextStream
from loma_memory.engine.tool_format import ToolCall
from loma_memory.errors import SessionConflict, SessionNotFound
from loma_memory.memory import MemoryState
from loma_memory.resolve.commit import check_session, commit, forget
from loma_memory.resolve.handles import handle_of
from loma_memory.resolve.plan import HostMessage, Plan, Said, resolve, system_text
from loma_memory.restore import new_segment, restore
from loma_memory.store import NewMessage, Store, canonical_text

_RETRIES = 8


@dataclass(frozen=True)
class Usage:
    """What a reply cost.

    Attributes:
        read: tokens of the request that the model read, template included.
        cached: memory slots that stood for the rest.
        reread: those of `read` that belong to finished turns, read again because they were not in memory.
        output: tokens of the reply.
    """

    read: int
    cached: int
    reread: int
    output: int


@dataclass(frozen=True)
class Request:
    """What a host asks for.

    Attributes:
        messages: as the host sends them; the system prompt is not part of memory.
        session: the session that it belongs to, if any.
        explicit: whether the caller named that session for this very call, so that a request without
            history continues it.
        namespace: whose; None for the host's own.
        settings: of the reply; None for the host's own.
        save: whether the turn is remembered.
        tools: JSON schemas of tools that may be called.
        begin: what the reply has to begin with.
    """

    messages: Sequence[HostMessage]
    session: str | None = None
    explicit: bool = False
    namespace: str | None = None
    settings: ReplySettings | None = None
    save: bool = True
    tools: Sequence[dict[str, Any]] = ()
    begin: str = ""


@dataclass(frozen=True)
class _Kept:
    """A conversation at work: its memory, what was said, and the session or branch that holds it."""

    state: MemoryState
    said: tuple[NewMessage, ...]
    holder: str | None = None


class Host:
    """An engine and a store, asked with lists of messages. May be used from many threads.

    Attributes:
        engine: the engine.
        store: where conversations are saved.
        namespace: whose conversations, where a call does not say.
        settings: of replies, where a call does not say.
    """

    def __init__(
        self,
        engine: Engine,
        store: Store,
        *,
        namespace: str = "",
        settings: ReplySettings | None = None,
        states: int = 32,
    ) -> None:
        """`states`: how many conversations' memory is kept at work, the last used ones."""
        self.engine, self.store, self.namespace = engine, store, namespace
        self.settings = settings or ReplySettings()
        self._kept: OrderedDict[tuple[str, str], _Kept] = OrderedDict()
        self._room, self._lock = states, threading.Lock()

    def reply(self, request: Request) -> HostReply:
        """Answer a request; the reply comes in pieces.

        Raises:
            UsageError: there is nothing to answer, or the session's name is not allowed.
            HandleNotFound: a handle's conversation is not saved, and its text was not sent.
            ModelError: the request has tools, and the model's chat template has none.
        """
        check_session(request.session)
        if request.tools:
            _ = self.engine.tools  # says so at once where the model has none
        return HostReply(self, request)

    def answer(self, request: Request) -> HostReply:
        """As `reply`, finished. Where another writer appended to the session first, it answers anew."""
        for left in reversed(range(_RETRIES)):
            made = self.reply(request)
            try:
                for _ in made:
                    pass
                return made
            except SessionConflict:
                if left == 0:
                    raise
        raise AssertionError("unreachable")

    def forget(self, session: str, namespace: str | None = None) -> int:
        """Delete a session and all branches that carry its name, and the memory of them.

        Returns:
            How many sessions and branches there were.
        """
        with self._lock:
            self._kept.clear()
        return forget(self.store, session, self.namespace if namespace is None else namespace)

    def restored(self, plan: Plan) -> _Kept:
        """The conversation at a plan's base; memory is restored, and rebuilt where segments are missing.

        Raises:
            SessionConflict: the base was erased since the plan was made.
        """
        if not plan.depth:
            return _Kept(MemoryState(), ())
        found = self._at_work(plan.namespace, plan.base_id)
        if found is not None:
            return found
        engine = self.engine
        try:
            path = self.store.path(plan.base_id, plan.namespace)
            stored = self.store.segments(plan.base_id, engine.fingerprint, plan.namespace)
        except SessionNotFound as error:
            raise SessionConflict(str(error)) from None
        state, made, _ = restore(engine, path, stored)
        holders = self.store.holders(plan.base_id, plan.namespace) if made else []
        if holders:
            head = self.store.session(holders[0], plan.namespace)
            self.store.put_segments(head, made, engine.fingerprint, engine.settings)
        kept = _Kept(state, tuple(NewMessage(m.role, m.text) for m in path))
        self.keep(plan.namespace, plan.base_id, kept)
        return kept

    def look(self, namespace: str, id: str) -> Sequence[Said] | None:
        """What was said up to a message, if it is still saved.

        What is kept at work counts only while its holder is where it was: another process may have
        erased it.
        """
        found = self._at_work(namespace, id)
        try:
            if found is not None and found.holder is not None:
                head = self.store.session(found.holder, namespace, create=False)
                if head.head_id == id:
                    return found.said
        except SessionNotFound:
            pass
        try:
            return self.store.path(id, namespace)
        except SessionNotFound:
            return None

    def keep(self, namespace: str, id: str, kept: _Kept) -> None:
        """Keep a conversation at work."""
        with self._lock:
            self._kept[namespace, id] = kept
            self._kept.move_to_end((namespace, id))
            while len(self._kept) > self._room:
                self._kept.popitem(last=False)

    def _at_work(self, namespace: str, id: str) -> _Kept | None:
        with self._lock:
            found = self._kept.get((namespace, id))
            if found is not None:
                self._kept.move_to_end((namespace, id))
            return found


class HostReply:
    """A reply while it comes: iterate over it for pieces of text.

    The turn is saved when iteration has ended. A reply that is dropped or closed before leaves nothing.

    Attributes:
        plan: where the request went on.
        calls: the tools that it calls, once it has ended.
        handle: handle of the conversation, this reply included, once saved; else None.
        holder: name of the session or branch that holds it, once saved; else None.
    """

    def __init__(self, host: Host, request: Request) -> None:
        """Use `Host.reply`."""
        self._host, self._request = host, request
        self.plan = resolve(
            host.store,
            request.messages,
            namespace=host.namespace if request.namespace is None else request.namespace,
            session=request.session,
            explicit=request.explicit,
            look=host.look,
        )
        self.calls: tuple[ToolCall, ...] = ()
        self.handle: str | None = None
        self.holder: str | None = None
        self._stream: TextStream | None = None
        self._read = self._cached = self._reread = 0
        self._content = ""
        self._pieces = self._run()

    def __iter__(self) -> Iterator[str]:
        """The reply itself."""
        return self

    def __next__(self) -> str:
        """The next piece of text."""
        return next(self._pieces)

    @property
    def text(self) -> str:
        """The reply so far, calls of tools included."""
        made = self._stream.text if self._stream is not None else ""
        return canonical_text(self._request.begin + made)

    @property
    def content(self) -> str:
        """The reply without calls of tools."""
        return self._content if self.calls else self.text

    @property
    def finish(self) -> str:
        """Why it ended: "stop" or "length"; "" while it runs."""
        return self._stream.finish if self._stream is not None else ""

    @property
    def usage(self) -> Usage:
        """What it cost so far."""
        output = self._stream.tokens if self._stream is not None else 0
        return Usage(self._read, self._cached, self._reread, output)

    def close(self) -> None:
        """Give the reply up: nothing of it is saved."""
        self._pieces.close()

    def _run(self) -> Generator[str, None, None]:
        engine, plan = self._host.engine, self.plan
        base = self._host.restored(plan)
        state = base.state
        *earlier, asked = group(Message(m.role, m.text) for m in plan.new)
        self._cached = state.slots
        before = state.text_tokens
        state, written = engine.remember(state, earlier)
        self._reread = state.text_tokens - before
        self._read = self._reread + engine.prompt_tokens(asked)
        request = self._request
        settings = request.settings or self._host.settings
        self._stream = engine.reply(
            state, asked, settings, system_text(request.messages), request.tools, request.begin
        )
        if request.begin:
            yield request.begin
        yield from self._stream
        said = self.text
        if request.tools:
            content, calls = engine.tools.parse(said)
            self._content, self.calls = content, tuple(calls)
            # Hosts give calls back as values; written anew they look like this.
            said = canonical_text(engine.tools.said(content, calls)) if calls else said
        if not request.save:
            return
        turn = (*asked, Message("assistant", said)) if said else asked
        state, last = engine.remember(state, [turn])
        new = [NewMessage(m.role, m.text) for t in (*earlier, turn) for m in t]
        head = commit(
            self._host.store,
            plan,
            new,
            [new_segment(w) for segments in (*written, *last) for w in segments],
            engine.fingerprint,
            engine.settings,
            session=request.session,
            explicit=request.explicit,
            hint=base.holder,
        )
        self._host.keep(plan.namespace, head.head_id, _Kept(state, (*base.said, *new), head.name))
        self.handle, self.holder = handle_of(head.head_id, head.messages), head.name
