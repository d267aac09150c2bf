"""LlamaIndex's messages as the core takes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llama_index.core.base.llms.types import ChatMessage, MessageRole

from loma_memory.resolve import HostMessage

HANDLE = "loma_memory"
"""Key in a message's `additional_kwargs`: `{"memory_id": ..., "session_id": ...}`."""

_ROLES = {
    MessageRole.SYSTEM: "system",
    MessageRole.DEVELOPER: "system",
    MessageRole.USER: "user",
    MessageRole.ASSISTANT: "assistant",
    MessageRole.MODEL: "assistant",
    MessageRole.CHATBOT: "assistant",
    MessageRole.TOOL: "user",
    MessageRole.FUNCTION: "user",
}


def to_host(messages: Sequence[ChatMessage]) -> list[HostMessage]:
    """Messages for the core.

    Raises:
        ValueError: a message holds something else than text.
    """
    return [HostMessage(role_of(m), text_of(m), _about(m).get("memory_id")) for m in messages]


def session_in(messages: Sequence[ChatMessage]) -> str | None:
    """The session that the messages were put under, if any."""
    for message in reversed(messages):
        session = _about(message).get("session_id")
        if session is not None:
            return str(session)
    return None


def role_of(message: ChatMessage) -> str:
    """A message's role in the core's words."""
    return _ROLES.get(message.role, "user")


def text_of(message: ChatMessage) -> str:
    """A message's text.

    Raises:
        ValueError: it holds an image or something else that is no text.
    """
    for block in message.blocks:
        if block.block_type in ("image", "audio", "video", "document"):
            raise ValueError(
                f"loma-memory reads text only; a message holds a block of type {block.block_type!r}"
            )
    return message.content or ""


def _about(message: ChatMessage) -> dict[str, Any]:
    found = message.additional_kwargs.get(HANDLE)
    return found if isinstance(found, dict) else {}
