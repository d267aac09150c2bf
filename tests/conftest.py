"""What every test shares: one thread, quiet libraries, and a tiny random model with an adapter."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("house", deadline=None)  # machines differ, and may be busy
settings.load_profile("house")

os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long sizes may take long, on a busy machine too."""
    for item in items:
        if item.get_closest_marker("long"):
            item.add_marker(pytest.mark.timeout(3600))


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """With one core busy, two threads are far slower than one."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Folder of a random two-layer model with a byte tokenizer."""
    from tiny_chat import save_tiny

    return save_tiny(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def tiny_adapter(tiny: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Folder of an untrained memory adapter for `tiny`."""
    from tiny_chat import save_tiny_adapter

    return save_tiny_adapter(tiny, tmp_path_factory.mktemp("adapter"))


@pytest.fixture
def database(tmp_path: Path) -> str:
    """URL of a fresh SQLite file."""
    return f"sqlite:///{tmp_path / 'chats.db'}"


Figure = Callable[[str], None]


@pytest.fixture
def figure(capsys: pytest.CaptureFixture[str]) -> Figure:
    """Prints a measured figure past pytest's capturing."""

    def show(line: str) -> None:
        with capsys.disabled():
            print(f"\n    {line}")

    return show
