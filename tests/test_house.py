"""The rules of the house, checked on the source itself; nothing of the package is imported."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "loma_memory"
FILES = sorted(PACKAGE.rglob("*.py"))

# Lower rooms first. A room imports from itself and from rooms of earlier lines, never from its own line.
LEVELS = [
    {"errors"},
    {"data", "pictures", "text"},
    {"attention"},
    {"memory"},
    {"adapter", "methods"},
    {"engine", "store"},
    {"restore"},
    {"resolve"},
    {"session"},
    {"chat", "training"},
    {"evaluation"},
    {"commands", "server"},
    {"cli", "__main__"},
    {"testing"},
    {"__init__"},
]
LEVEL = {room: level for level, rooms in enumerate(LEVELS) for room in rooms}

# These can run code that lies in a file.
UNSAFE_MODULES = {"pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
MAX_LINES = 400


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def imported_modules(path: Path) -> Iterator[tuple[int, str]]:
    """Line and full dotted name of everything that a file imports, at any depth."""
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = [*package[: len(package) - node.level + 1]] if node.level else []
            for alias in node.names:
                yield (
                    node.lineno,
                    ".".join([*base, *(node.module or "").split("."), alias.name]).replace("..", "."),
                )


def rooms_imported(path: Path) -> Iterator[tuple[int, str]]:
    """Line and room of everything that a file imports from this package."""
    for line, module in imported_modules(path):
        parts = module.split(".")
        if parts[0] == "loma_memory" and parts[1:2] != ["__version__"]:
            room = parts[1] if len(parts) > 1 else "__init__"
            yield line, room if (PACKAGE / room).is_dir() or (PACKAGE / f"{room}.py").exists() else "__init__"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_imports_point_one_way(path: Path) -> None:
    room = room_of(path)
    assert room in LEVEL, f"{room} is a new room: give it a place in LEVELS and in docs/architecture.md"
    for line, other in rooms_imported(path):
        assert other == room or LEVEL[other] < LEVEL[room], f"line {line}: {room} may not import {other}"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_nothing_that_revives_objects_from_bytes(path: Path) -> None:
    for line, module in imported_modules(path):
        assert module.split(".")[0] not in UNSAFE_MODULES, f"line {line}: {module}"
        assert module != "torch.load", f"line {line}: torch.load"
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            assert (node.value.id, node.attr) != ("torch", "load"), f"line {node.lineno}: torch.load"
        if isinstance(node, ast.keyword) and node.arg == "trust_remote_code":
            value = node.value
            assert isinstance(value, ast.Constant), f"line {node.lineno}: trust_remote_code"
            assert value.value is False, f"line {node.lineno}: trust_remote_code"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_finished_and_of_readable_length(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"\b(TODO|FIXME|XXX)\b", text)
    assert len(text.splitlines()) <= MAX_LINES


def undocumented(node: ast.Module | ast.ClassDef, inside: str = "") -> Iterator[str]:
    for child in node.body:
        if not isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        decorators = {ast.unparse(decorator).split(".")[-1] for decorator in child.decorator_list}
        if child.name.startswith("_") or decorators & {"overload", "setter", "deleter", "override"}:
            continue
        if ast.get_docstring(child) is None:
            yield f"{inside}{child.name}"
        if isinstance(child, ast.ClassDef):
            yield from undocumented(child, f"{child.name}.")


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_every_public_name_says_what_it_is(path: Path) -> None:
    tree = tree_of(path)
    assert ast.get_docstring(tree), "the module has no docstring"
    assert list(undocumented(tree)) == []


def project() -> dict[str, object]:
    metadata: dict[str, object] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))[
        "project"
    ]
    return metadata


def test_the_version_is_the_newest_of_the_changelog() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    newest = re.search(r"^## \[(\d[^\]]*)\] - \d{4}-\d\d-\d\d$", changelog, re.MULTILINE)
    assert newest is not None
    assert project()["version"] == newest[1]


def test_the_pins_lie_within_the_promised_ranges() -> None:
    requirements = pytest.importorskip("packaging.requirements")
    pins = {}
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            name, _, version = line.partition("==")
            pins[name.lower().replace("_", "-")] = version
    metadata = project()
    promised = [
        *metadata["dependencies"],
        *(r for extra in metadata["optional-dependencies"].values() for r in extra),
    ]
    for text in promised:
        requirement = requirements.Requirement(text)
        pin = pins.get(requirement.name.lower().replace("_", "-"))
        assert pin is None or requirement.specifier.contains(pin), text
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert f"torch=={pins['torch']}\n" in makefile


def test_the_all_extra_names_every_extra_but_the_developers() -> None:
    extras = project()["optional-dependencies"]
    inside = re.fullmatch(r"loma-memory\[(.*)\]", extras["all"][0])
    assert inside is not None
    assert set(inside[1].split(",")) == set(extras) - {"all", "dev"}
