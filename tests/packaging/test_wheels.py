"""What the wheels hold: all packages in one, and nothing in those that only carry a name."""

from __future__ import annotations

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHIMS = sorted((ROOT / "integrations" / "shims").iterdir())

pytestmark = pytest.mark.slow


def built(folder: Path, into: Path) -> list[str]:
    """Names of the files in the wheel of a project."""
    pytest.importorskip("hatchling")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(into)],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    (wheel,) = into.glob("*.whl")
    return zipfile.ZipFile(wheel).namelist()


def test_one_wheel_ships_all_packages(tmp_path: Path) -> None:
    names = built(ROOT, tmp_path)
    for name in (
        "loma_memory/chat.py",
        "langchain_loma/chat_models.py",
        "langchain_loma/py.typed",
        "llama_index/llms/loma/base.py",
        "llama_index/memory/loma/base.py",
    ):
        assert name in names
    # `llama_index` belongs to many distributions: a file of its own there would break the others.
    for shared in ("llama_index", "llama_index/llms", "llama_index/memory"):
        assert f"{shared}/__init__.py" not in names
    assert not [n for n in names if n.startswith(("integrations", "tests"))]


@pytest.mark.parametrize("shim", SHIMS, ids=lambda p: p.name)
def test_a_shim_ships_nothing_and_asks_for_this_version(shim: Path, tmp_path: Path) -> None:
    names = built(shim, tmp_path)
    assert all(".dist-info/" in n for n in names)
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    mine = tomllib.loads((shim / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert mine["version"] == version
    assert mine["dependencies"][0].endswith(f"=={version}")
    assert mine["name"] == shim.name
