"""Segments as bytes: safetensors, in the model's precision, int8 or 4 bits.

int8 and int4 keep one scale for each run of channels of one head of one slot, so a segment of two slots
pays for two slots; a scale for each channel would cost as much as the data at these sizes.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from loma_memory.attention.layout import MEMORY, TEXT
from loma_memory.errors import IntegrityError, UsageError
from loma_memory.memory.segment import Segment

FORMAT = 1
"""Version of the layout of these bytes; part of every fingerprint."""

_ABOUT = "loma"

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
    parts = x.float().reshape(*x.shape[:-1], width // group, group)
    scale = (parts.abs().amax(dim=-1, keepdim=True) / top).clamp(max=65504).half().clamp(min=6e-8)
    whole = (parts / scale.float()).round().clamp(-top, top)
    return whole.flatten(-2), scale[..., 0]


def _unscaled(whole: Tensor, scale: Tensor, dtype: torch.dtype) -> Tensor:
    width = whole.shape[-1]
    parts = whole.float().reshape(*scale.shape, width // scale.shape[-1])
    return (parts * scale.float()[..., None]).reshape(whole.shape).to(dtype)


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
    if segment.scores is not None:
        tensors["scores"] = segment.scores.detach().float().cpu().contiguous()
    about = {
        "format": FORMAT,
        "text_tokens": segment.text_tokens,
        "kind": segment.kind,
        "first_index": segment.first_index,
        "codec": codec,
    }
    # One entry: safetensors writes several in no fixed order, and equal segments must have equal bytes.
    return save(tensors, metadata={_ABOUT: json.dumps(about, sort_keys=True)})


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
        if about["format"] != FORMAT:
            raise IntegrityError(f"segment of format {about['format']}, this version reads {FORMAT}")
        made = CODECS[about["codec"]]
        keys, values = (
            made.unpack({p[2:]: t for p, t in tensors.items() if p.startswith(f"{name}.")}, dtype)
            for name in ("k", "v")
        )
        positions, scores = tensors["positions"], tensors.get("scores")
        kind, text_tokens, first = (_whole(about[k]) for k in ("kind", "text_tokens", "first_index"))
    except IntegrityError:
        raise
    except (SafetensorError, LookupError, ValueError, RuntimeError, TypeError, ArithmeticError) as error:
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
        and (scores is None or (scores.dtype == torch.float32 and tuple(scores.shape) == expected[:3]))
    )
    if not right:
        raise IntegrityError(f"a segment of {tuple(keys.shape)} {keys.dtype}, expected {expected} {dtype}")
    return Segment(keys, values, positions, text_tokens, kind, first, scores=scores)


def _whole(value: Any) -> int:
    if type(value) is not int:
        raise IntegrityError(f"not a segment: {value!r} where a whole number belongs")
    return value


def _metadata(data: bytes) -> dict[str, Any]:
    """The header's description, which `safetensors.torch.load` does not return."""
    size = int.from_bytes(data[:8], "little")
    if len(data) < 8 or size > min(len(data) - 8, 1 << 20):
        raise IntegrityError("not a segment: the header's length is wrong")
    header = json.loads(data[8 : 8 + size])
    about = json.loads(header["__metadata__"][_ABOUT])
    if not isinstance(about, dict):
        raise IntegrityError("not a segment: it is not described")
    return about
