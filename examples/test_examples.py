"""Every example runs: on a tiny model, and on the real one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_chat import save_tiny

FOLDER = Path(__file__).parent
ROOT = FOLDER.parent
EXAMPLES = sorted(p.name for p in FOLDER.glob("*.py") if p.stem not in ("common", "test_examples"))
PACKAGES = [ROOT, ROOT / "integrations" / "langchain-loma", ROOT / "integrations" / "llama-index-loma"]


def run(name: str, folder: Path, **more: str) -> str:
    environment = {
        **os.environ,
        "LOMA_EXAMPLE_STORE": f"sqlite:///{folder}/examples.db",
        "PYTHONPATH": os.pathsep.join(map(str, PACKAGES)),
        **more,
    }
    done = subprocess.run(
        [sys.executable, str(FOLDER / name)], env=environment, cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_tiny(tmp_path_factory.mktemp("tiny"), positions=8192)


@pytest.mark.slow
@pytest.mark.parametrize("name", EXAMPLES)
def test_on_a_tiny_model(name: str, tiny_model: str, tmp_path: Path) -> None:
    assert run(name, tmp_path, LOMA_EXAMPLE_MODEL=tiny_model, OMP_NUM_THREADS="1").strip()


@pytest.mark.real
@pytest.mark.parametrize("name", EXAMPLES)
def test_on_the_real_model(name: str, tmp_path: Path) -> None:
    said = run(name, tmp_path)
    print(said)
    assert said.strip()
