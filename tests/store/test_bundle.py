"""The file format: what it takes, and that nothing else is ever taken."""

from __future__ import annotations

import contextlib
import gc
import hashlib
import json
import random
import struct
import tracemalloc
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loma_memory.errors import IntegrityError
from loma_memory.store import Store, bundle
from loma_memory.store.bundle import MAGIC, Bundle, BundleMessage, BundleSegment, pack, unpack
from loma_memory.store.ids import canonical_text
from loma_memory.testing.base import talk

Figure = Callable[[str], None]

texts = st.text().map(canonical_text)
messages = st.builds(
    BundleMessage, st.sampled_from(["user", "assistant", "note"]), st.integers(-(2**62), 2**62), texts
)
plain_json = st.dictionaries(st.text(max_size=5), st.none() | st.integers() | st.text(max_size=5), max_size=3)


@st.composite
def bundles(draw: st.DrawFn) -> Bundle:
    said = draw(st.lists(messages, max_size=4))
    names = draw(st.lists(st.text(min_size=1, max_size=20), unique=True, max_size=2))
    places = [(m, f) for m in range(len(said)) for f in range(len(names))]
    chosen = draw(st.lists(st.sampled_from(places), unique=True)) if places else []
    segments = [
        BundleSegment(
            m, f, draw(st.integers(0, 2**31 - 1)), draw(st.sampled_from(["raw", "int8"])), draw(st.binary())
        )
        for m, f in chosen
    ]
    return Bundle(draw(st.text()), said, [(name, draw(plain_json)) for name in names], segments)


def seal(body: bytes) -> bytes:
    """A file with a right checksum, whatever is in it."""
    end = struct.pack(">cQ", b"E", 32)
    return body + end + hashlib.blake2b(body, digest_size=32).digest()


def frame(kind: bytes, payload: bytes) -> bytes:
    return struct.pack(">cQ", kind, len(payload)) + payload


def head(messages: int = 0, segments: int = 0) -> bytes:
    return frame(b"H", json.dumps({"name": "ada", "messages": messages, "segments": segments}).encode())


@settings(max_examples=60)
@given(bundles())
def test_what_is_packed_comes_back(packed: Bundle) -> None:
    assert unpack(pack(packed)) == packed


LIES = {
    "nothing": b"",
    "no head": frame(b"M", b"u" + bytes(8)),
    "two heads": head() + head(),
    "unknown frame": head() + frame(b"X", b""),
    "end inside": head() + frame(b"E", bytes(32)),
    "too few messages": head(messages=1),
    "too few segments": head(segments=1),
    "frame past the end": head() + struct.pack(">cQ", b"M", 2**63),
    "half a frame": head() + b"M",
    "short message": head(1) + frame(b"M", b"u"),
    "unknown role": head(1) + frame(b"M", b"s" + bytes(8) + b"x"),
    "no UTF-8": head(1) + frame(b"M", b"u" + bytes(8) + b"\xff"),
    "surrogate": head(1) + frame(b"M", b"u" + bytes(8) + b"\xed\xa0\x80"),
    "NUL in a text": head(1) + frame(b"M", b"u" + bytes(8) + b"a\x00b"),
    "space around a text": head(1) + frame(b"M", b"u" + bytes(8) + b" a"),
    "short segment": head(0, 1) + frame(b"S", bytes(12)),
    "segment of no message": head(0, 1) + frame(b"S", struct.pack(">IIIB", 0, 0, 1, 3) + b"raw"),
    "segment without codec": head(0, 1) + frame(b"S", struct.pack(">IIIB", 0, 0, 1, 0)),
    "codec cut short": head(0, 1) + frame(b"S", struct.pack(">IIIB", 0, 0, 1, 9) + b"raw"),
    "odd codec": head(0, 1) + frame(b"S", struct.pack(">IIIB", 0, 0, 1, 3) + b"r\x00w"),
    "many slots": head(0, 1) + frame(b"S", struct.pack(">IIIB", 0, 0, 2**31, 3) + b"raw"),
    "fingerprint twice": head() + 2 * frame(b"F", b'{"fingerprint": "a", "settings": {}}'),
    "fingerprint without settings": head() + frame(b"F", b'{"fingerprint": "a"}'),
    "fingerprint of another type": head() + frame(b"F", b'{"fingerprint": 1, "settings": {}}'),
    "empty fingerprint": head() + frame(b"F", b'{"fingerprint": "", "settings": {}}'),
    "settings of another type": head() + frame(b"F", b'{"fingerprint": "a", "settings": []}'),
    "no JSON": head() + frame(b"F", b"{"),
    "JSON list": frame(b"H", b"[]"),
    "NaN": head() + frame(b"F", b'{"fingerprint": "a", "settings": {"a": NaN}}'),
    "deep JSON": head() + frame(b"F", b"[" * 60_000),
    "long JSON": head() + frame(b"F", b" " * 70_000 + b"{}"),
    "name of another type": frame(b"H", b'{"name": 1, "messages": 0, "segments": 0}'),
    "more in the head": frame(b"H", b'{"name": "a", "messages": 0, "segments": 0, "x": 0}'),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_file_with_a_right_checksum_is_still_checked(lie: str) -> None:
    with pytest.raises(IntegrityError, match="format"):
        unpack(seal(MAGIC + LIES[lie]))


def test_two_segments_of_one_message_are_refused() -> None:
    one = frame(b"S", struct.pack(">IIIB", 0, 0, 1, 3) + b"raw")
    said = frame(b"F", b'{"fingerprint": "a", "settings": {}}') + frame(b"M", b"u" + bytes(8) + b"x")
    assert len(unpack(seal(MAGIC + head(1, 1) + said + one)).segments) == 1
    with pytest.raises(IntegrityError, match="two segments"):
        unpack(seal(MAGIC + head(1, 2) + said + one + one))


def test_a_file_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle, "MAX_BUNDLE", 10)
    with pytest.raises(IntegrityError, match="at most 10 bytes"):
        unpack(MAGIC + bytes(100))


