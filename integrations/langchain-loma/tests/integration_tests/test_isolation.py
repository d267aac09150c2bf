"""Two users, interleaved, with a graph's side jobs beside them: nothing of one reaches the other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.caches import InMemoryCache
from langchain_core.globals import set_llm_cache
from langchain_core.messages import AIMessage, HumanMessage
from langchain_loma import ChatLoma, LomaMemoryMiddleware
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph

from loma_memory.resolve import branch_label, parse_handle
from loma_memory.resolve.commit import branches

TURNS = 50
USERS = {"ada": "walnut", "bob": "pumpkin"}  # a word of each, in every message of theirs


@pytest.fixture(autouse=True)
def _llm_cache() -> Iterator[None]:
    set_llm_cache(InMemoryCache())
    yield
    set_llm_cache(None)


@pytest.fixture
def model(tiny: dict[str, Any], store_url: str) -> ChatLoma:
    return ChatLoma(**{**tiny, "max_tokens": 3}, store=store_url)


def other(user: str) -> str:
    return next(word for name, word in USERS.items() if name != user)


def texts(model: ChatLoma, reply: AIMessage) -> list[str]:
    handle = parse_handle(reply.response_metadata["memory_id"])
    assert handle is not None
    return [m.text for m in model.host().store.path(handle.message_id)]


def report(capsys: pytest.CaptureFixture[str], host: str, foreign: int, appended: int) -> None:
    with capsys.disabled():
        print(f"\n    isolation, {host}: {foreign} foreign words, {appended} foreign turns", end="")
    assert (foreign, appended) == (0, 0)


def test_one_model_of_two_users(model: ChatLoma, capsys: pytest.CaptureFixture[str]) -> None:
    for turn in range(TURNS):
        for user, word in USERS.items():
            config: Any = {"configurable": {"session_id": user}}
            model.with_session(user).invoke(f"{word} {turn}")
            if turn % 10 == 0:  # a side job that runs under the user's id, and is no part of the chat
                model.invoke(f"Write a title about {word}.", session_id=user, session_ambient=True)
                model.invoke("Hello.", config=config, session_ambient=True, session_id=user)
    foreign = appended = 0
    for user in USERS:
        store = model.host().store
        said = [m.text for m in store.path(store.session(user)) if m.role == "user"]
        foreign += sum(other(user) in text for text in said)
        appended += len(said) - TURNS
        for name in branches(store, user):
            foreign += sum(other(user) in m.text for m in store.path(store.session(name)))
    report(capsys, "one ChatLoma", foreign, appended)


def test_one_graph_of_two_users(model: ChatLoma, capsys: pytest.CaptureFixture[str]) -> None:
    def chat(state: MessagesState) -> dict[str, Any]:
        return {"messages": [model.invoke(state["messages"])]}

    def write_title(state: MessagesState) -> dict[str, Any]:
        model.invoke("Write a title for: " + str(state["messages"][-2].content))
        return {}

    def summarise(state: MessagesState) -> dict[str, Any]:
        model.invoke([*state["messages"][-4:], HumanMessage("Summarise.")])
        return {}

    graph = StateGraph(MessagesState)
    graph.add_node("chat", chat)
    graph.add_node("write_title", write_title)
    graph.add_node("summarise", summarise)
    graph.add_edge(START, "chat")
    graph.add_edge("chat", "write_title")
    graph.add_edge("write_title", "summarise")
    app = graph.compile(checkpointer=InMemorySaver())
    last: dict[str, AIMessage] = {}
    for turn in range(TURNS):
        for user, word in USERS.items():
            config: Any = {"configurable": {"thread_id": user, "session_id": user}}
            state = app.invoke({"messages": [HumanMessage(f"{word} {turn}")]}, config)
            last[user] = state["messages"][-1]
    foreign = appended = 0
    for user, word in USERS.items():
        path = texts(model, last[user])
        foreign += sum(other(user) in text for text in path)
        expected = {f"{word} {turn}" for turn in range(TURNS)}
        appended += sum(text not in expected for text in path[::2]) + abs(len(path[::2]) - TURNS)
    report(capsys, "one LangGraph app", foreign, appended)
    for head in model.host().store.sessions(limit=1000):
        assert branch_label(head.name) in USERS


def test_one_pruned_agent_of_two_users(model: ChatLoma, capsys: pytest.CaptureFixture[str]) -> None:
    agent = create_agent(
        model, [], middleware=[LomaMemoryMiddleware(prune_state=True)], checkpointer=InMemorySaver()
    )
    last: dict[str, AIMessage] = {}
    for turn in range(TURNS):
        for user, word in USERS.items():
            config: Any = {"configurable": {"thread_id": user}}
            last[user] = agent.invoke({"messages": [HumanMessage(f"{word} {turn}")]}, config)["messages"][-1]
    foreign = sum(other(user) in text for user in USERS for text in texts(model, last[user]))
    appended = sum(len(texts(model, last[user])[::2]) - TURNS for user in USERS)
    report(capsys, "one agent, prune_state", foreign, appended)
