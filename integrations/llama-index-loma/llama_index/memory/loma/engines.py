"""Chat engines whose memory is the model's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.chat_engine import CondensePlusContextChatEngine, SimpleChatEngine
from llama_index.core.chat_engine.types import BaseChatEngine
from llama_index.llms.loma import LomaLLM
from llama_index.llms.loma.messages import HANDLE
from llama_index.memory.loma.base import LomaMemory

REWRITE = (
    "Rewrite my next message as a question that can be understood without this conversation. "
    "Say nothing else. My next message: {question}"
)
"""How the model is asked for a question that stands alone."""


class LomaChatEngine(SimpleChatEngine):
    """`SimpleChatEngine` with `LomaLLM` and `LomaMemory`."""

    @classmethod
    def from_defaults(  # type: ignore[override]
        cls,
        *,
        llm: LomaLLM | None = None,
        session_id: str | None = None,
        system_prompt: str | None = None,
        chat_history: list[ChatMessage] | None = None,
        prefix_messages: Sequence[ChatMessage] | None = None,
        **kwargs: Any,
    ) -> BaseChatEngine:
        """An engine for one session, which it creates or resumes."""
        llm = llm or LomaLLM()
        memory = LomaMemory.from_defaults(session_id, llm=llm, chat_history=chat_history)
        return super().from_defaults(
            llm=llm,
            memory=memory,
            system_prompt=system_prompt,
            prefix_messages=list(prefix_messages) if prefix_messages is not None else None,
            **kwargs,
        )


class LomaCondensePlusContextChatEngine(CondensePlusContextChatEngine):
    """`CondensePlusContextChatEngine` that condenses from the model's memory.

    LlamaIndex's own puts the history into the prompt as text; there is none to put when it is in memory.
    """

    def _condense_question(self, chat_history: list[ChatMessage], latest_message: str) -> str:
        if self._skip_condense or not _said(chat_history):
            return latest_message
        asked = _asked(chat_history, latest_message)
        return str(self._llm.chat(asked, **self._aside()).message.content)

    async def _acondense_question(self, chat_history: list[ChatMessage], latest_message: str) -> str:
        if self._skip_condense or not _said(chat_history):
            return latest_message
        asked = _asked(chat_history, latest_message)
        return str((await self._llm.achat(asked, **self._aside())).message.content)

    def _aside(self) -> dict[str, Any]:
        """Keywords of a call that is no part of the conversation."""
        return {"save": False} if isinstance(self._llm, LomaLLM) else {}


def _said(chat_history: list[ChatMessage]) -> bool:
    """Whether anything was said before."""
    return any(m.content or m.additional_kwargs.get(HANDLE, {}).get("memory_id") for m in chat_history)


def _asked(chat_history: list[ChatMessage], question: str) -> list[ChatMessage]:
    return [*chat_history, ChatMessage(role="user", content=REWRITE.format(question=question))]
