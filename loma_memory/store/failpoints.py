"""Named places between the steps of a write, where a test can stop the process.

Nothing happens at them unless a test has set `hook`.
"""

from __future__ import annotations

from collections.abc import Callable

NAMES = (
    "append.begun",
    "append.messages",
    "append.segments",
    "append.moved",
    "append.committed",
    "replace.moved",
    "replace.erased",
    "replace.committed",
    "erase.deleted",
    "erase.committed",
    "import.messages",
    "rotate.batch",
    "migrate.upgraded",
)

hook: Callable[[str], None] | None = None


def reach(name: str) -> None:
    """Tells the hook, if there is one, that a write has come to this place."""
    if hook is not None:
        hook(name)
