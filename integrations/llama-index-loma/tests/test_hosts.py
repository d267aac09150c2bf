"""LomaLLM in LlamaIndex's hosts: every engine, sync and async, streaming and not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from llama_index.core.agent.workflow import ReActAgent
from llama_index.core.base.llms.types import ChatMessage, ChatResponse
from llama_index.core.chat_engine import CondensePlusContextChatEngine, ContextChatEngine, SimpleChatEngine
from llama_index.core.memory import ChatMemoryBuffer, Memory
from llama_index.core.retrievers import BaseRetriever
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode
from llama_index.llms.loma import LomaLLM
from llama_index.memory.loma import (
    LomaChatEngine,
    LomaCondensePlusContextChatEngine,
    LomaMemory,
    LomaMemoryBlock,
)

TURNS = 20


class Documents(BaseRetriever):
    """Two sentences, whatever is asked."""

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        texts = ("The museum opens at nine.", "It is closed on Mondays.")
        return [NodeWithScore(node=TextNode(text=t), score=1.0) for t in texts]


SEEN: list[dict[str, Any]] = []


@pytest.fixture(autouse=True)
def _watch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every finished reply of the model is noted, whatever its host does with it."""
    from llama_index.llms.loma import base

    SEEN.clear()
    respond = base._response

    def noted(*args: Any) -> ChatResponse:
        response = respond(*args)
        SEEN.append(dict(response.raw))
        return response

    monkeypatch.setattr(base, "_response", noted)


@pytest.fixture
def llm(tiny: dict[str, Any], store_url: str) -> LomaLLM:
    return LomaLLM(**tiny, store=store_url)


def question(turn: int) -> str:
    return f"This is question number {turn:02}, and it is as long as all others."


def read(seen: dict[str, Any]) -> int:
    return int(seen["prompt_tokens"] - seen["cached_tokens"])


def fresh_cost(llm: LomaLLM, tmp_path: Path) -> int:
    alone = llm.model_copy(update={"store": f"sqlite:///{tmp_path}/alone.db"})
    alone.chat([ChatMessage(role="user", content=question(1))])
    return read(SEEN.pop())


def loma(llm: LomaLLM) -> Any:
    return LomaMemory.from_defaults("ada", llm=llm)


ENGINES: dict[str, Callable[[LomaLLM], Any]] = {
    "Simple, Memory": lambda llm: SimpleChatEngine.from_defaults(llm=llm, system_prompt="Be kind."),
    "Simple, ChatMemoryBuffer": lambda llm: SimpleChatEngine.from_defaults(
        llm=llm, memory=ChatMemoryBuffer.from_defaults(token_limit=7000)
    ),
    "Simple, LomaMemory": lambda llm: SimpleChatEngine.from_defaults(llm=llm, memory=loma(llm)),
    "LomaChatEngine": lambda llm: LomaChatEngine.from_defaults(llm=llm, session_id="ada"),
    "Context, Memory": lambda llm: ContextChatEngine.from_defaults(retriever=Documents(), llm=llm),
    "Context, LomaMemory": lambda llm: ContextChatEngine.from_defaults(
        retriever=Documents(), llm=llm, memory=loma(llm)
    ),
    "CondensePlusContext, Memory": lambda llm: CondensePlusContextChatEngine.from_defaults(
        retriever=Documents(), llm=llm, skip_condense=True
    ),
    "LomaCondensePlusContext": lambda llm: LomaCondensePlusContextChatEngine.from_defaults(
        retriever=Documents(), llm=llm, memory=loma(llm)
    ),
}


def chat(engine: Any, text: str) -> str:
    return str(engine.chat(text))


def stream(engine: Any, text: str) -> str:
    response = engine.stream_chat(text)
    said = "".join(response.response_gen)
    if response.write_response_to_history_thread is not None:
        response.write_response_to_history_thread.join()
    return said


async def achat(engine: Any, text: str) -> str:
    return str(await engine.achat(text))


async def astream(engine: Any, text: str) -> str:
    response = await engine.astream_chat(text)
    pieces = [piece async for piece in response.async_response_gen()]
    if response.awrite_response_to_history_task is not None:
        await response.awrite_response_to_history_task
    return "".join(pieces)


