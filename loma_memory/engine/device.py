"""Where and in which precision to run, when the user does not say."""

from __future__ import annotations

import torch

from loma_memory.errors import UsageError

_DTYPES = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
    "float64": torch.float64,
}


def pick_device(name: str | None = None) -> torch.device:
    """The named device, or the best one here: cuda, then mps, then cpu.

    Raises:
        UsageError: the name is no device, or there is none of that kind here.
    """
    if name is None:
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise UsageError(
            f"device must be one that exists here (cpu, cuda, mps), got {name!r}: {reason}"
        ) from None
    return device


def pick_dtype(device: torch.device, name: str | None = None) -> torch.dtype:
    """The named dtype, or bfloat16 where the processor computes in it and float32 elsewhere.

    Raises:
        UsageError: unknown name.
    """
    if name is not None:
        if name not in _DTYPES:
            raise UsageError(f"dtype must be one of {', '.join(_DTYPES)}, got {name!r}")
        return _DTYPES[name]
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    if device.type == "cpu":
        return torch.bfloat16 if _cpu_has_bfloat16() else torch.float32
    return torch.float32


def _cpu_has_bfloat16() -> bool:
    check = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    if check is not None and check():
        return True
    check = getattr(torch.cpu, "_is_amx_tile_supported", None)
    return bool(check is not None and check())
