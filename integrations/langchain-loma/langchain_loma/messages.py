"""LangChain's messages as the core takes them, and replies as LangChain takes them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.messages.ai import InputTokenDetails, UsageMetadata

from loma_memory.engine.tool_format import ToolCall, ToolFormat
from loma_memory.resolve import HostMessage, HostReply

MEMORY_ID = "memory_id"
"""Key in `response_metadata` of a reply: the handle of the conversation that ends with it."""

_ROLES = {"human": "user", "user": "user", "ai": "assistant", "assistant": "assistant", "system": "system"}


def to_host(messages: Sequence[BaseMessage], tools: Callable[[], ToolFormat]) -> list[HostMessage]:
    """Messages for the core.

    Args:
        messages: the request.
        tools: gives the model's tool format; only asked where a message calls a tool or answers one.

    Raises:
        ValueError: a message holds something else than text, or its role is unknown.
        ModelError: tools are used and the model's chat template has none.
    """
    return [_to_host(m, tools) for m in messages]


def handle_in(message: BaseMessage) -> str | None:
    """The handle that a reply carries."""
    if not isinstance(message, AIMessage):
        return None
    handle = message.response_metadata.get(MEMORY_ID)
    return handle if isinstance(handle, str) else None


def is_summary(message: BaseMessage) -> bool:
    """Whether a summarising middleware put this message in the place of older ones."""
    return message.additional_kwargs.get("lc_source") == "summarization"


def metadata(reply: HostReply, model: str, session: str | None) -> dict[str, Any]:
    """`response_metadata` of a finished reply: plain strings, which any checkpointer keeps."""
    found = {
        "model_name": model,
        "model_provider": "loma",
        "finish_reason": "tool_calls" if reply.calls else reply.finish,
        "memory_path": reply.plan.how,
        MEMORY_ID: reply.handle,
        "session_id": session,
    }
    return {key: value for key, value in found.items() if value is not None}


def usage(reply: HostReply) -> UsageMetadata:
    """`usage_metadata` of a finished reply; memory slots are input that was read from a cache."""
    cost = reply.usage
    return UsageMetadata(
        input_tokens=cost.read + cost.cached,
        output_tokens=cost.output,
        total_tokens=cost.read + cost.cached + cost.output,
        input_token_details=InputTokenDetails(cache_read=cost.cached),
    )


def _to_host(message: BaseMessage, tools: Callable[[], ToolFormat]) -> HostMessage:
    text = text_of(message.content)
    if isinstance(message, SystemMessage):
        return HostMessage("system", text)
    if isinstance(message, HumanMessage):
        return HostMessage("user", text, summary=is_summary(message))
    if isinstance(message, AIMessage):
        if message.tool_calls:
            calls = [ToolCall(c["name"], c["args"]) for c in message.tool_calls]
            text = tools().said(text, calls)
        return HostMessage("assistant", text, handle_in(message))
    if isinstance(message, ToolMessage | FunctionMessage):
        return HostMessage("user", tools().result(text))
    if isinstance(message, ChatMessage) and message.role in _ROLES:
        return HostMessage(_ROLES[message.role], text)
    raise ValueError(f"a message must be a human's, an AI's, the system's or a tool's, not {message.type!r}")


def text_of(content: Any) -> str:
    """The text of a message's content.

    Raises:
        ValueError: it holds an image or something else that is no text.
    """
    if isinstance(content, str):
        return content
    parts = []
    for block in content:
        if isinstance(block, str):
            parts.append(block)
        elif block.get("type") == "text":
            parts.append(str(block.get("text", "")))
        elif block.get("type") == "json":
            parts.append(json.dumps(block.get("json")))
        elif block.get("type") not in ("tool_use", "tool_call", "reasoning", "thinking"):
            raise ValueError(
                f"loma-memory reads text only; a message holds a block of type {block.get('type')!r}"
            )
    return "".join(parts)
