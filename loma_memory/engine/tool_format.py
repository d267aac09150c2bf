"""Tools by the model's own chat template: how they are announced, called, and answered.

In a conversation a call and its result are plain text, in the form that the template gives them, so that
memory and transcript need know nothing of tools.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from loma_memory.engine.chat_format import ChatFormat
from loma_memory.errors import ModelError

_ASKED, _SAID, _GOT, _SYSTEM = "qQx5zZ", "qQx6zZ", "qQx7zZ", "qQx8zZ"
_PROBE: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "qQx9zZ",
        "description": "Looks something up.",
        "parameters": {"type": "object", "properties": {"key": {"type": "string"}}, "required": ["key"]},
    },
}
_TAGGED = re.compile(r"<tool_call>\s*(.*?)\s*(?:</tool_call>|\Z)", re.DOTALL)
_BARE = re.compile(r"\A\s*(?:\[TOOL_CALLS\]|<\|python_tag\|>)?\s*([\[{].*[\]}])\s*\Z", re.DOTALL)


@dataclass(frozen=True)
class ToolCall:
    """A call of a tool.

    Attributes:
        name: the tool.
        arguments: its arguments, plain JSON.
    """

    name: str
    arguments: dict[str, Any]


class ToolFormat:
    """The part of a chat template that deals with tools."""

    def __init__(self, form: ChatFormat, model: str) -> None:
        """`model`: what the user called the model.

        Raises:
            ModelError: its template has no tools.
        """
        self._form = form
        try:
            shown = _PROBE["function"]["name"] in self._render([_user()], [_PROBE])
            called = self.said("", [ToolCall("look", {"key": "qQx0zZ"})]) if shown else ""
        except ModelError:
            called = ""
        if "qQx0zZ" not in called:
            raise ModelError(
                f"the chat template of the model {model!r} has no tools: it can neither call tools nor give "
                "structured output; use an instruction-tuned model that was made for tools"
            )

    def header_ids(self, system: str | None, tools: Sequence[dict[str, Any]]) -> list[int]:
        """Tokens of a header that announces tools, and holds a system prompt if there is one."""
        messages = [{"role": "system", "content": _SYSTEM}] if system else []
        whole = self._render([*messages, _user()], tools)
        before = whole.split(_ASKED)[0]
        before = before[: len(before) - len(self._form.prefixes["user"])]
        encode = self._form.tokenizer
        parts = before.split(_SYSTEM)
        ids = list(encode(parts[0], add_special_tokens=False).input_ids)
        if system and len(parts) == 2:
            ids += self._form.plain(system)
            ids += encode(parts[1], add_special_tokens=False).input_ids
        return ids

    def said(self, content: str, calls: Sequence[ToolCall]) -> str:
        """The text of an assistant's message with calls."""
        message = {
            "role": "assistant",
            "content": _SAID if content else "",
            "tool_calls": [
                {
                    "type": "function",
                    "id": f"call{i:05}",
                    "function": {"name": c.name, "arguments": c.arguments},
                }
                for i, c in enumerate(calls)
            ],
        }
        text = self._after_question([_user(), message])
        prefix, suffix = self._form.prefixes["assistant"], self._form.suffixes["assistant"]
        text = text.removeprefix(prefix.lstrip("\n")).strip()
        text = text.removesuffix(suffix.strip()).strip() if suffix.strip() else text
        if not content:
            return text
        return text.replace(_SAID, content) if _SAID in text else f"{content}\n{text}"

    def opening(self, name: str = "") -> str:
        """What a reply begins with that calls a tool: up to its name, or up to its arguments."""
        said = self.said("", [ToolCall(_SAID, {_GOT: 1})])
        if not name:
            return said.split(_SAID)[0]
        upto = said.split(_GOT)[0]
        return upto[: upto.rindex("{")].replace(_SAID, name)

    def result(self, content: str) -> str:
        """The text of a user's message that gives a tool's result."""
        call = {"type": "function", "id": "call00000", "function": {"name": "look", "arguments": {}}}
        messages = [
            _user(),
            {"role": "assistant", "content": "", "tool_calls": [call]},
            {"role": "tool", "name": "look", "tool_call_id": "call00000", "content": _GOT},
        ]
        prefix, suffix = self._form.prefixes["user"], self._form.suffixes["user"]
        try:
            _, opened, body = self._after_question(messages).rpartition(prefix)
        except ModelError:
            opened, body = "", ""
        if opened and prefix and _GOT in body:
            return body.strip().removesuffix(suffix.strip()).strip().replace(_GOT, content)
        return f"<tool_response>\n{content}\n</tool_response>"

    def parse(self, text: str) -> tuple[str, list[ToolCall]]:
        """What a reply says, and the tools that it calls."""
        calls: list[ToolCall] = []
        for body in _TAGGED.findall(text):
            calls += _calls(body)
        if calls:
            return _TAGGED.sub("", text).strip(), calls
        bare = _BARE.match(text)
        calls = _calls(bare[1]) if bare else []
        return ("", calls) if calls else (text, [])

    def _after_question(self, messages: Sequence[dict[str, Any]]) -> str:
        rest = self._render(messages, None).split(_ASKED)[-1]
        return rest.removeprefix(self._form.suffixes["user"]).lstrip("\n")

    def _render(self, messages: Sequence[dict[str, Any]], tools: Sequence[dict[str, Any]] | None) -> str:
        try:
            return str(
                self._form.tokenizer.apply_chat_template(
                    list(messages),
                    tools=list(tools) if tools else None,
                    tokenize=False,
                    tools_in_user_message=False,  # Llama 3 would put them into the conversation
                )
            )
        except Exception as error:  # the template is the model's own program; anything may come out of it
            raise ModelError(f"the chat template cannot be rendered with tools: {error}") from None


def _user() -> dict[str, Any]:
    return {"role": "user", "content": _ASKED}


def _calls(body: str) -> list[ToolCall]:
    """Calls in a piece of JSON; none where it is no JSON, or says something else."""
    try:
        value = json.loads(body)
    except ValueError:
        return []
    found = []
    for item in value if isinstance(value, list) else [value]:
        if not isinstance(item, dict) or not isinstance(item.get("name"), str):
            return []
        arguments = item.get("arguments", item.get("parameters", {}))
        if not isinstance(arguments, dict):
            return []
        found.append(ToolCall(item["name"], arguments))
    return found
