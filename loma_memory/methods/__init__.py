"""Compression methods: one file each, and one line each in the registry below."""

from __future__ import annotations

from loma_memory.errors import UsageError
from loma_memory.methods.apart import CCMConcatApart, CCMMergeApart
from loma_memory.methods.base import Method
from loma_memory.methods.ccm_concat import CCMConcat
from loma_memory.methods.ccm_merge import CCMMerge, CCMMergeEMA
from loma_memory.methods.ccm_stream import CCMStream
from loma_memory.methods.full import Full
from loma_memory.methods.gist import Gist
from loma_memory.methods.gist_online import GistOnline
from loma_memory.methods.heavy_hitter import HeavyHitter
from loma_memory.methods.lococo import LoCoCo
from loma_memory.methods.loma import LoMA, LoMARetell
from loma_memory.methods.mean_pool import MeanPool
from loma_memory.methods.none import NoMemory
from loma_memory.methods.replace import Replace
from loma_memory.methods.window import Window

METHODS: dict[str, type[Method]] = {
    m.name: m
    for m in (
        Full,
        NoMemory,
        Window,
        MeanPool,
        HeavyHitter,
        CCMConcat,
        CCMStream,
        CCMMerge,
        CCMMergeEMA,
        CCMConcatApart,
        CCMMergeApart,
        Replace,
        Gist,
        GistOnline,
        LoMA,
        LoMARetell,
        LoCoCo,
    )
}
"""Every method by the name that users give it."""

DEFAULT_METHOD = CCMConcat.name
"""What chat uses when nothing else is asked for."""


def method(name: str, *, ratio: float | None = None) -> Method:
    """The method called `name`.

    Args:
        name: one of `METHODS`.
        ratio: tokens of text per slot, at least 1; None for the method's own default.

    Raises:
        UsageError: unknown name, or a ratio below 1.
    """
    if name not in METHODS:
        raise UsageError(f"unknown method {name!r}: it must be one of {', '.join(METHODS)}")
    return METHODS[name].create(ratio)


__all__ = ["DEFAULT_METHOD", "METHODS", "Method", "method"]
