"""The packages are ours alone and whole when installed; their rooms import one way."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# A package may import from itself and from those listed for it.
MAY_IMPORT = {
    "core": set(),
    "datamodules": {"core"},
    "encoders": {"core"},
    "lightning_modules": {"core", "encoders"},
    "experiments": {"core", "datamodules", "encoders", "lightning_modules"},
}
PACKAGES = tuple(MAY_IMPORT)
# The rooms of a package in reading order: each imports only from rooms before it.
READING_ORDER = {
    "core": (
        "errors",
        "suggestions",
        "digest",
        "bounds",
        "shown_text",
        "markdown_text",
        "room",
        "durable",
        "settings",
        "registry",
    ),
    "datamodules": (
        "recording",
        "signal",
        "resampling",
        "handcrafted",
        "formats",
        "io",
        "labels",
        "windows",
        "sources",
        "privacy",
        "clock_sync",
        "augment",
        "sampling",
        "shards",
        "features",
        "build",
        "pretraining",
        "labelled",
        "held_windows",
        "labelled_sets",
    ),
    "encoders": ("contract", "layers", "registry", "weights", "imu", "video", "text"),
    "lightning_modules": (
        "losses",
        "objectives",
        "optim",
        "settings",
        "migration",
        "checkpoint",
        "extensions",
        "monitoring",
        "pretraining",
        "masked_video",
        "probe",
        "finetune",
        "source_classifier",
    ),
    "experiments": (
        "settings",
        "runtime",
        "artifacts",
        "training",
        "evaluation",
        "statistics",
        "inference",
        "reports",
        "privacy",
        "commands",
    ),
}

# Names that a package gives although what is behind them is above it; they are imported when somebody asks.
DOORS = {"encoders": {"load_imu_encoder": "experiments.inference.encoder"}}


def modules_of(package: str) -> Iterator[tuple[Path, str]]:
    """All files of a package, each with its room."""
    for path in sorted((ROOT / package).rglob("*.py")):
        parts = path.relative_to(ROOT / package).with_suffix("").parts
        yield path, room_of(package, parts[0])


def room_of(package: str, name: str) -> str:
    """The room that a module or folder directly below a package stands for."""
    if package == "experiments" and name != "__init__" and (ROOT / package / f"{name}.py").is_file():
        return "commands"
    return name


def imported_by(path: Path) -> Iterator[str]:
    """The modules of ours that a file imports, those inside functions and for type checkers too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            # ``from datamodules import signal`` imports a module too.
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                target = ROOT / name.replace(".", "/")
                yield name if target.is_dir() or target.with_suffix(".py").is_file() else node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


@pytest.mark.parametrize("name", PACKAGES)
def test_no_other_distribution_owns_the_name(name: str) -> None:
    owners = packages_distributions().get(name, [])
    assert set(owners) <= {"imu-video-har"}, f"another distribution installs '{name}': {owners}"


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_import_one_way(package: str) -> None:
    for path, _ in modules_of(package):
        for module in imported_by(path):
            top = module.split(".")[0]
            allowed = top not in PACKAGES or top == package or top in MAY_IMPORT[package]
            assert allowed, f"{path.relative_to(ROOT)} imports {module}"


@pytest.mark.parametrize("package", PACKAGES)
def test_rooms_import_one_way(package: str) -> None:
    order = READING_ORDER[package]
    wrong = []
    for path, room in modules_of(package):
        for module in imported_by(path):
            top, *rest = module.split(".")
            if top != package or not rest or room == "__init__":
                continue
            other = room_of(package, rest[0])
            assert {room, other} <= set(order), f"{path.relative_to(ROOT)} or {module}: a room that has no place"
            if order.index(other) > order.index(room):
                wrong.append(f"{path.relative_to(ROOT)} imports {module}")
    assert not wrong, "\n".join(wrong)


def test_doors_are_those_that_are_listed_and_open_nothing_unasked() -> None:
    code = "import sys, encoders; print([m for m in sys.modules if m.split('.')[0] in ('experiments', 'datamodules')])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    for package in PACKAGES:
        module = importlib.import_module(package)
        doors = getattr(module, "DOORS", {})
        assert doors == DOORS.get(package, {})
        for name, behind in doors.items():
            assert getattr(module, name) is getattr(importlib.import_module(behind), name)
        if package == "experiments":
            continue  # the top: its commands and its registries may import by name
        for path, _ in modules_of(package):
            above = {text.split(".")[0] for text in texts_in(path) if "." in text and " " not in text} & set(PACKAGES)
            allowed = MAY_IMPORT[package] | {package} | {target.split(".")[0] for target in doors.values()}
            assert above <= allowed, f"{path.relative_to(ROOT)} names modules of {above - allowed}"


def texts_in(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def test_no_command_imports_another() -> None:
    for path, room in modules_of("experiments"):
        if room == "commands":
            for module in imported_by(path):
                top, *rest = module.split(".")
                same = top == "experiments" and rest and room_of(top, rest[0]) == "commands"
                assert not same, f"{path.relative_to(ROOT)} imports {module}"


@pytest.mark.parametrize("package", PACKAGES)
def test_no_module_is_in_a_circle(package: str) -> None:
    graph = {}
    for path, _ in modules_of(package):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        graph[name] = {module for module in imported_by(path) if module.startswith(f"{package}.")} - {name}
    done: set[str] = set()

    def visit(name: str, above: tuple[str, ...]) -> None:
        assert name not in above, f"a circle: {' -> '.join([*above[above.index(name) :], name])}"
        if name in graph and name not in done:
            for other in sorted(graph[name]):
                visit(other, (*above, name))
            done.add(name)

    for name in graph:
        visit(name, ())


def test_no_test_imports_another() -> None:
    for path in (ROOT / "tests").rglob("*.py"):
        for module in imported_by(path):
            assert not module.split(".")[-1].startswith("test_"), f"{path.relative_to(ROOT)} imports {module}"


def test_every_folder_is_a_package() -> None:
    for name in PACKAGES:
        for path in (ROOT / name).rglob("*.py"):
            assert (path.parent / "__init__.py").is_file(), path


def test_the_lock_has_hashes_and_no_addresses() -> None:
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert "--hash=sha256:" in text
    assert "://" not in text
    assert "--index-url" not in text
