"""Replies for hosts, on a tiny model: what is read, what is saved, and what is left alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_chat import save_tiny, save_tiny_adapter
from tool_template import TOOLS_CHATML

from loma_memory.engine.engine import Engine
from loma_memory.engine.replies import ReplySettings
from loma_memory.errors import HandleNotFound, ModelError
from loma_memory.resolve import Host, HostMessage, HostReply, Request
from loma_memory.store import Store

SHORT = ReplySettings(max_tokens=5)
TOOL = {"type": "function", "function": {"name": "look", "description": "Looks.", "parameters": {}}}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    folder = tmp_path_factory.mktemp("tiny")
    model = save_tiny(folder / "model")
    adapter = save_tiny_adapter(model, folder / "adapter")
    return Engine.load(model, adapter=adapter, device="cpu", dtype="float32")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(f"sqlite:///{tmp_path}/chats.db")


def ask(host: Host, history: list[HostMessage], text: str, session: str | None = None) -> HostReply:
    history.append(HostMessage("user", text))
    reply = host.answer(Request(history, session=session, settings=SHORT))
    history.append(HostMessage("assistant", reply.text, reply.handle))
    return reply


def test_only_what_is_new_is_read_also_after_a_restart(engine: Engine, store: Store) -> None:
    history: list[HostMessage] = []
    first = ask(Host(engine, store), history, "One.")
    second = ask(Host(engine, store), history, "Two.")
    assert (first.usage.cached, second.usage.reread) == (0, 0)
    assert second.usage.cached > 0
    assert second.usage.read == first.usage.read


def test_memory_does_not_depend_on_who_read_it(engine: Engine, store: Store, tmp_path: Path) -> None:
    history: list[HostMessage] = []
    host = Host(engine, store)
    for text in ("One.", "Two.", "Three."):
        ask(host, history, text)
    with Store.open(f"sqlite:///{tmp_path}/other.db") as other:
        anew = Host(engine, other).answer(Request([*history, HostMessage("user", "Four.")], settings=SHORT))
    kept = ask(host, history, "Four.")
    assert anew.usage.reread > 0
    assert anew.text == kept.text
    assert anew.handle == kept.handle


def test_a_reply_given_up_leaves_nothing(engine: Engine, store: Store) -> None:
    reply = Host(engine, store).reply(Request([HostMessage("user", "One.")], settings=SHORT))
    next(reply)
    reply.close()
    assert store.sessions() == []


def test_a_call_on_the_side_leaves_nothing(engine: Engine, store: Store) -> None:
    reply = Host(engine, store).answer(Request([HostMessage("user", "One.")], settings=SHORT, save=False))
    assert reply.text
    assert reply.handle is None
    assert store.sessions() == []


def test_forgetting_erases_branches_too(engine: Engine, store: Store) -> None:
    host, history = Host(engine, store), []
    ask(host, history, "One.", "ada")
    ask(host, history[:-2], "Another.", "ada")
    assert host.forget("ada") == 2
    assert store.sessions() == []
    assert store.stats().messages == 0


def test_tools_are_refused_where_the_template_has_none(engine: Engine, store: Store) -> None:
    with pytest.raises(ModelError, match="no tools"):
        Host(engine, store).reply(Request([HostMessage("user", "One.")], tools=(TOOL,)))


def test_a_forced_call_is_part_of_the_conversation(tmp_path: Path, store: Store) -> None:
    engine = Engine.load(save_tiny(tmp_path / "m", template=TOOLS_CHATML), device="cpu", dtype="float32")
    host = Host(engine, store)
    begin = engine.tools.opening("look") + '{"key": 1}}\n</tool_call>'
    request = Request([HostMessage("user", "Look.")], settings=SHORT, tools=(TOOL,), begin=begin)
    reply = host.answer(request)
    (call,) = reply.calls
    assert (call.name, call.arguments) == ("look", {"key": 1})
    # The host gives the call back as a value, and its result: the call is found again.
    said = engine.tools.said(reply.content, reply.calls)
    result = HostMessage("user", engine.tools.result("42"))
    after = host.answer(
        Request([HostMessage("user", "Look."), HostMessage("assistant", said), result], settings=SHORT)
    )
    assert after.plan.how == "prefix"
    assert after.usage.reread == 0


def test_what_another_process_has_forgotten_is_not_used(engine: Engine, store: Store) -> None:
    host, history = Host(engine, store), []
    ask(host, history, "My name is Ada.", "ada")
    ask(host, history, "What is my name?", "ada")
    assert Host(engine, store).forget("ada") == 1
    window = [*history[-1:], HostMessage("user", "And now?")]
    with pytest.raises(HandleNotFound):
        host.answer(Request(window, session="ada", settings=SHORT))
