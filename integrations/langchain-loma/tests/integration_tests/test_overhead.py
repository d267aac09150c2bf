"""What the adapters cost beside the plain Python API."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langchain_loma import ChatLoma
from llama_index.core.base.llms.types import ChatMessage
from llama_index.llms.loma import LomaLLM
from llama_index.memory.loma import LomaChatEngine

from loma_memory.chat import Chatbot
from loma_memory.engine.replies import ReplySettings
from loma_memory.engine.sampling import Sampling

TURNS = 50
ROUND = 10


def rounds(times: list[float]) -> list[list[float]]:
    """The turns in rounds; the first one warms up."""
    return [times[i : i + ROUND] for i in range(ROUND, len(times), ROUND)]


@pytest.mark.slow
def test_a_turn_costs_little_more_than_in_plain_python(
    tiny: dict[str, Any], store_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Least CPU time of many turns: what else the machine does only ever adds to it."""
    model = ChatLoma(**tiny, store=store_url)
    llm = LomaLLM(**tiny, store=store_url)
    settings = ReplySettings(Sampling(repetition_penalty=1.1), tiny["max_tokens"])
    bot = Chatbot(tiny["model"], store=model.host().store, engine=model.host().engine, settings=settings)
    session = model.with_session("chain")
    history: list[Any] = []
    engine = LomaChatEngine.from_defaults(llm=llm, session_id="engine")
    messages: list[ChatMessage] = []

    def resend(text: str) -> None:
        history.append(HumanMessage(text))
        history.append(model.invoke(history))

    def resend_to_llama_index(text: str) -> None:
        messages.append(ChatMessage(role="user", content=text))
        messages.append(llm.chat(messages).message)

    plain = bot.session("plain")
    ways: dict[str, Callable[[str], Any]] = {
        "Chatbot": plain.send,
        "ChatLoma, session": session.invoke,
        "ChatLoma, whole history": resend,
        "LomaLLM, whole history": resend_to_llama_index,
        "LomaChatEngine": engine.chat,
    }
    took: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(TURNS):
        for name, say in ways.items():  # in turns, so that all meet the same machine
            before = time.process_time()
            say(f"{name} {turn:02}".ljust(40, "."))
            took[name].append(time.process_time() - before)
    cost = {name: 1000 * min(times[5:]) for name, times in took.items()}
    with capsys.disabled():
        for name, ms in cost.items():
            print(f"\n    {name:24} {ms:6.1f} ms a turn, {ms - cost['Chatbot']:+5.1f} ms", end="")
    for name, ms in cost.items():
        assert ms - cost["Chatbot"] < 5, name
