"""Chatbots that remember: compressed key/value memory for local models, saved per session in SQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from loma_memory.chat import Chatbot
    from loma_memory.session import ChatSession

__all__ = ["ChatSession", "Chatbot", "__version__"]


def __getattr__(name: str) -> Any:
    # torch and transformers take seconds to import; `import loma_memory` should not.
    if name == "Chatbot":
        from loma_memory.chat import Chatbot

        return Chatbot
    if name == "ChatSession":
        from loma_memory.session import ChatSession

        return ChatSession
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
