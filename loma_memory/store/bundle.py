"""One session in one file: a list of frames with a checksum at the end.

    magic | frames | END frame
    frame = kind (1 byte) | length of payload (8 bytes, big endian) | payload
    HEAD         JSON: name, messages, segments
    FINGERPRINT  JSON: fingerprint, settings
    MESSAGE      role (1 byte) | created_at (8 bytes, microseconds, signed) | text (UTF-8)
    SEGMENT      message (4 bytes, from 0) | fingerprint (4 bytes, from 0) | slots (4 bytes)
                 | length of codec (1 byte) | codec (ASCII) | data
    END          blake2b-256 of everything before this frame

A file comes from anywhere. Nothing of it is believed before it has been checked, JSON is parsed only in
small pieces, and reading takes little more memory than the file itself.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from loma_memory.errors import IntegrityError
from loma_memory.store import ids
from loma_memory.store.chain import MAX_MESSAGES, MAX_TEXT
from loma_memory.store.segments import MAX_BYTES, MAX_CODEC

MAGIC = b"loma-memory session 1\n"
MAX_BUNDLE = 4 * 2**30  # bytes
MAX_JSON = 64 * 2**10  # bytes of one JSON payload
MAX_FINGERPRINTS = 1000

_FRAME = struct.Struct(">cQ")
_MESSAGE = struct.Struct(">cq")
_SEGMENT = struct.Struct(">IIIB")
_ROLES = {b"u": "user", b"a": "assistant", b"n": "note"}
_HEAD, _FINGERPRINT, _MESSAGE_KIND, _SEGMENT_KIND, _END = b"H", b"F", b"M", b"S", b"E"


@dataclass(frozen=True)
class BundleMessage:
    """A message of a bundle; `created_at` in microseconds since 1970."""

    role: str
    created_at: int
    text: str


@dataclass(frozen=True)
class BundleSegment:
    """A segment of a bundle; `message` and `fingerprint` are places in the bundle's lists, from 0."""

    message: int
    fingerprint: int
    slots: int
    codec: str
    data: bytes


@dataclass(frozen=True)
class Bundle:
    """What a file holds.

    Attributes:
        name: of the session.
        messages: the conversation, in order.
        fingerprints: of what made the segments, each with its settings.
        segments: in any order.
    """

    name: str
    messages: list[BundleMessage]
    fingerprints: list[tuple[str, Mapping[str, Any]]]
    segments: list[BundleSegment]


def pack(bundle: Bundle) -> bytes:
    """The file of a bundle."""
    out = bytearray(MAGIC)
    head = {"name": bundle.name, "messages": len(bundle.messages), "segments": len(bundle.segments)}
    _frame(out, _HEAD, [_json(head)])
    for fingerprint, settings in bundle.fingerprints:
        _frame(out, _FINGERPRINT, [_json({"fingerprint": fingerprint, "settings": dict(settings)})])
    codes = {role: code for code, role in _ROLES.items()}
    for message in bundle.messages:
        start = _MESSAGE.pack(codes[message.role], message.created_at)
        _frame(out, _MESSAGE_KIND, [start, message.text.encode()])
    for segment in bundle.segments:
        codec = segment.codec.encode("ascii")
        start = _SEGMENT.pack(segment.message, segment.fingerprint, segment.slots, len(codec))
        _frame(out, _SEGMENT_KIND, [start, codec, segment.data])
    _frame(out, _END, [hashlib.blake2b(out, digest_size=32).digest()])
    return bytes(out)


def unpack(data: bytes) -> Bundle:
    """What a file holds, entirely checked.

    Raises:
        IntegrityError: it is not such a file, is damaged, or breaks a rule of the format.
    """
    if len(data) > MAX_BUNDLE:
        raise IntegrityError(f"a session file has at most {MAX_BUNDLE} bytes, not {len(data)}")
    if not data.startswith(MAGIC):
        raise IntegrityError("this is not a session file of loma-memory")
    end = _FRAME.pack(_END, 32)
    body, tail = memoryview(data)[: -len(end) - 32], memoryview(data)[-len(end) - 32 :]
    digest = hashlib.blake2b(body, digest_size=32).digest()
    if tail[: len(end)] != end or not hmac.compare_digest(digest, tail[len(end) :]):
        raise IntegrityError("the session file is damaged: its checksum does not match")
    try:
        return _read(_frames(body))
    except (ValueError, KeyError, TypeError, RecursionError, struct.error) as error:
        raise IntegrityError(f"the session file breaks its format: {error}") from None


