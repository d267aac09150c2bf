"""Stats."""

from __future__ import annotations

from loma_memory.store import Stats, Store
from loma_memory.testing.base import Kit, say, talk


class Sizes(Kit):
    """Sizes add up."""

    def test_an_empty_store_has_no_size(self, store: Store) -> None:
        """All sizes of an empty store are 0."""
        assert store.stats() == Stats(0, 0, 0, 0, 0, 0, 0)

    def test_a_session_has_its_sizes(self, store: Store) -> None:
        """A session's sizes are those of its own conversation."""
        head = talk(store, store.session("ada"), 2)
        talk(store, store.session("other"), 5, "else")
        stats = store.stats(head)
        assert (stats.sessions, stats.turns, stats.messages, stats.segments) == (1, 2, 4, 4)
        assert (stats.slots, stats.segment_bytes) == (2 + 3 + 3 + 4, 4 * 64)
        assert stats.characters == len("question 1answer 1question 2answer 2")

    def test_an_empty_session_has_no_size(self, store: Store) -> None:
        """An empty session counts as one session and nothing else."""
        assert store.stats(store.session("ada")) == Stats(1, 0, 0, 0, 0, 0, 0)

    def test_an_unknown_namespace_has_no_size(self, store: Store) -> None:
        """All sizes of an unknown namespace are 0."""
        assert store.stats(namespace="nowhere") == Stats(0, 0, 0, 0, 0, 0, 0)

    def test_the_whole_is_the_sum_of_its_namespaces(self, store: Store) -> None:
        """The database's sizes are the sums of its namespaces' sizes."""
        talk(store, store.session("ada", "a"), 2)
        talk(store, store.session("ada", "b"), 3)
        a, b, whole = store.stats(namespace="a"), store.stats(namespace="b"), store.stats()
        assert (a.messages, b.messages, whole.messages) == (4, 6, 10)
        assert whole.slots == a.slots + b.slots
        assert whole.segment_bytes == a.segment_bytes + b.segment_bytes

    def test_all_fingerprints_count(self, store: Store) -> None:
        """Segments of all models count."""
        head = talk(store, store.session("ada"), 1)
        talk(store, store.session("b"), 1, fingerprint="model-b")
        assert store.stats(head).segments == 4

    def test_stats_follow_the_session(self, store: Store) -> None:
        """Stats are those of the session as it is, not as the caller knew it."""
        old = say(store, store.session("ada"), "a")
        say(store, old, "b")
        assert store.stats(old).turns == 2
