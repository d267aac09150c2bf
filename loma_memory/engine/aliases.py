"""Short names for models: the plain one that is fetched, and the one that our text adapter makes of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from loma_memory.adapter import bundled
from loma_memory.engine import fetch, merged

DEFAULT_MODEL = "smollm2-135m-loma"
"""What chat uses when no model is named."""

PLAIN_MODEL = "smollm2-135m-instruct"
"""SmolLM2-135M-Instruct as its makers released it."""


def is_alias(name: str) -> bool:
    """Whether `name` is one of ours rather than a path or a Hugging Face id."""
    return name == DEFAULT_MODEL or fetch.is_alias(name)


def resolve(name: str, *, progress: Callable[[str], None] | None = None) -> Path:
    """The local folder of an alias; fetched, converted or merged at the first call.

    Raises:
        ModelError: it cannot be had.
    """
    if name == DEFAULT_MODEL:
        plain = fetch.fetch(PLAIN_MODEL, progress=progress)
        return merged.merged(plain, bundled.text_adapter(), name, progress=progress)
    return fetch.fetch(name, progress=progress)
