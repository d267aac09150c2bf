"""Taking a session out as a file, and in again."""

from __future__ import annotations

import hashlib

import pytest

from loma_memory.errors import IntegrityError, SessionExists, UsageError
from loma_memory.store import NewMessage, NewSegment, Store, root_id
from loma_memory.testing.base import FINGERPRINT, SETTINGS, Kit, blobs, memory, say, talk, tamper, texts


class Bundles(Kit):
    """A session moves whole, or not at all."""

    @pytest.fixture
    def packed(self, store: Store) -> bytes:
        """A session of three turns as a file."""
        return store.export_session(talk(store, store.session("ada"), 3))

    def test_a_session_comes_back_whole(self, store: Store, packed: bytes) -> None:
        """Words, times and memory of an imported session are those of the exported one."""
        head = store.session("ada")
        said, kept = store.path(head), store.segments(head, FINGERPRINT)
        store.delete_session("ada")
        again = store.import_session(packed)
        assert (again.name, again.turns, again.messages, again.version) == ("ada", 3, 6, 0)
        assert (store.path(again), store.segments(again, FINGERPRINT)) == (said, kept)
        assert store.verify().ok

    def test_a_session_can_change_its_namespace(self, store: Store, packed: bytes) -> None:
        """In another namespace the words and the memory are the same, and the ids are not."""
        head = store.import_session(packed, namespace="other")
        assert head.namespace == "other"
        assert texts(store, head) == texts(store, store.session("ada"))
        assert blobs(store, head) == blobs(store, store.session("ada"))
        assert store.path(head)[0].parent_id == root_id("other")

    def test_a_session_can_change_its_name(self, store: Store, packed: bytes) -> None:
        """An imported session may get a new name, and then shares all its rows."""
        head = store.import_session(packed, "copy")
        assert (head.name, head.head_id) == ("copy", store.session("ada").head_id)
        assert store.stats().messages == 6

    def test_a_session_in_the_way_is_kept(self, store: Store, packed: bytes) -> None:
        """A name that is taken is an error, and nothing is changed."""
        before = store.stats(), store.session("ada")
        with pytest.raises(SessionExists):
            store.import_session(packed)
        assert (store.stats(), store.session("ada")) == before

    def test_a_bad_name_is_refused(self, store: Store, packed: bytes) -> None:
        """The rules for names hold for imports."""
        with pytest.raises(UsageError):
            store.import_session(packed, "a\nb")
        with pytest.raises(UsageError):
            store.import_session(packed, "a", "b\x00")

    def test_an_empty_session_moves_too(self, store: Store) -> None:
        """A session without messages can be exported and imported."""
        head = store.import_session(store.export_session(store.session("ada")), "copy")
        assert (head.turns, head.head_id) == (0, root_id(""))

    def test_memory_of_all_models_moves(self, store: Store) -> None:
        """Segments under all fingerprints are in the file."""
        head = talk(store, store.session("ada"), 1)
        store.put_segments(head, {head.head_id: NewSegment(1, "int4", b"b")}, "model-b", {"x": [1, None]})
        store.import_session(store.export_session(head), namespace="other")
        again = store.session("ada", "other")
        assert blobs(store, again) == [segment.data for segment in memory(1)]
        assert blobs(store, again, "model-b") == [None, b"b"]

    def test_an_imported_session_goes_on(self, store: Store, packed: bytes) -> None:
        """An imported session can be appended to."""
        assert talk(store, store.import_session(packed, "copy"), 1).turns == 4

    def test_any_words_can_move(self, store: Store) -> None:
        """Texts come back letter by letter."""
        said = ["", "日本語 🙂", "a\r\n\tb", "x" * 100_000]
        head = say(store, store.session("ada"), *said)
        assert texts(store, store.import_session(store.export_session(head), "copy")) == said

    def test_a_part_can_be_exported(self, store: Store) -> None:
        """An old head's file has the conversation as it was then."""
        old = say(store, store.session("ada"), "a")
        say(store, old, "b")
        assert texts(store, store.import_session(store.export_session(old), "copy")) == ["a"]

    def test_damaged_memory_is_not_exported(self, store: Store) -> None:
        """A segment that is not what was written is left out; it can be rebuilt there."""
        head = talk(store, store.session("ada"), 1)
        tamper(store, "UPDATE loma_segments SET slots = slots + 1 WHERE slots = 2")
        packed = store.export_session(head)
        assert blobs(store, store.import_session(packed, namespace="other")) == [None, memory(1)[1].data]

    def test_a_damaged_conversation_is_not_exported(self, store: Store) -> None:
        """A conversation that is not what was saved raises IntegrityError."""
        head = talk(store, store.session("ada"), 1)
        tamper(store, "UPDATE loma_messages SET role = 'note' WHERE depth = 1")
        with pytest.raises(IntegrityError):
            store.export_session(head)

    def test_foreign_memory_replaces_none(self, store: Store) -> None:
        """A file from elsewhere cannot change the memory of a conversation that is here."""
        store.append(
            store.session("evil"), [NewMessage("user", "hi")], [NewSegment(1, "raw", b"evil")], "f", {}
        )
        packed = store.export_session(store.session("evil"))
        store.delete_session("evil")
        head = store.append(
            store.session("good"), [NewMessage("user", "hi")], [NewSegment(1, "raw", b"good")], "f", {}
        )
        store.import_session(packed)
        assert blobs(store, head, "f") == [b"good"]

    @pytest.mark.parametrize("place", [0, 5, 30, 31, 100, -100, -34, -1])
    def test_a_changed_byte_is_noticed(self, store: Store, packed: bytes, place: int) -> None:
        """A file with a flipped bit is refused, and nothing of it is saved."""
        damaged = bytearray(packed)
        damaged[place] ^= 1
        before = store.stats()
        with pytest.raises(IntegrityError):
            store.import_session(bytes(damaged), "copy")
        assert store.stats() == before

    @pytest.mark.parametrize("length", [0, 1, 21, 22, 60, -1, -41])
    def test_a_cut_file_is_noticed(self, store: Store, packed: bytes, length: int) -> None:
        """A file without its end is refused."""
        with pytest.raises(IntegrityError):
            store.import_session(packed[:length], "copy")

    def test_more_than_the_file_is_noticed(self, store: Store, packed: bytes) -> None:
        """A file with something after its end is refused."""
        with pytest.raises(IntegrityError):
            store.import_session(packed + b"x", "copy")

    def test_a_lie_with_a_right_checksum_is_noticed(self, store: Store, packed: bytes) -> None:
        """A file that breaks the format's rules is refused though its checksum is right."""
        lie = packed[:-41].replace(b'"messages": 6', b'"messages": 5')
        end = packed[-41:-32]
        with pytest.raises(IntegrityError, match="frames are missing"):
            store.import_session(lie + end + hashlib.blake2b(lie, digest_size=32).digest(), "copy")
        assert SETTINGS
