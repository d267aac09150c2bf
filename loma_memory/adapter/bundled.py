"""The adapters that come with the package."""

from __future__ import annotations

from pathlib import Path

from loma_memory.errors import AdapterError

_FOLDER = Path(__file__).parent / "bundled_weights"

TEXT = "smollm2-135m-text"
"""Ordinary LoRA that makes SmolLM2-135M-Instruct answer from what it was told; merged at load."""

MEMORY = "smollm2-135m-ccm-concat"
"""Memory adapter for that model."""


def text_adapter() -> Path:
    """Folder of the bundled text adapter."""
    return _folder(TEXT)


def memory_adapter() -> Path:
    """Folder of the bundled memory adapter."""
    return _folder(MEMORY)


def _folder(name: str) -> Path:
    folder = _FOLDER / name
    if not folder.is_dir():
        raise AdapterError(f"the bundled adapter {name} is missing from this installation")
    return folder
