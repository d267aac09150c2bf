"""The model that the frameworks' tests talk to: tiny and random, with an adapter, made once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_chat import save_tiny, save_tiny_adapter
from tool_template import TOOLS_CHATML


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Keywords of a tiny model with memory."""
    folder = tmp_path_factory.mktemp("tiny")
    model = save_tiny(folder / "model", positions=8192)
    adapter = save_tiny_adapter(model, folder / "adapter")
    return {"model": model, "adapter": adapter, "device": "cpu", "dtype": "float32", "max_tokens": 6}


@pytest.fixture(scope="session")
def tiny_tools(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Keywords of a tiny model whose chat template has tools; it keeps the text itself."""
    model = save_tiny(tmp_path_factory.mktemp("tools"), template=TOOLS_CHATML, positions=8192)
    return {"model": model, "device": "cpu", "dtype": "float32", "max_tokens": 6}


@pytest.fixture
def store_url(tmp_path: Path) -> str:
    """A database of the test's own."""
    return f"sqlite:///{tmp_path}/chats.db"
