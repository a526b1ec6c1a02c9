"""The four top-level packages are ours alone, and whole when installed."""

from __future__ import annotations

import ast
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("datamodules", "encoders", "lightning_modules", "experiments")
# Imports run one way: a folder may import from those listed for it.
ALLOWED = {
    "datamodules": {"datamodules"},
    "encoders": {"encoders"},
    "lightning_modules": {"lightning_modules", "encoders"},
    "experiments": set(PACKAGES),
}


@pytest.mark.parametrize("name", PACKAGES)
def test_no_other_distribution_owns_the_name(name: str) -> None:
    owners = packages_distributions().get(name, [])
    assert set(owners) <= {"imu-video-har"}, f"another distribution installs '{name}': {owners}"


@pytest.mark.parametrize("name", PACKAGES)
def test_imports_run_one_way(name: str) -> None:
    for path in sorted((ROOT / name).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            modules = []
            if isinstance(node, ast.ImportFrom) and node.module:
                modules = [node.module]
            elif isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            for module in modules:
                top = module.split(".")[0]
                assert top not in PACKAGES or top in ALLOWED[name], f"{path.relative_to(ROOT)} imports {module}"


def test_every_folder_is_a_package() -> None:
    for name in PACKAGES:
        for path in (ROOT / name).rglob("*.py"):
            assert (path.parent / "__init__.py").is_file(), path


def test_the_lock_has_hashes_and_no_addresses() -> None:
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert "--hash=sha256:" in text
    assert "://" not in text
    assert "--index-url" not in text
