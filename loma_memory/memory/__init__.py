"""Memory as immutable values: segments, states, positions, their bytes at rest, fingerprints."""

from loma_memory.memory.segment import Segment
from loma_memory.memory.state import Entry, MemoryState

__all__ = ["Entry", "MemoryState", "Segment"]
