"""Naming weights by their content, so that memory is never used with others."""

from __future__ import annotations

import contextlib
import hashlib
import json
from pathlib import Path
from typing import Any

import torch

IDENTITY = "loma-identity.json"
"""File of a merged model: what it was made of. Merging rounds differently on different processors, so the
bytes of the result would name the machine rather than the model."""


def record_identity(folder: Path, identity: str) -> None:
    """Write down what the weights in `folder` were made of."""
    (folder / IDENTITY).write_bytes(_identity_file(identity))


def identity_digest(identity: str) -> str:
    """Digest of weights by what they are made of, as `weights_digest` gives it for their folder."""
    return "b2:" + hashlib.blake2b(_identity_file(identity), digest_size=32).hexdigest()


def _identity_file(identity: str) -> bytes:
    return (json.dumps({"identity": identity}) + "\n").encode()


def weights_digest(folder: Path, model: Any) -> str:
    """Digest of a model's weights: its recorded identity, else blake2b of its safetensors files.

    Args:
        folder: where it was loaded from; may be a hub id that is no folder here.
        model: hashed tensor by tensor where there are no files.
    """
    whole = hashlib.blake2b(digest_size=32)
    if (folder / IDENTITY).is_file():
        whole.update((folder / IDENTITY).read_bytes())
        return "b2:" + whole.hexdigest()
    files = sorted(folder.glob("*.safetensors")) if folder.is_dir() else []
    for file in files:
        whole.update(file.name.encode() + b"\0" + _file_digest(file).encode())
    if not files:
        for key, tensor in sorted(model.state_dict().items()):
            whole.update(key.encode())
            whole.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return "b2:" + whole.hexdigest()


def _file_digest(file: Path) -> str:
    """blake2b of a file. It costs about a second a gigabyte, so it is kept beside it with size and time."""
    stat = file.stat()
    note = file.with_suffix(".digest.json")
    seen = {"size": stat.st_size, "mtime_ns": stat.st_mtime_ns}
    try:
        known = json.loads(note.read_text(encoding="utf-8"))
        if {k: known.get(k) for k in seen} == seen:
            return str(known["blake2b"])
    except (OSError, ValueError, KeyError, AttributeError):
        pass
    with file.open("rb") as handle:
        digest = hashlib.file_digest(handle, lambda: hashlib.blake2b(digest_size=32)).hexdigest()
    with contextlib.suppress(OSError):  # a read-only model folder only costs the hashing again
        note.write_text(json.dumps({**seen, "blake2b": digest}), encoding="utf-8")
    return digest
