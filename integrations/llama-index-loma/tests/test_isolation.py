"""Two users in one process, interleaved: nothing of one reaches the other."""

from __future__ import annotations

from typing import Any

import pytest
from llama_index.core.base.llms.types import ChatMessage
from llama_index.llms.loma import LomaLLM
from llama_index.memory.loma import LomaChatEngine, LomaMemory

TURNS = 50
USERS = {"ada": "walnut", "bob": "pumpkin"}


def test_two_users_of_one_process(
    tiny: dict[str, Any], store_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    llm = LomaLLM(**{**tiny, "max_tokens": 3}, store=store_url)
    engines = {user: LomaChatEngine.from_defaults(llm=llm, session_id=user) for user in USERS}
    for turn in range(TURNS):
        for user, word in USERS.items():
            engines[user].chat(f"{word} {turn}")
            if turn % 10 == 0:  # a side job
                llm.complete(f"Write a title about {word}.")
                llm.chat([ChatMessage(role="user", content=f"Summarise {word}.")])
    foreign = appended = 0
    for user, word in USERS.items():
        said = [m.content for m in LomaMemory.from_defaults(user, llm=llm).get_all()]
        others = [w for name, w in USERS.items() if name != user]
        foreign += sum(w in (text or "") for w in others for text in said)
        appended += sum(text != f"{word} {turn}" for turn, text in enumerate(said[::2]))
        appended += abs(len(said[::2]) - TURNS)
    with capsys.disabled():
        print(f"\n    isolation, LlamaIndex: {foreign} foreign words, {appended} foreign turns", end="")
    assert (foreign, appended) == (0, 0)