WAYS: dict[str, Callable[[Any, str], str | Awaitable[str]]] = {
    "chat": chat,
    "stream_chat": stream,
    "achat": achat,
    "astream_chat": astream,
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ENGINES)
async def test_turn_20_reads_only_the_new_message(
    name: str, way: str, llm: LomaLLM, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cost = fresh_cost(llm, tmp_path)
    engine = ENGINES[name](llm)
    turns = TURNS if way == "chat" else 4
    for turn in range(1, turns + 1):
        said = WAYS[way](engine, question(turn))
        if not isinstance(said, str):
            said = await said
    with capsys.disabled():
        line = f"{name:28} {way:12} | {SEEN[-1]['path']:6} | {read(SEEN[-1]):4} tokens"
        print(f"\n    LlamaIndex: {line} at turn {turns}", end="")
    assert read(SEEN[-1]) == cost
    assert SEEN[-1]["path"] != "fresh"
    users = [m.content for m in engine.chat_history if m.role == "user"]
    if "Loma" in name:
        assert [m.content for m in loma(llm).get_all() if m.role == "user"] == [
            question(t) for t in range(1, turns + 1)
        ]
    else:
        assert users == [question(t) for t in range(1, turns + 1)]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of LlamaIndex itself
async def test_an_agent_reads_only_what_is_new(llm: LomaLLM, tmp_path: Path) -> None:
    agent = ReActAgent(tools=[], llm=llm)
    memory = loma(llm)
    for turn in range(3):
        await agent.run(user_msg=question(turn), memory=memory)
    assert SEEN[-1]["path"] == "handle"
    assert len([m for m in memory.get_all() if m.role == "user"]) == 3


async def test_stock_memory_hands_old_turns_to_the_block(llm: LomaLLM, tmp_path: Path) -> None:
    cost = fresh_cost(llm, tmp_path)
    block = LomaMemoryBlock(store=llm.store)
    memory = Memory.from_defaults(
        session_id="ada", token_limit=600, token_flush_size=100, memory_blocks=[block]
    )
    engine = SimpleChatEngine.from_defaults(llm=llm, memory=memory)
    for turn in range(1, 13):
        await engine.achat(question(turn))
    assert len(block._log("ada").path()) > 4
    assert SEEN[-1]["path"] == "handle"
    assert read(SEEN[-1]) == cost


async def test_the_event_loop_goes_on(llm: LomaLLM) -> None:
    await llm.achat([ChatMessage(role="user", content="Load the model.")])
    gaps, last = [], time.perf_counter()

    async def tick() -> None:
        nonlocal last
        while True:
            await asyncio.sleep(0.005)
            now = time.perf_counter()
            gaps.append(now - last)
            last = now

    ticking = asyncio.create_task(tick())
    started = time.perf_counter()
    await llm.achat([ChatMessage(role="user", content="word " * 300)], max_tokens=60)
    took = time.perf_counter() - started
    ticking.cancel()
    assert len(gaps) > 3
    assert max(gaps) < max(0.5 * took, 0.25)


def test_reset_erases_the_session_and_its_branches(llm: LomaLLM) -> None:
    engine = LomaChatEngine.from_defaults(llm=llm, session_id="ada")
    engine.chat("My name is Ada.")
    engine.chat("What is my name?")
    engine.reset()
    assert llm.host().store.sessions() == []


def test_memory_is_resumed_by_name(llm: LomaLLM) -> None:
    LomaChatEngine.from_defaults(llm=llm, session_id="ada").chat("My name is Ada.")
    engine = LomaChatEngine.from_defaults(llm=llm, session_id="ada")
    engine.chat("What is my name?")
    assert SEEN[-1]["path"] == "handle"
    memory = LomaMemory.from_dict(loma(llm).to_dict())
    assert len(memory.get_all()) == 4


def test_another_history_replaces_the_session(llm: LomaLLM) -> None:
    engine = LomaChatEngine.from_defaults(llm=llm, session_id="ada")
    engine.chat("One.")
    history = [ChatMessage(role="user", content="Two."), ChatMessage(role="assistant", content="Yes.")]
    engine.chat("Three.", chat_history=history)
    assert [m.content for m in loma(llm).get_all()][:3] == ["Two.", "Yes.", "Three."]


def test_completing_leaves_nothing_behind(llm: LomaLLM) -> None:
    assert llm.complete("Once upon a time").text
    assert llm.host().store.sessions() == []
