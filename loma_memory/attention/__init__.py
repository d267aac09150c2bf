"""How memory enters attention: token layouts, mask rules, the SDPA function, rotation of keys."""

from loma_memory.attention.call import AttentionCall, Reading
from loma_memory.attention.function import ATTENTION, register
from loma_memory.attention.layout import MEMORY, SINK, TEXT, TokenLayout

__all__ = ["ATTENTION", "MEMORY", "SINK", "TEXT", "AttentionCall", "Reading", "TokenLayout", "register"]
