"""LangChain's own unit tests of a chat model."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_loma import ChatLoma
from langchain_tests.unit_tests import ChatModelUnitTests


class TestChatLoma(ChatModelUnitTests):
    @pytest.fixture(autouse=True)
    def _tiny(self, tiny: dict[str, Any]) -> None:
        self._params = {k: v for k, v in tiny.items() if k != "max_tokens"} | {"store": "sqlite://"}

    @property
    def chat_model_class(self) -> type[ChatLoma]:
        return ChatLoma

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return getattr(self, "_params", {"store": "sqlite://"})

    @property
    def init_from_env_params(self) -> tuple[dict[str, str], dict[str, Any], dict[str, Any]]:
        return {"LOMA_STORE": "sqlite:///env.db"}, {}, {"store": "sqlite:///env.db"}
