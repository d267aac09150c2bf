"""Memory as immutable values: segments, states, positions, their bytes at rest, fingerprints."""

from loma_memory.memory.segment import Segment
from loma_memory.memory.state import MemoryState

__all__ = ["MemoryState", "Segment"]