@given(st.binary())
def test_any_bytes_are_refused(data: bytes) -> None:
    for candidate in (data, MAGIC + data, seal(MAGIC + data)):
        with pytest.raises(IntegrityError):
            unpack(candidate)


@settings(deadline=None, max_examples=20)
@given(packed=bundles(), data=st.data())
def test_any_sound_file_can_be_imported_and_exported(packed: Bundle, data: st.DataObject) -> None:
    with Store.open("sqlite://") as store:
        imported = store.import_session(pack(packed), "copy")
        assert store.verify().ok
        again = unpack(store.export_session(imported))
    assert again.messages == [BundleMessage(m.role, _clamped(m.created_at), m.text) for m in packed.messages]
    assert sorted((s.message, s.slots, s.codec, s.data) for s in again.segments) == sorted(
        (s.message, s.slots, s.codec, s.data) for s in packed.segments
    )


def _clamped(moment: int) -> int:
    from loma_memory.store import clock

    return clock.to_us(clock.from_us(moment))


def mutate(rng: random.Random, data: bytes) -> bytes:
    """Flips, overwrites, cuts, doubles or moves bytes."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(changed) or 1)
        kind = rng.randrange(6)
        if kind == 0 and changed:
            changed[at] ^= 1 << rng.randrange(8)
        elif kind == 1 and changed:
            changed[at] = rng.choice([0, 1, 0x7F, 0x80, 0xFF])
        elif kind == 2:
            del changed[at : at + rng.randint(1, 40)]
        elif kind == 3:
            changed[at:at] = changed[at : at + rng.randint(1, 40)]
        elif kind == 4:
            changed[at : at + 8] = struct.pack(">Q", rng.choice([0, 1, 2**31, 2**32, 2**63, 2**64 - 1]))
        else:
            changed[at:at] = rng.randbytes(rng.randint(1, 20))
    return bytes(changed)


@pytest.mark.parametrize("count", [20_000, pytest.param(1_000_000, marks=pytest.mark.long)])
def test_mutated_files_are_refused_or_sound(count: int, figure: Figure) -> None:
    with Store.open("sqlite://") as store:
        packed = store.export_session(talk(store, store.session("ada"), 2))
    rng = random.Random(5)
    refused = accepted = unsealed = 0
    for number in range(count):
        damaged = mutate(rng, packed[:-41])
        sealed = number % 2 == 0
        # Half of them get a right checksum, so that everything behind it is reached, too.
        candidate = seal(damaged) if sealed else damaged + packed[-41:]
        try:
            found = unpack(candidate)
        except IntegrityError:
            refused += 1
        else:
            accepted += 1
            unsealed += not sealed and candidate != packed
            assert unpack(pack(found)) == found
    figure(
        f"{count} mutated session files: {refused} refused, {accepted} sound with a right checksum, "
        f"{unsealed} wrong accepts, 0 crashes"
    )
    assert unsealed == 0
    assert refused > count * 0.6


def test_reading_takes_less_than_twice_the_file(figure: Figure) -> None:
    said = [BundleMessage("user", 0, f"message {number}") for number in range(200)]
    kv = [BundleSegment(number, 0, 1, "raw", bytes(50_000)) for number in range(200)]
    worst = 0.0
    many = [BundleMessage("user", 0, str(number)) for number in range(20_000)]
    lies = [
        pack(Bundle("a", said, [("f", {})], kv)),
        seal(MAGIC + frame(b"H", b"[" + b"{}," * 10_000_000 + b"{}]")),
        seal(MAGIC + head() + frame(b"M", bytes(30_000_000))),
        seal(MAGIC + head(1) + frame(b"M", b"u" + bytes(8) + b"x" * 30_000_000)),
    ]
    for data in lies:
        gc.collect()
        tracemalloc.start()
        with contextlib.suppress(IntegrityError):
            unpack(data)
        worst = max(worst, tracemalloc.get_traced_memory()[1] / len(data))
        tracemalloc.stop()
    figure(f"memory that reading a session file takes, at most: {worst:.2f} × its size")
    assert worst < 2
    assert unpack(pack(Bundle("a", many, [], []))).messages == many
