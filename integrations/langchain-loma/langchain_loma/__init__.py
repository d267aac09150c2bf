"""LangChain on a local model that remembers: chat model, agent middleware, text model, history, memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

try:
    import langchain_core  # noqa: F401
except ImportError as error:
    raise ImportError("langchain_loma needs langchain-core: pip install 'loma-memory[langchain]'") from error

if TYPE_CHECKING:
    from langchain_loma.chat_models import ChatLoma
    from langchain_loma.history import LomaChatMessageHistory
    from langchain_loma.llms import LomaLLM
    from langchain_loma.middleware import LomaMemoryMiddleware

_HOMES = {
    "ChatLoma": "chat_models",
    "LomaChatMessageHistory": "history",
    "LomaLLM": "llms",
    "LomaMemoryMiddleware": "middleware",
}

__all__ = ["ChatLoma", "LomaChatMessageHistory", "LomaLLM", "LomaMemoryMiddleware"]


def __getattr__(name: str) -> Any:
    # The middleware needs langchain, the chat model langchain-core only: each is imported when asked for.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
