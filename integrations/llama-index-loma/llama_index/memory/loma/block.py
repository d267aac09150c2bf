"""`LomaMemoryBlock`: for LlamaIndex's own `Memory`, what falls out of its short-term part."""

from __future__ import annotations

import asyncio
from typing import Any

from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.bridge.pydantic import Field
from llama_index.core.memory import BaseMemoryBlock
from llama_index.memory.loma.log import SessionLog

from loma_memory.resolve import shared_store


class LomaMemoryBlock(BaseMemoryBlock[list[ChatMessage]]):
    """Keeps turns that leave the short-term memory, as one message with a handle.

    Attributes:
        store: database URL, or an open store; as the LLM's.
        namespace: as the LLM's.
        session_id: the session, where `Memory` does not say.
    """

    name: str = Field(default="loma")
    store: Any = Field(default="sqlite:///chats.db")
    namespace: str = ""
    session_id: str = "memory"

    async def _aget(
        self, messages: list[ChatMessage] | None = None, **block_kwargs: Any
    ) -> list[ChatMessage]:
        log = self._log(block_kwargs.get("session_id"))
        return await asyncio.to_thread(log.handle_and_tail)

    async def _aput(self, messages: list[ChatMessage]) -> None:
        named = next((m.additional_kwargs.get("session_id") for m in messages), None)
        await asyncio.to_thread(self._log(named).add, messages)

    async def atruncate(
        self, content: list[ChatMessage], tokens_to_truncate: int
    ) -> list[ChatMessage] | None:
        """Nothing to cut: the message stands for any number of turns."""
        return content

    def _log(self, session: str | None) -> SessionLog:
        opened = shared_store(self.store) if isinstance(self.store, str) else self.store
        return SessionLog(opened, session or self.session_id, self.namespace)
