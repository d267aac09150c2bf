"""`resolve` and `commit` against a plain model: a set of histories, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from loma_memory.errors import HandleNotFound
from loma_memory.resolve import HostMessage, Plan, branch_label, commit, forget, handle_of, resolve
from loma_memory.store import NewMessage, SessionHead, Store

Said = tuple[str, str]  # role, text
History = tuple[Said, ...]

WORDS = st.sampled_from(["a", "b", "c"])  # few, so that histories meet
NAMESPACES = st.sampled_from(["", "eve"])
SESSIONS = st.sampled_from([None, "s", "t"])


@dataclass(frozen=True)
class Known:
    """What a client holds of a conversation: its messages, and the handle of each reply."""

    namespace: str
    history: History
    handles: tuple[str | None, ...]


def boundaries(history: History) -> list[int]:
    """Numbers of messages after which a new turn may begin, the whole history left out."""
    return [n for n in range(len(history)) if history[n][0] != "assistant"]


class Histories(RuleBasedStateMachine):
    """Clients with several sessions, that edit, trim, fork, switch and forget."""

    def __init__(self) -> None:
        super().__init__()
        self.saved: dict[str, set[History]] = {"": {()}, "eve": {()}}
        self.named: dict[tuple[str, str], History] = {}
        self.labels: dict[str, dict[History, set[str | None]]] = {"": {}, "eve": {}}
        self.clients: list[Known] = []
        self.issued: dict[str, tuple[str, History]] = {}

    @initialize()
    def open(self) -> None:
        self.store = Store.open("sqlite://")

    def teardown(self) -> None:
        self.store.close()

    # --- what clients do ---------------------------------------------------------------------------

    @rule(namespace=NAMESPACES, session=SESSIONS, explicit=st.booleans(), text=WORDS, reply=WORDS)
    def only_what_is_new(
        self, namespace: str, session: str | None, explicit: bool, text: str, reply: str
    ) -> None:
        plan = self._resolve([HostMessage("user", text)], namespace, session, explicit)
        if explicit and session is not None:
            base = self.named.get((namespace, session), ())
        else:
            base = ()
            assert plan.how == "fresh"
        self._check(plan, base, (("user", text),))
        self._commit(plan, base, reply, session, explicit)

    @rule(data=st.data(), session=SESSIONS, explicit=st.booleans(), text=WORDS, reply=WORDS)
    def whole_history(
        self, data: st.DataObject, session: str | None, explicit: bool, text: str, reply: str
    ) -> None:
        if not self.clients:
            return
        client = data.draw(st.sampled_from(self.clients))
        namespace = data.draw(st.sampled_from([client.namespace, client.namespace, "", "eve"]))
        cut = data.draw(st.integers(1, len(client.history)))
        said, handles = list(client.history[:cut]), list(client.handles[:cut])
        if not data.draw(st.booleans()):
            handles = [None] * cut
        if data.draw(st.booleans()):  # edited, under the old handles
            at = data.draw(st.integers(0, cut - 1))
            said[at] = (said[at][0], data.draw(WORDS))
        history = (*said, ("user", text))
        sent = [HostMessage(r, f" {t}\n", h) for (r, t), h in zip(said, handles, strict=True)]
        plan = self._resolve([*sent, HostMessage("user", text)], namespace, session, explicit)
        if plan.how == "append":
            assert explicit
            assert all(role == "user" for role, _ in history)
            self._check(plan, self.named[namespace, session or ""], history)
            base = self.named[namespace, session or ""]
        else:
            longest = max(n for n in boundaries(history) if history[:n] in self.saved[namespace])
            if explicit and session and all(role == "user" for role, _ in history):
                longest = 0  # there was nothing to append to
            base = history[:longest]
            self._check(plan, base, history[longest:])
        self._commit(plan, base, reply, session, explicit)

    @rule(data=st.data(), session=SESSIONS, text=WORDS, reply=WORDS, bare=st.booleans())
    def window_with_handle(
        self, data: st.DataObject, session: str | None, text: str, reply: str, bare: bool
    ) -> None:
        held = [c for c in self.clients if c.handles[-1] is not None]
        if not held:
            return
        client = data.draw(st.sampled_from(held))
        handle = client.handles[-1]
        # Forgotten, and then said again word for word: the same conversation, under the same handle.
        known = handle in self.issued or client.history in self.saved[client.namespace]
        if bare:
            sent = [HostMessage("system", "a note", handle)]
        else:
            start = data.draw(st.integers(0, len(client.history) - 1))
            sent = [HostMessage(r, t) for r, t in client.history[start:]]
            sent[-1] = replace(sent[-1], handle=handle)
            if data.draw(st.booleans()):
                sent.insert(0, HostMessage("user", "what was said, in short", summary=True))
                known = known and True
            elif start == 0:
                known = True  # nothing is missing: it can be read again
        sent.append(HostMessage("user", text))
        if not known:
            if bare or len(sent) - 1 < len(client.history):
                with pytest.raises(HandleNotFound):
                    self._resolve(sent, client.namespace, session, False)
            return
        plan = self._resolve(sent, client.namespace, session, False)
        if handle in self.issued:
            assert plan.how in ("handle", "prefix")
            base = client.history
            self._check(plan, base, (("user", text),))
            self._commit(plan, base, reply, session, False)

    @rule(data=st.data(), text=WORDS, reply=WORDS)
    def edited_window_with_handle(self, data: st.DataObject, text: str, reply: str) -> None:
        """A handle over texts that are not its own is worth nothing: the client's history is the truth."""
        held = [c for c in self.clients if c.handles[-1] in self.issued]
        if not held:
            return
        client = data.draw(st.sampled_from(held))
        starts = [n for n, (role, _) in enumerate(client.history) if role == "user"]
        shown = list(client.history[data.draw(st.sampled_from(starts)) :])
        at = data.draw(st.integers(0, len(shown) - 1))
        shown[at] = (shown[at][0], f"edited {len(self.clients)}")
        sent = [HostMessage(r, t) for r, t in shown]
        sent[-1] = replace(sent[-1], handle=client.handles[-1])
        history = (*shown, ("user", text))
        plan = self._resolve([*sent, HostMessage("user", text)], client.namespace, None, False)
        assert plan.how in ("prefix", "fresh")
        saved = self.saved[client.namespace]
        longest = max(n for n in boundaries(history) if history[:n] in saved)
        self._check(plan, history[:longest], history[longest:])
        self._commit(plan, history[:longest], reply, None, False)

    @rule(namespace=NAMESPACES, session=st.sampled_from(["s", "t"]))
    def forget_a_session(self, namespace: str, session: str) -> None:
        forget(self.store, session, namespace)
        self.named.pop((namespace, session), None)
        labels = self.labels[namespace]
        for holders in labels.values():
            holders.discard(session)
        gone = {leaf for leaf, holders in labels.items() if not holders}
        for leaf in gone:
            del labels[leaf]
        kept = [*labels, *(h for (n, _), h in self.named.items() if n == namespace)]
        self.saved[namespace] = {leaf[:n] for leaf in kept for n in range(len(leaf) + 1)} | {()}
        self.issued = {
            h: (n, path)
            for h, (n, path) in self.issued.items()
            if n != namespace or path in self.saved[namespace]
        }

    # --- what must hold ----------------------------------------------------------------------------

    @invariant()
    def named_sessions_are_where_they_were_left(self) -> None:
        for (namespace, name), history in self.named.items():
            path = self.store.path(self.store.session(name, namespace, create=False))
            assert tuple((m.role, m.text) for m in path) == history

    @invariant()
    def every_session_is_a_name_or_a_branch_of_one(self) -> None:
        for namespace in ("", "eve"):
            for head in self.store.sessions(namespace, limit=1000):
                label = branch_label(head.name)
                assert label in ("", "s", "t") or (namespace, head.name) in self.named

    def _resolve(self, sent: list[HostMessage], namespace: str, session: str | None, explicit: bool) -> Plan:
        return resolve(self.store, sent, namespace=namespace, session=session, explicit=explicit)

    def _check(self, plan: Plan, base: History, new: History) -> None:
        assert tuple((m.role, m.text) for m in plan.new) == new
        path = self.store.path(plan.base_id, plan.namespace) if plan.depth else []
        assert tuple((m.role, m.text) for m in path) == base

    def _commit(self, plan: Plan, base: History, reply: str, session: str | None, explicit: bool) -> None:
        namespace = plan.namespace
        new = [*plan.new, NewMessage("assistant", reply)]
        head = commit(self.store, plan, new, [None] * len(new), "", {}, session=session, explicit=explicit)
        history = (*base, *((m.role, m.text) for m in new))
        assert head.messages == len(history)
        self.saved[namespace] |= {history[:n] for n in range(len(history) + 1)}
        self._remember_holder(head, namespace, history, session, explicit)
        handle = handle_of(head.head_id, head.messages)
        self.issued[handle] = (namespace, history)
        self.clients.append(Known(namespace, history, (*(None for _ in history[:-1]), handle)))

    def _remember_holder(
        self, head: SessionHead, namespace: str, history: History, session: str | None, explicit: bool
    ) -> None:
        if explicit and session is not None:
            old = self.named.get((namespace, session), ())
            if history[: len(old)] != old:
                self.labels[namespace].setdefault(old, set()).add(session)
            self.named[namespace, session] = history
            assert head.name == session
        else:
            self.labels[namespace].setdefault(history, set()).add(session or "")
            assert branch_label(head.name) == (session or "")


Histories.TestCase.settings = settings(
    max_examples=40,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
TestHistories = Histories.TestCase
