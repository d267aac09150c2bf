"""Memory for chat engines and agents on `LomaLLM`, and chat engines that use it."""

from llama_index.memory.loma.base import LomaMemory
from llama_index.memory.loma.block import LomaMemoryBlock
from llama_index.memory.loma.engines import LomaChatEngine, LomaCondensePlusContextChatEngine

__all__ = ["LomaChatEngine", "LomaCondensePlusContextChatEngine", "LomaMemory", "LomaMemoryBlock"]