def _read(frames: Iterator[tuple[bytes, memoryview]]) -> Bundle:
    kind, payload = next(frames, (b"", memoryview(b"")))
    head = _parse(payload)
    _rule(kind == _HEAD and set(head) == {"name", "messages", "segments"}, "it must begin with a head")
    _rule(isinstance(head["name"], str), "the session's name must be text")
    bundle = Bundle(head["name"], [], [], [])
    for kind, payload in frames:
        if kind == _FINGERPRINT:
            bundle.fingerprints.append(_read_fingerprint(payload))
        elif kind == _MESSAGE_KIND:
            bundle.messages.append(_read_message(payload))
        elif kind == _SEGMENT_KIND:
            bundle.segments.append(_read_segment(payload))
        else:
            raise ValueError(f"there is no frame of kind {kind!r}")
        _rule(len(bundle.messages) <= MAX_MESSAGES, f"it may have {MAX_MESSAGES} messages at most")
        _rule(len(bundle.fingerprints) <= MAX_FINGERPRINTS, f"it may have {MAX_FINGERPRINTS} fingerprints")
    counts = (len(bundle.messages), len(bundle.segments))
    _rule(counts == (head["messages"], head["segments"]), "frames are missing")
    places = {(segment.message, segment.fingerprint) for segment in bundle.segments}
    _rule(len(places) == len(bundle.segments), "a message has two segments of one fingerprint")
    _rule(
        all(m < len(bundle.messages) and f < len(bundle.fingerprints) for m, f in places),
        "a segment belongs to no message or fingerprint",
    )
    names = {fingerprint for fingerprint, _ in bundle.fingerprints}
    _rule(len(names) == len(bundle.fingerprints), "a fingerprint occurs twice")
    return bundle


def _read_fingerprint(payload: memoryview) -> tuple[str, Mapping[str, Any]]:
    value = _parse(payload)
    _rule(set(value) == {"fingerprint", "settings"}, "a fingerprint needs its settings")
    fingerprint, settings = value["fingerprint"], value["settings"]
    _rule(
        isinstance(fingerprint, str) and 0 < len(fingerprint) <= 10 * MAX_CODEC, "a fingerprint must be text"
    )
    _rule(isinstance(settings, dict), "a fingerprint's settings must be an object")
    return fingerprint, settings


def _read_message(payload: memoryview) -> BundleMessage:
    code, created_at = _MESSAGE.unpack_from(payload)
    text = str(payload[_MESSAGE.size :], "utf-8")
    _rule(len(text) <= MAX_TEXT, f"a text may have {MAX_TEXT} characters at most")
    _rule(text == ids.canonical_text(text), "a text is not in its canonical form")
    return BundleMessage(_ROLES[code], created_at, text)


def _read_segment(payload: memoryview) -> BundleSegment:
    message, fingerprint, slots, length = _SEGMENT.unpack_from(payload)
    codec = str(payload[_SEGMENT.size : _SEGMENT.size + length], "ascii")
    data = bytes(payload[_SEGMENT.size + length :])
    _rule(len(codec) == length and 0 < length <= MAX_CODEC and codec.isprintable(), "a codec has no name")
    _rule(slots < 2**31 and len(data) <= MAX_BYTES, "a segment is too large")
    return BundleSegment(message, fingerprint, slots, codec, data)


def _frames(body: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    at = len(MAGIC)
    while at < len(body):
        kind, length = _FRAME.unpack_from(body, at)
        at += _FRAME.size
        _rule(length <= len(body) - at, "a frame is longer than the file")
        yield kind, body[at : at + length]
        at += length


def _parse(payload: memoryview) -> dict[str, Any]:
    _rule(len(payload) <= MAX_JSON, f"a JSON frame may have {MAX_JSON} bytes at most")
    value = json.loads(bytes(payload), parse_constant=_no_constant)
    _rule(isinstance(value, dict), "a JSON frame must hold an object")
    return dict(value)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _rule(kept: bool, rule: str) -> None:
    if not kept:
        raise ValueError(rule)


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, sort_keys=True, allow_nan=False).encode()


def _frame(out: bytearray, kind: bytes, parts: Iterable[bytes]) -> None:
    parts = list(parts)
    out += _FRAME.pack(kind, sum(map(len, parts)))
    for part in parts:
        out += part
