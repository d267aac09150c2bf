"""Segments at rest: what is written comes back, and hostile bytes are refused."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from safetensors.torch import save

from loma_memory.attention import MEMORY, TEXT
from loma_memory.errors import IntegrityError, UsageError
from loma_memory.memory import Segment, codec
from loma_memory.memory.fingerprint import digest, fingerprint

DTYPES = [torch.float32, torch.bfloat16, torch.float16, torch.float64]


def drawn(
    slots: int = 3, dtype: torch.dtype = torch.bfloat16, width: int = 64, seed: int = 0, size: float = 1.0
) -> Segment:
    draw = torch.Generator().manual_seed(seed)
    keys, values = ((torch.randn(2, 3, slots, width, generator=draw) * size).to(dtype) for _ in range(2))
    return Segment(keys, values, torch.arange(slots) * 5, 8 * slots, MEMORY, 0)


def shape(segment: Segment) -> tuple[int, int, int]:
    layers, heads, _, width = segment.keys.shape
    return layers, heads, width


cases = st.builds(
    drawn,
    st.integers(0, 5),
    st.sampled_from(DTYPES),
    st.sampled_from([8, 32, 48, 64, 80, 128]),
    st.integers(0, 99),
    st.floats(1e-6, 1e3),
)


@given(cases, st.sampled_from([MEMORY, TEXT]), st.integers(0, 10**6), st.integers(0, 10**6))
def test_raw_is_bit_exact(segment: Segment, kind: int, tokens: int, first: int) -> None:
    segment = Segment(segment.keys, segment.values, segment.positions, tokens, kind, first)
    back = codec.decode(codec.encode(segment), shape(segment), segment.keys.dtype)
    assert back.equal(segment)
    assert (back.text_tokens, back.kind, back.first_index) == (tokens, kind, first)
    assert codec.encode(back) == codec.encode(segment), "equal segments have equal bytes"


@pytest.mark.parametrize(("name", "top", "group"), [("int8", 127, 64), ("int4", 7, 32)])
def test_whole_numbers_err_by_half_a_step_at_most(name: str, top: int, group: int) -> None:
    @given(cases)
    def check(segment: Segment) -> None:
        dtype = segment.keys.dtype
        back = codec.decode(codec.encode(segment, name), shape(segment), dtype)
        assert torch.equal(back.positions, segment.positions)
        for old, new in ((segment.keys, back.keys), (segment.values, back.values)):
            assert new.dtype == dtype
            width = old.shape[-1]
            run = group if width % group == 0 else width
            parts = old.float().reshape(-1, run)
            # Half a step of the run's scale; the scale itself is rounded to float16 (2⁻¹¹, or a step of
            # 6e-8 where it is tiny) and the result to the model's precision.
            high = parts.abs().amax(1, keepdim=True)
            rounding = torch.finfo(dtype).eps if dtype != torch.float64 else 0.0
            bound = high * (0.5 / top + 2**-11 + rounding) + top * 6e-8 + 1e-12
            assert ((new.float().reshape(-1, run) - parts).abs() <= bound).all()

    check()


def test_bytes_a_slot() -> None:
    """SmolLM2's slot is 22.5 KiB in bfloat16; int8 halves it, int4 halves it again, and little is added."""

    def size(slots: int, name: str) -> int:
        keys = torch.randn(30, 3, slots, 64).bfloat16()
        return len(codec.encode(Segment(keys, keys.clone(), torch.arange(slots), 8), name))

    raw = 2 * 30 * 3 * 64 * 2
    for name, whole, scale in (("raw", raw, 0), ("int8", raw // 2, 360), ("int4", raw // 4, 2 * 360)):
        each = (size(40, name) - size(8, name)) / 32
        assert whole + scale <= each <= whole + scale + 16
        assert size(1, name) - each < 800, "the header of a segment"


def test_a_turn_of_thirty_tokens_takes_less_than_50_kib(figure: Callable[[str], None]) -> None:
    # SmolLM2-135M: 30 layers, 3 key/value heads of 64; a message of 12 tokens and a reply of 18, at 8:1.
    sizes = {}
    for name in ("raw", "int8", "int4"):
        turn = []
        for tokens, slots in ((12, 2), (18, 2)):
            keys, values = torch.randn(2, 30, 3, slots, 64).bfloat16()
            segment = Segment(keys, values, torch.arange(slots), tokens)
            turn.append(len(codec.encode(segment, name)))
        sizes[name] = sum(turn) / 1024
    figure("a turn of 30 tokens at 8:1: " + ", ".join(f"{n} {kib:.1f} KiB" for n, kib in sizes.items()))
    assert sizes["int8"] < 50


def test_the_reader_says_what_it_expected() -> None:
    segment = drawn()
    data = codec.encode(segment)
    for wrong in ((3, 3, 64), (2, 2, 64), (2, 3, 32)):
        with pytest.raises(IntegrityError, match="expected"):
            codec.decode(data, wrong, torch.bfloat16)
    with pytest.raises(IntegrityError, match="expected"):
        codec.decode(data, shape(segment), torch.float32)
    with pytest.raises(UsageError, match="codec must be one of raw, int8, int4, got 'zip'"):
        codec.encode(segment, "zip")


def with_metadata(data: bytes, **changes: Any) -> bytes:
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + size])
    about = {**json.loads(header["__metadata__"]["loma"]), **changes}
    header["__metadata__"]["loma"] = json.dumps(about)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data[8 + size :]


