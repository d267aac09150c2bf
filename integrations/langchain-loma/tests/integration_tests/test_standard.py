"""LangChain's own integration tests of a chat model, on a tiny model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from langchain_loma import ChatLoma
from langchain_tests.integration_tests import ChatModelIntegrationTests
from tiny_chat import save_tiny


class ShortChatLoma(ChatLoma):
    max_tokens: int = 24


@pytest.fixture(scope="module")
def parameters(tiny: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder: Path = tmp_path_factory.mktemp("standard")
    # Replies from memory alone: without an adapter, the method "full" keeps the text itself.
    mine = {"method": "full", "adapter": None, "store": f"sqlite:///{folder}/chats.db"}
    return {k: v for k, v in tiny.items() if k != "max_tokens"} | mine


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_tiny(tmp_path_factory.mktemp("other"), seed=1, positions=8192)


class TestChatLoma(ChatModelIntegrationTests):
    @pytest.fixture(autouse=True)
    def _models(self, parameters: dict[str, Any], other: str) -> None:
        self._params, self._other = parameters, other

    @property
    def chat_model_class(self) -> type[ChatLoma]:
        return ShortChatLoma

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return getattr(self, "_params", {})

    @property
    def model_override_value(self) -> str:
        return getattr(self, "_other", "")

    # Whether tools can be called is the model's affair: its chat template has them, or has not.
    @property
    def has_tool_calling(self) -> bool:
        return False

    @property
    def has_structured_output(self) -> bool:
        return False

    @property
    def supported_usage_metadata_details(self) -> dict[str, Any]:
        return {"invoke": ["cache_read_input"], "stream": ["cache_read_input"]}

    def invoke_with_cache_read_input(self, *, stream: bool = False) -> AIMessage:
        session = self.chat_model_class(**self.chat_model_params).with_session(f"cached {stream}")
        session.invoke("My name is Ada.")
        if not stream:
            return session.invoke("What is my name?")
        whole: Any = None
        for chunk in session.stream("What is my name?"):
            whole = chunk if whole is None else whole + chunk
        assert isinstance(whole, AIMessage)
        return whole
