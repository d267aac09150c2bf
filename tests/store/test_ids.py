"""Hashes: they must never change, or every saved conversation would be unreadable."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loma_memory.errors import UsageError
from loma_memory.store import canonical_text, message_id, root_id
from loma_memory.store.ids import ROLES, hash_fields, turn_after

anything = st.text(st.characters(exclude_categories=[]))  # lone surrogates too


def test_hashes_are_what_they_were_in_the_first_release() -> None:
    root = root_id("")
    assert root == "b2:53ea366e87ee3260478d122d059349e02a4a9495d067089d5f9319656a4db8e6"
    assert message_id(root, "user", "hi there").startswith("b2:f6c1980db1bbf23919dc4e0144e2b203153dbe7b")
    assert root_id("tenant") != root


@given(anything)
def test_a_canonical_text_is_its_own_canonical_text(text: str) -> None:
    canonical = canonical_text(text)
    assert canonical_text(canonical) == canonical
    canonical.encode()
    assert "\x00" not in canonical


@given(anything, st.sampled_from(sorted(ROLES)))
def test_a_message_has_the_id_of_its_canonical_text(text: str, role: str) -> None:
    assert message_id("p", role, text) == message_id("p", role, canonical_text(text))


@given(st.lists(st.binary(max_size=2000)), st.lists(st.binary(max_size=2000)))
def test_different_fields_have_different_hashes(one: list[bytes], other: list[bytes]) -> None:
    assert (hash_fields(*one) == hash_fields(*other)) == (one == other)


def test_long_and_short_fields_are_hashed_alike() -> None:
    import hashlib

    for size in (0, 1, 1023, 1024, 5000):
        data = b"x" * size
        plain = (
            (2).to_bytes(8, "big") + b"ab" + size.to_bytes(8, "big") + data + (1).to_bytes(8, "big") + b"7"
        )
        assert hash_fields("ab", data, 7) == hashlib.blake2b(plain, digest_size=32).digest()


@pytest.mark.parametrize(
    ("parts", "others"), [(("ab", "c"), ("a", "bc")), (("", "a"), ("a", "")), (("a",), ("a", ""))]
)
def test_moving_a_border_changes_the_hash(parts: tuple[str, ...], others: tuple[str, ...]) -> None:
    assert hash_fields(*parts) != hash_fields(*others)


def test_a_role_must_be_known() -> None:
    with pytest.raises(UsageError, match="assistant, note, user"):
        message_id("p", "system", "x")


def test_turns_are_counted() -> None:
    assert [
        turn_after(turn, role)
        for turn, role in [(0, "assistant"), (1, "assistant"), (1, "user"), (2, "note")]
    ] == [
        1,
        1,
        2,
        3,
    ]
