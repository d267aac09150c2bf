"""Tools in the words of a model's own chat template."""

from __future__ import annotations

import pytest
from tiny_chat import CHATML, byte_tokenizer
from tool_template import TOOLS_CHATML

from loma_memory.engine.chat_format import ChatFormat
from loma_memory.engine.tool_format import ToolCall, ToolFormat
from loma_memory.errors import ModelError

WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather of a town.",
        "parameters": {"type": "object", "properties": {"town": {"type": "string"}}},
    },
}


@pytest.fixture
def form() -> ChatFormat:
    return ChatFormat.of(byte_tokenizer(TOOLS_CHATML))


def test_a_model_without_tools_is_named() -> None:
    with pytest.raises(ModelError, match=r"'small'.* has no tools"):
        ToolFormat(ChatFormat.of(byte_tokenizer(CHATML)), "small")


def test_the_header_is_what_the_template_says(form: ChatFormat) -> None:
    text = form.tokenizer.decode(ToolFormat(form, "m").header_ids("Be kind.", [WEATHER]))
    assert text.startswith("<|im_start|>system\nBe kind.\n\n# Tools")
    assert '"name": "weather"' in text
    assert text.endswith("<|im_end|>\n")


def test_calls_are_written_and_read(form: ChatFormat) -> None:
    tools = ToolFormat(form, "m")
    calls = [ToolCall("weather", {"town": "Bonn"}), ToolCall("weather", {"town": "Köln", "days": 3})]
    for content in ("", "Let me look."):
        text = tools.said(content, calls)
        assert "im_start" not in text
        assert "im_end" not in text
        assert tools.parse(text) == (content, calls)


def test_a_call_can_be_begun(form: ChatFormat) -> None:
    tools = ToolFormat(form, "m")
    assert tools.opening() == '<tool_call>\n{"name": "'
    assert tools.opening("weather") == '<tool_call>\n{"name": "weather", "arguments": '


def test_results_are_messages_of_the_user(form: ChatFormat) -> None:
    assert ToolFormat(form, "m").result("rain") == "<tool_response>\nrain\n</tool_response>"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"name": "weather", "parameters": {"town": "Bonn"}}', 1),  # Llama
        ('[TOOL_CALLS] [{"name": "weather", "arguments": {}}]', 1),  # Mistral
        ('<tool_call>\n{"name": "weather", "arguments": {}}', 1),  # cut short
        ('<tool_call>{"name": 3}</tool_call>', 0),
        ("<tool_call>weather</tool_call>", 0),
        ('{"town": "Bonn"}', 0),
        ("It rains.", 0),
    ],
)
def test_what_counts_as_a_call(form: ChatFormat, text: str, found: int) -> None:
    content, calls = ToolFormat(form, "m").parse(text)
    assert len(calls) == found
    assert content == ("" if found else text)
