"""The conditional LoRA: plain PEFT on disk, gated on memory tokens at work."""

from loma_memory.adapter.adapter import MemoryAdapter
from loma_memory.adapter.settings import AdapterSettings

__all__ = ["AdapterSettings", "MemoryAdapter"]
