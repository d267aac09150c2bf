"""Many tenants at once: what each is told and remembers is what it would be alone.

Tenants talk from several threads through one engine and one database. Replies are given up half way,
sessions are thrown out of memory and restored in the middle. At the end every transcript, search and
statistic is looked at for words of others, and every memory and its logits are compared, bit for bit,
with the same conversation held alone.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from loma_memory import Chatbot
from loma_memory.engine.decode import logits
from loma_memory.engine.engine import Engine
from loma_memory.engine.replies import ReplySettings
from loma_memory.session import ChatSession
from loma_memory.store import Store

Figure = Callable[[str], None]
SETTINGS = ReplySettings(max_tokens=2)
THREADS = 8


def canary(tenant: int) -> str:
    return f"canary{tenant:03d}"


def script(tenant: int, turns: int) -> list[tuple[str, str]]:
    """What a tenant does: (what, text)."""
    draw = random.Random(tenant)
    steps = []
    for turn in range(turns):
        if draw.random() < 0.15:
            steps.append(("given up", f"{canary(tenant)} is never said {turn}"))
        if draw.random() < 0.15:
            steps.append(("thrown out", ""))
        steps.append(("said", f"{canary(tenant)} {draw.choice('abcdefgh') * draw.randint(1, 6)} {turn}"))
    return steps


def act(engine: Engine, store: Store, tenant: int, steps: list[tuple[str, str]]) -> tuple[ChatSession, int]:
    """Do a part of a script; the session, and how often it was restored."""

    def open_session() -> ChatSession:
        bot = Chatbot(store=store, engine=engine, settings=SETTINGS, namespace=f"tenant {tenant}")
        return bot.session("chat")

    session, restored = open_session(), 0
    for what, text in steps:
        if what == "said":
            session.send(text)
        elif what == "given up":
            reply = session.stream(text)
            next(reply, None)
            reply.close()
        else:
            session, restored = open_session(), restored + 1
    return session, restored


def next_logits(engine: Engine, session: ChatSession) -> torch.Tensor:
    """Logits of a reply's first token to a question that everybody asks."""
    form = engine.loaded.format
    turn = [form.message_ids("user", "What do you know?"), form.prefix_ids("assistant")]
    done = engine.reader.run([session.state], [turn])
    return logits(engine.loaded.model, done.hidden[:, -1])[0]


@pytest.mark.parametrize(
    ("tenants", "turns"), [(24, 6), pytest.param(100, 100, marks=pytest.mark.long)], ids=["always", "long"]
)
def test_tenants_are_as_if_alone(
    tiny: str, tiny_adapter: str, tmp_path: Path, tenants: int, turns: int, figure: Figure
) -> None:
    engine = Engine.load(tiny, adapter=tiny_adapter, device="cpu", dtype="float32")
    scripts = [script(t, turns) for t in range(tenants)]
    with Store.open(f"sqlite:///{tmp_path / 'crowd.db'}") as store:

        def tenant(number: int) -> tuple[ChatSession, int, torch.Tensor]:
            session, restored = act(engine, store, number, scripts[number])
            return session, restored, next_logits(engine, session)  # while the others go on

        with ThreadPoolExecutor(THREADS) as pool:
            crowd = list(pool.map(tenant, range(tenants)))

        crossed = 0
        for number, (session, _, _) in enumerate(crowd):
            said = [text for what, text in scripts[number] if what == "said"]
            history = session.history()
            assert [m.text for m in history if m.role == "user"] == said
            assert not any("never" in m.text for m in history)
            space = f"tenant {number}"
            crossed += sum(canary(number) not in m.text for m in history if m.role == "user")
            crossed += len(store.search(canary((number + 1) % tenants), space))
            assert store.stats(namespace=space).turns == turns
            assert [head.name for head in store.sessions(space)] == ["chat"]

    compared = range(0, tenants, max(1, tenants // 12))
    with Store.open(f"sqlite:///{tmp_path / 'alone.db'}") as store:
        for number in compared:
            alone, _ = act(engine, store, number, scripts[number])
            session, _, under_load = crowd[number]
            assert len(alone.state.segments) == len(session.state.segments)
            for n, (a, b) in enumerate(zip(alone.state.segments, session.state.segments, strict=True)):
                worst = float((a.keys - b.keys).abs().max()) if a.keys.shape == b.keys.shape else None
                assert a.equal(b), f"tenant {number}, message {n}: keys differ by {worst}"
            assert torch.equal(next_logits(engine, alone), under_load)
    assert crossed == 0
    figure(
        f"{tenants} namespaces x {turns} turns, {THREADS} threads, "
        f"{sum(s[0] == 'given up' for x in scripts for s in x)} replies given up, "
        f"{sum(r for _, r, _ in crowd)} sessions thrown out and restored: {crossed} canaries crossed; "
        f"memory and logits of {len(compared)} equal, bit for bit, to those held alone"
    )