@pytest.mark.parametrize(
    "changes",
    [
        {"format": 2},
        {"format": "1"},
        {"codec": "zip"},
        {"codec": "int8"},
        {"kind": 3},
        {"kind": "2"},
        {"text_tokens": -1},
        {"first_index": -4},
        {"text_tokens": 1e9},
        {"kind": True},
        {"format": None},
        {"codec": ["raw"]},
        {"codec": {}},
        {"kind": None},
        {"kind": 10**400},
        {"codec": None},
    ],
    ids=str,
)
def test_wrong_descriptions_are_refused(changes: dict[str, Any]) -> None:
    segment = drawn()
    with pytest.raises(IntegrityError):
        codec.decode(with_metadata(codec.encode(segment), **changes), shape(segment), torch.bfloat16)


@pytest.mark.parametrize("name", ["raw", "int8", "int4"])
def test_wrong_tensors_are_refused(name: str) -> None:
    segment = drawn()
    described = {"format": 1, "codec": name, "text_tokens": 8, "kind": MEMORY, "first_index": 0}
    about = {"loma": json.dumps(described)}
    good = codec.CODECS[name]
    parts = {
        f"{n}.{p}": t
        for n, v in (("k", segment.keys), ("v", segment.values))
        for p, t in good.pack(v).items()
    }
    parts["positions"] = segment.positions

    def refused(tensors: dict[str, Any]) -> None:
        data = save({k: v.contiguous() for k, v in tensors.items()}, metadata=about)
        with pytest.raises(IntegrityError):
            codec.decode(data, shape(segment), torch.bfloat16)

    data = save({k: v.contiguous() for k, v in parts.items()}, metadata=about)
    codec.decode(data, shape(segment), torch.bfloat16)
    for missing in parts:
        refused({k: v for k, v in parts.items() if k != missing})
    refused({**parts, "positions": segment.positions.int()})
    refused({**parts, "positions": segment.positions[None]})
    refused({**parts, "positions": segment.positions[:-1]})
    refused({**parts, "k.q": parts["k.q"][:, :, :-1]})
    refused({**parts, "k.q": parts["k.q"].flatten()})
    refused({**parts, "k.q": torch.zeros(())})
    if name != "raw":
        refused({**parts, "k.s": torch.zeros(0)})
        refused({**parts, "k.s": torch.zeros(2, 3, 3, 0)})
        refused({**parts, "k.s": torch.zeros(())})
        refused({**parts, "k.s": parts["k.s"][:1]})


@settings(suppress_health_check=list(HealthCheck), deadline=None, max_examples=300)
@given(
    st.sampled_from(["raw", "int8", "int4"]),
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=6),
    st.floats(0, 1),
    st.binary(max_size=20),
    st.booleans(),
)
@example("raw", [], 0.0, b"", False)
@example("raw", [], 0.0, b"\0" * 8, True)
@example("raw", [], 0.0, b"\xff" * 8, True)
@example("raw", [], 0.0, b"\x02\0\0\0\0\0\0\0[]", True)
@example("raw", [], 0.0, b"\x0b\0\0\0\0\0\0\0" + b"[" * 11, True)
def test_hostile_bytes_are_refused_or_read(
    name: str, flips: list[tuple[float, int]], cut: float, more: bytes, replace: bool
) -> None:
    """Any bytes either give a segment of the right shape or raise IntegrityError, nothing else."""
    segment = drawn(2)
    data = bytearray(codec.encode(segment, name))
    header = 8 + struct.unpack("<Q", data[:8])[0]
    for where, value in flips:  # the header is what there is to attack
        data[int(where * (header - 1))] = value
    mutated = more if replace else bytes(data[: len(data) - int(cut * 400)]) + more
    try:
        back = codec.decode(mutated, shape(segment), torch.bfloat16)
    except IntegrityError:
        return
    assert back.keys.shape == back.values.shape == (2, 3, back.slots, 64)
    assert back.keys.dtype == torch.bfloat16


@given(st.binary(max_size=300))
def test_any_bytes(data: bytes) -> None:
    with pytest.raises(IntegrityError):
        codec.decode(data, (2, 3, 64), torch.bfloat16)


# --- fingerprints ------------------------------------------------------------------------------------

plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=5)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.text(max_size=4), plain, max_size=4), st.text(max_size=4), plain)
def test_a_fingerprint_names_its_settings(settings: dict[str, Any], key: str, value: Any) -> None:
    name = fingerprint(settings)
    assert name == fingerprint(dict(reversed(list(settings.items()))))
    changed = {**settings, key: value}
    same = json.dumps(changed, sort_keys=True) == json.dumps(settings, sort_keys=True)
    assert (fingerprint(changed) == name) == same


def test_fingerprints_are_stable_and_take_plain_json_only() -> None:
    assert digest(b"") == "b2:0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8"
    assert fingerprint({"a": 1, "b": [2.5, "ü"]}) == digest(b'{"a":1,"b":[2.5,"\\u00fc"]}')
    for wrong in ({"a": float("nan")}, {"a": object()}):
        with pytest.raises((ValueError, TypeError)):
            fingerprint(wrong)
