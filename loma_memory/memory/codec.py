"""Segments as bytes: safetensors, in the model's precision, int8 or 4 bits.

int8 and int4 keep one scale for each run of channels of one head of one slot, so a segment of two slots
pays for two slots; a scale for each channel would cost as much as the data at these sizes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from loma_memory.attention.layout import MEMORY, TEXT
from loma_memory.errors import IntegrityError, UsageError
from loma_memory.memory.segment import Segment

FORMAT = 1
"""Version of the layout of these bytes; part of every fingerprint."""

DEFAULT_CODEC = "raw"
"""Bit-exact: what is restored equals what was written."""


@dataclass(frozen=True)
class _Codec:
    pack: Callable[[Tensor], dict[str, Tensor]]
    unpack: Callable[[dict[str, Tensor], torch.dtype], Tensor]


def _scaled(x: Tensor, top: int, group: int) -> tuple[Tensor, Tensor]:
    """Whole numbers in ±top and the scale of each group of channels."""
    width = x.shape[-1]
    group = min(group, width) if width % min(group, width) == 0 else width
    parts = x.float().unflatten(-1, (width // group, group))
    scale = (parts.abs().amax(dim=-1, keepdim=True) / top).clamp(min=1e-12).half().clamp(min=6e-8)
    whole = (parts / scale.float()).round().clamp(-top, top)
    return whole.flatten(-2), scale[..., 0]


def _unscaled(whole: Tensor, scale: Tensor, dtype: torch.dtype) -> Tensor:
    parts = whole.float().unflatten(-1, (scale.shape[-1], -1))
    return (parts * scale.float()[..., None]).flatten(-2).to(dtype)


def _pack_int8(x: Tensor) -> dict[str, Tensor]:
    whole, scale = _scaled(x, 127, 64)
    return {"q": whole.to(torch.int8), "s": scale}


def _pack_int4(x: Tensor) -> dict[str, Tensor]:
    whole, scale = _scaled(x, 7, 32)
    pairs = (whole + 8).to(torch.uint8)
    return {"q": pairs[..., 0::2] | (pairs[..., 1::2] << 4), "s": scale}


def _unpack_int4(t: dict[str, Tensor], dtype: torch.dtype) -> Tensor:
    low, high = (t["q"] & 15).to(torch.int16) - 8, (t["q"] >> 4).to(torch.int16) - 8
    return _unscaled(torch.stack([low, high], dim=-1).flatten(-2), t["s"], dtype)


CODECS: dict[str, _Codec] = {
    "raw": _Codec(lambda x: {"q": x}, lambda t, dtype: t["q"]),
    "int8": _Codec(_pack_int8, lambda t, dtype: _unscaled(t["q"], t["s"], dtype)),
    "int4": _Codec(_pack_int4, _unpack_int4),
}
"""Encodings by name."""


def check_codec(name: str) -> str:
    """The name, if it is one of `CODECS`.

    Raises:
        UsageError: it is not.
    """
    if name not in CODECS:
        raise UsageError(f"codec must be one of {', '.join(CODECS)}, got {name!r}")
    return name


def encode(segment: Segment, codec: str = DEFAULT_CODEC) -> bytes:
    """A segment as bytes."""
    made = CODECS[check_codec(codec)]
    tensors = {"positions": segment.positions.cpu().contiguous()}
    for name, value in (("k", segment.keys), ("v", segment.values)):
        for part, tensor in made.pack(value.detach().cpu()).items():
            tensors[f"{name}.{part}"] = tensor.contiguous()
    about = {
        "format": FORMAT,
        "text_tokens": segment.text_tokens,
        "kind": segment.kind,
        "first_index": segment.first_index,
    }
    return save(tensors, metadata={k: str(v) for k, v in about.items()} | {"codec": codec})


def decode(data: bytes, shape: tuple[int, int, int], dtype: torch.dtype) -> Segment:
    """Bytes as a segment.

    Args:
        data: from `encode`; taken as hostile.
        shape: layers, key/value heads and channels of the model.
        dtype: what the model computes in.

    Raises:
        IntegrityError: not such bytes, or of another format or model.
    """
    try:
        about = _metadata(data)
        tensors = load(data)
        if about["format"] != str(FORMAT):
            raise IntegrityError(f"segment of format {about['format']}, this version reads {FORMAT}")
        made = CODECS[about["codec"]]
        keys, values = (
            made.unpack({p[2:]: t for p, t in tensors.items() if p.startswith(f"{name}.")}, dtype)
            for name in ("k", "v")
        )
        positions, kind = tensors["positions"], int(about["kind"])
        text_tokens, first = int(about["text_tokens"]), int(about["first_index"])
    except IntegrityError:
        raise
    except (SafetensorError, KeyError, ValueError, RuntimeError, IndexError, TypeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise IntegrityError(f"not a segment: {reason}") from None
    layers, heads, width = shape
    expected = (layers, heads, positions.numel(), width)
    right = (
        tuple(keys.shape) == expected == tuple(values.shape)
        and keys.dtype == dtype == values.dtype
        and positions.dtype == torch.int64
        and positions.dim() == 1
        and kind in (MEMORY, TEXT)
        and text_tokens >= 0
        and first >= 0
    )
    if not right:
        raise IntegrityError(f"a segment of {tuple(keys.shape)} {keys.dtype}, expected {expected} {dtype}")
    return Segment(keys, values, positions, text_tokens, kind, first)


def _metadata(data: bytes) -> dict[str, str]:
    """The header's metadata, which `safetensors.torch.load` does not return."""
    import json

    size = int.from_bytes(data[:8], "little")
    if len(data) < 8 or size > min(len(data) - 8, 1 << 20):
        raise IntegrityError("not a segment: the header's length is wrong")
    header = json.loads(data[8 : 8 + size])
    about = header.get("__metadata__") if isinstance(header, dict) else None
    if not isinstance(about, dict):
        raise IntegrityError("not a segment: no metadata")
    return about
