"""All promises in one class."""

from __future__ import annotations

from loma_memory.testing.appending import Appending
from loma_memory.testing.branching import Branching
from loma_memory.testing.bundles import Bundles
from loma_memory.testing.concurrency import Concurrency
from loma_memory.testing.conversations import Conversations
from loma_memory.testing.erasure import Erasure
from loma_memory.testing.integrity import Integrity
from loma_memory.testing.isolation import Isolation
from loma_memory.testing.opening import Opening
from loma_memory.testing.searching import Searching
from loma_memory.testing.segments import Segments
from loma_memory.testing.sessions import Sessions
from loma_memory.testing.sizes import Sizes


class StoreConformance(
    Opening,
    Sessions,
    Appending,
    Conversations,
    Segments,
    Branching,
    Erasure,
    Searching,
    Bundles,
    Sizes,
    Isolation,
    Integrity,
    Concurrency,
):
    """Subclass it, give it a fixture `store_url`, and run pytest."""
