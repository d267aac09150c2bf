"""Hosts shared by everything in a process that asks for the same model and database."""

from __future__ import annotations

import threading
from typing import Any

from loma_memory.engine.aliases import DEFAULT_MODEL
from loma_memory.engine.engine import shared
from loma_memory.resolve.host import Host
from loma_memory.store import Store

_lock = threading.Lock()
_stores: dict[str, Store] = {}
_hosts: dict[tuple[int, int], Host] = {}


def shared_store(url: str) -> Store:
    """One open store for each URL, opened at the first call."""
    with _lock:
        if url not in _stores:
            _stores[url] = Store.open(url)
        return _stores[url]


def shared_host(store: str | Store, model: str | None = None, **options: Any) -> Host:
    """One host for each engine and store: weights are loaded once, whatever asks for them.

    Args:
        store: database URL, or an open store.
        model: alias, folder or Hugging Face id; None for the default.
        options: of `Engine.load`; those that are None are left to it.

    Raises:
        LomaError: the model or the store cannot be opened.
    """
    opened = shared_store(store) if isinstance(store, str) else store
    given = {name: value for name, value in options.items() if value is not None}
    engine = shared(model or DEFAULT_MODEL, **given)
    with _lock:
        key = (id(engine), id(opened))
        if key not in _hosts or _hosts[key].store is not opened:
            _hosts[key] = Host(engine, opened)
        return _hosts[key]
