"""The conformance kit: what a store promises, as tests that anyone can run over any store URL.

    from loma_memory.testing import StoreConformance

    class TestMyDatabase(StoreConformance):
        @pytest.fixture
        def store_url(self, tmp_path):
            return f"sqlite:///{tmp_path}/chats.db"  # a database that is empty at each test

Each test's first line is the promise that it checks. One class holds one kind of promise.
"""

import pytest

pytest.register_assert_rewrite(
    *(
        f"loma_memory.testing.{module}"
        for module in (
            "appending",
            "branching",
            "bundles",
            "concurrency",
            "conversations",
            "erasure",
            "integrity",
            "isolation",
            "opening",
            "searching",
            "segments",
            "sessions",
            "sizes",
        )
    )
)

from loma_memory.testing.base import Kit  # noqa: E402
from loma_memory.testing.kit import StoreConformance  # noqa: E402

__all__ = ["Kit", "StoreConformance"]
