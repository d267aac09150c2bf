"""ChatLoma in LangChain's hosts: at every turn only what is new is read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.prompts import ChatPromptTemplate
from langchain_loma import ChatLoma, LomaChatMessageHistory, LomaLLM, LomaMemoryMiddleware
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver

from loma_memory.errors import ModelError
from loma_memory.store import Store

TURNS = 20


@pytest.fixture
def model(tiny: dict[str, Any], store_url: str) -> ChatLoma:
    return ChatLoma(**tiny, store=store_url)


def question(turn: int) -> str:
    return f"This is question number {turn:02}, and it is as long as all others."


def fresh_cost(model: BaseChatModel, tmp_path: Path) -> int:
    """Tokens of one such question, template included, asked of nothing."""
    alone = model.model_copy(update={"store": f"sqlite:///{tmp_path}/alone.db"})
    return new_tokens(alone.invoke(question(1)))


def new_tokens(reply: Any) -> int:
    usage = reply.usage_metadata
    return int(usage["input_tokens"] - usage["input_token_details"]["cache_read"])


Say = Callable[[str], AIMessage]


def resent(model: ChatLoma) -> Say:
    history: list[Any] = [SystemMessage("You are kind.")]

    def say(text: str) -> AIMessage:
        history.append(HumanMessage(text))
        history.append(model.invoke(history))
        return history[-1]  # type: ignore[no-any-return]

    return say


def resent_without_handles(model: ChatLoma) -> Say:
    history: list[Any] = []

    def say(text: str) -> AIMessage:
        reply = model.invoke([*history, HumanMessage(text)])
        history.extend([HumanMessage(text), AIMessage(reply.content)])
        return reply

    return say


def bound(model: ChatLoma) -> Say:
    session = model.with_session("ada")
    return lambda text: session.invoke(text)


def streamed(model: ChatLoma) -> Say:
    session = model.with_session("ada")

    def say(text: str) -> AIMessage:
        whole: Any = None
        for chunk in session.stream(text):
            whole = chunk if whole is None else whole + chunk
        return whole  # type: ignore[no-any-return]

    return say


def chain(model: ChatLoma) -> Say:
    made = ChatPromptTemplate([("system", "You are kind."), ("human", "{q}")]) | model
    return lambda text: made.invoke({"q": text}, config={"configurable": {"session_id": "ada"}})


def runnable_with_history(model: ChatLoma) -> Say:
    from langchain_core.runnables.history import RunnableWithMessageHistory

    with pytest.warns(DeprecationWarning, match="deprecated"):
        made = RunnableWithMessageHistory(
            model, lambda session_id: LomaChatMessageHistory(session_id, model.store)
        )
    config: Any = {"configurable": {"session_id": "ada"}}
    return lambda text: made.invoke([HumanMessage(text)], config=config)


def agent_with(**options: Any) -> Callable[[ChatLoma], Say]:
    def host(model: ChatLoma) -> Say:
        middleware = [LomaMemoryMiddleware(**options)] if options else []
        agent = create_agent(
            model, [], system_prompt="You are kind.", middleware=middleware, checkpointer=InMemorySaver()
        )
        config: Any = {"configurable": {"thread_id": "ada"}}

        def say(text: str) -> AIMessage:
            return agent.invoke({"messages": [HumanMessage(text)]}, config)["messages"][-1]  # type: ignore[no-any-return]

        return say

    return host


def conversation_chain(model: ChatLoma) -> Say:
    from langchain_classic.chains import ConversationChain
    from langchain_loma.classic import PROMPT, LomaMemory

    seen: list[AIMessage] = []
    with pytest.warns(DeprecationWarning, match="deprecated"):
        made = ConversationChain(
            llm=model.with_session("ada") | (lambda m: seen.append(m) or m),
            memory=LomaMemory(session_id="ada", store=model.store),
            prompt=PROMPT,
        )

    def say(text: str) -> AIMessage:
        made.invoke({"input": text})
        return seen[-1]

    return say


HOSTS: dict[str, tuple[Callable[[ChatLoma], Say], str]] = {
    "list of messages": (resent, "handle"),
    "list without handles": (resent_without_handles, "prefix"),
    "with_session": (bound, "append"),
    "with_session, streamed": (streamed, "append"),
    "prompt | model": (chain, "append"),
    "RunnableWithMessageHistory": (runnable_with_history, "handle"),
    "create_agent": (agent_with(), "handle"),
    "create_agent, window=2": (agent_with(window=2), "handle"),
    "create_agent, prune_state": (agent_with(prune_state=True), "handle"),
    "ConversationChain": (conversation_chain, "append"),
}


@pytest.mark.parametrize("name", HOSTS)
def test_turn_20_reads_only_the_new_message(
    name: str, model: ChatLoma, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    host, path = HOSTS[name]
    say = host(model)
    for turn in range(1, TURNS + 1):
        reply = say(question(turn))
    read = new_tokens(reply)
    with capsys.disabled():
        print(
            f"\n    LangChain: {name:28} | {reply.response_metadata['memory_path']:6} | {read:4} tokens",
            end="",
        )
    assert reply.response_metadata["memory_path"] == path
    assert read == fresh_cost(model, tmp_path)


async def test_async_calls_share_the_memory(model: ChatLoma) -> None:
    session = model.with_session("ada")
    await session.ainvoke("One.")
    whole: Any = None
    async for chunk in session.astream("Two."):
        whole = chunk if whole is None else whole + chunk
    assert whole.response_metadata["memory_path"] == "append"
    agent = create_agent(
        model, [], middleware=[LomaMemoryMiddleware(window=1, prune_state=True)], checkpointer=InMemorySaver()
    )
    config: Any = {"configurable": {"thread_id": "t"}}
    for turn in range(3):
        state = await agent.ainvoke({"messages": [HumanMessage(question(turn))]}, config)
    assert state["messages"][-1].response_metadata["memory_path"] == "handle"
    assert len(state["messages"]) == 2


def test_a_restarted_agent_goes_on(model: ChatLoma, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANGGRAPH_STRICT_MSGPACK", "true")
    config: Any = {"configurable": {"thread_id": "ada"}}
    for turn in range(2):
        with SqliteSaver.from_conn_string(f"{tmp_path}/checkpoints.db") as saver:
            agent = create_agent(model, [], checkpointer=saver)
            state = agent.invoke({"messages": [HumanMessage(question(turn))]}, config)
    assert state["messages"][-1].response_metadata["memory_path"] == "handle"


def test_time_travel_forks_the_memory(model: ChatLoma) -> None:
    agent = create_agent(model, [], checkpointer=InMemorySaver())
    config: Any = {"configurable": {"thread_id": "ada"}}
    for turn in range(3):
        agent.invoke({"messages": [HumanMessage(question(turn))]}, config)
    past = next(s for s in agent.get_state_history(config) if len(s.values["messages"]) == 2 and not s.next)
    state = agent.invoke({"messages": [HumanMessage("Another way.")]}, past.config)
    assert state["messages"][-1].response_metadata["memory_path"] == "handle"
    assert len(state["messages"]) == 4
    texts = [m.text for m in Store.open(model.store).path(model.host().store.sessions(like="ada")[0])]
    assert texts[0] == question(0)
    assert texts[2] == "Another way."


def test_checkpoints_of_a_pruned_agent_stay_small(
    model: ChatLoma, capsys: pytest.CaptureFixture[str]
) -> None:
    saver = InMemorySaver()
    middleware = LomaMemoryMiddleware(prune_state=True)
    agent = create_agent(model, [], middleware=[middleware], checkpointer=saver)
    config: Any = {"configurable": {"thread_id": "ada"}}
    sizes = []
    for turn in range(1, 31):
        agent.invoke({"messages": [HumanMessage(question(turn))]}, config)
        checkpoint = saver.get_tuple(config)
        assert checkpoint is not None
        kept = checkpoint.checkpoint["channel_values"]["messages"]
        sizes.append(len(saver.serde.dumps_typed(kept)[1]))
    with capsys.disabled():
        print(
            f"\n    checkpoint with prune_state: {sizes[1]} bytes at turn 2, {sizes[-1]} at turn 30", end=""
        )
    assert len(kept) == 2
    assert abs(sizes[-1] - sizes[1]) < 64  # replies differ in length by a few bytes


def test_a_text_model_remembers_in_a_session_only(tiny: dict[str, Any], store_url: str) -> None:
    llm = LomaLLM(**tiny, store=store_url)
    llm.invoke("Nothing of this is kept.")
    assert llm.host().store.sessions() == []
    session = llm.with_session("ada")
    session.invoke("One.")
    assert "".join(session.stream("Two."))
    llm.batch(["Three."], config=[{"configurable": {"session_id": "ada"}}])
    head = llm.host().store.session("ada")
    assert [m.text for m in llm.host().store.path(head) if m.role == "user"] == ["One.", "Two.", "Three."]


def test_a_stream_that_is_broken_off_leaves_nothing(model: ChatLoma) -> None:
    pieces = model.with_session("ada").stream("One.")
    next(pieces)
    pieces.close()  # type: ignore[attr-defined]
    assert model.host().store.sessions() == []


def test_forgetting_a_thread_erases_it(model: ChatLoma) -> None:
    say = agent_with()(model)
    say("My name is Ada.")
    say("What is my name?")
    assert model.forget("ada") == 1
    assert model.host().store.sessions() == []


def test_tools_need_a_model_made_for_them(model: ChatLoma) -> None:
    def look(key: str) -> str:
        """Look something up."""
        return key

    with pytest.raises(ModelError, match="has no tools"):
        model.bind_tools([look]).invoke("Look up Ada.")
