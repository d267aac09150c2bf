"""Tools: which ones a call may use, and the calls of a reply as LangChain takes them."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import ToolCall
from langchain_core.messages.tool import tool_call

from loma_memory.resolve import HostReply


@dataclass(frozen=True)
class Choice:
    """The tools of a call.

    Attributes:
        tools: their schemas.
        only: the tool that has to be called, "" for any of them; None where none has to be.
    """

    tools: tuple[dict[str, Any], ...] = ()
    only: str | None = None


def choose(tools: list[dict[str, Any]] | None, choice: Any) -> Choice:
    """What `tools` and `tool_choice` of a call come to.

    Raises:
        ValueError: the choice is none of the tools.
    """
    if not tools or choice == "none":
        return Choice()
    names = [tool["function"]["name"] for tool in tools]
    if choice in (None, False, "auto"):
        return Choice(tuple(tools))
    if isinstance(choice, dict):
        choice = choice.get("function", {}).get("name")
    if choice in (True, "any", "required"):
        choice = names[0] if len(names) == 1 else ""
    if choice and choice not in names:
        raise ValueError(f"tool_choice must be one of {', '.join(names)}, auto, any or none, got {choice!r}")
    return Choice(tuple(tools), choice)


def tool_calls(reply: HostReply) -> list[ToolCall]:
    """The calls of a finished reply."""
    return [tool_call(name=c.name, args=c.arguments, id=f"call_{uuid.uuid4().hex[:24]}") for c in reply.calls]
