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
ROUNDS = 4
BOUND_MS, SHARE = 5.0, 0.4
"""What may come on top of a plain turn; where one takes over 12.5 ms, on a busy machine, in proportion."""


def bound(cost: dict[str, float]) -> float:
    """Milliseconds that another way may take longer than a plain turn."""
    return max(BOUND_MS, SHARE * cost["Chatbot"])


@pytest.mark.slow
def test_a_turn_costs_little_more_than_in_plain_python(
    tiny: dict[str, Any], store_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Least CPU time of many turns in up to four rounds: what else the machine does only adds to it."""
    model = ChatLoma(**tiny, store=store_url)
    llm = LomaLLM(**tiny, store=store_url)
    settings = ReplySettings(Sampling(repetition_penalty=1.1), tiny["max_tokens"])
    bot = Chatbot(tiny["model"], store=model.host().store, engine=model.host().engine, settings=settings)

    def a_round(number: int) -> dict[str, float]:
        """Least milliseconds of a turn, each way in a session of its own."""
        history: list[Any] = []
        messages: list[ChatMessage] = []

        def resend(text: str) -> None:
            history.append(HumanMessage(text))
            history.append(model.invoke(history))

        def resend_to_llama_index(text: str) -> None:
            messages.append(ChatMessage(role="user", content=text))
            messages.append(llm.chat(messages).message)

        ways: dict[str, Callable[[str], Any]] = {
            "Chatbot": bot.session(f"plain {number}").send,
            "ChatLoma, session": model.with_session(f"chain {number}").invoke,
            "ChatLoma, whole history": resend,
            "LomaLLM, whole history": resend_to_llama_index,
            "LomaChatEngine": LomaChatEngine.from_defaults(llm=llm, session_id=f"engine {number}").chat,
        }
        took: dict[str, list[float]] = {name: [] for name in ways}
        for turn in range(TURNS):
            for name, say in ways.items():  # in turns, so that all meet the same machine
                before = time.process_time()
                say(f"{name} {number} {turn:02}".ljust(40, "."))
                took[name].append(time.process_time() - before)
        return {name: 1000 * min(times[5:]) for name, times in took.items()}

    cost = a_round(0)
    for number in range(1, ROUNDS):
        if max(cost.values()) - cost["Chatbot"] < bound(cost):
            break
        cost = {name: min(ms, cost[name]) for name, ms in a_round(number).items()}
    with capsys.disabled():
        for name, ms in cost.items():
            print(f"\n    {name:24} {ms:6.1f} ms a turn, {ms - cost['Chatbot']:+5.1f} ms", end="")
    for name, ms in cost.items():
        assert ms - cost["Chatbot"] < bound(cost), name
