"""docs/guides/your-data.md: its commands run word for word from an installed package, and its tables name every key."""

from __future__ import annotations

import dataclasses
import importlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import typing
from pathlib import Path

import pytest

from datamodules.sources.manifest.spec import ManifestSpec
from experiments.example_study import experiment_text, manifest_text

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "guides" / "your-data.md").read_text(encoding="utf-8")
PACKAGES = ("core", "datamodules", "encoders", "lightning_modules", "experiments")
INSTALL = ["python3 -m venv env", "source env/bin/activate", "pip install ./imu-video-har"]


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


def commands() -> list[str]:
    """All lines of the guide's shell blocks below the installation."""
    lines = [line for block in blocks("bash") for line in block.strip().splitlines()]
    assert lines[: len(INSTALL)] == INSTALL
    return lines[len(INSTALL) :]


def specs(cls: type) -> set[type]:
    """A dataclass and all that its fields hold."""
    found, todo = set(), [cls]
    while todo:
        current = todo.pop()
        if dataclasses.is_dataclass(current):
            found.add(current)
            todo += list(typing.get_type_hints(current).values())
        else:
            todo += [argument for argument in typing.get_args(current) if argument is not type(None)]
    return found


def test_every_key_is_explained() -> None:
    explained = (
        set(re.findall(r"`(\w+)`", TEXT)) | set(re.findall(r"`\{?(\w+):", TEXT)) | {"column", "rate_hz", "repeated"}
    )
    for spec in specs(ManifestSpec):
        for field in dataclasses.fields(spec):
            assert field.name in explained, f"{spec.__name__}.{field.name}"


def test_the_files_that_it_shows_are_those_that_its_commands_write() -> None:
    shown = {block.splitlines()[0]: block for block in blocks("yaml") if block.startswith("# ")}
    assert shown == {
        "# study/manifest.yaml": manifest_text("study"),
        "# study/experiment.yaml": experiment_text("study"),
        "# motion_study/experiment.yaml": experiment_text("motion_study", video=False),
    }


def test_the_first_steps_without_video(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    steps = [shlex.split(line)[2:] for line in commands() if "motion_study" in line][:2]
    assert [module for module, *_ in steps] == ["experiments.example_study", "experiments.check_import"]
    (make, *making), (check, *checking) = steps
    assert importlib.import_module(make).main([*making, "--seconds", "20"]) == 0
    assert importlib.import_module(check).main(checking) == 0
    assert "All plausible." in capsys.readouterr().out


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which pip installed the project's own packages; what they need is there already."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("site")
    for name in PACKAGES:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "--target", str(target), str(source)], check=True)
    return target


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_commands_word_for_word(tmp_path: Path, installed: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(installed), "OMP_NUM_THREADS": "1"}

    def python(*arguments: str) -> str:
        result = subprocess.run(
            [sys.executable, *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert result.returncode == 0, f"{arguments}\n{result.stdout}\n{result.stderr}"
        return result.stdout

    # The installed packages are run, not those of the repository.
    assert python("-c", "import experiments; print(experiments.__file__)").startswith(str(installed))
    printed = {}
    for line in commands():
        program, *arguments = shlex.split(line)
        assert program == "python", line
        printed[line] = python(*arguments)
    for line, text in printed.items():
        if "check_import" in line:
            assert "All plausible." in text
    assert printed["python -m experiments.check_shards data/shards/experiment"].count("all good") == 2
    assert (tmp_path / "study" / "windows.png").stat().st_size > 10_000
    assert (tmp_path / "study" / "manifest.yaml").read_text() in TEXT
    runs = tmp_path / "runs" / "experiment"
    assert (runs / "default" / "preview" / "window-00000.png").is_file()
    assert (runs / "default" / "checkpoints" / "last.ckpt").is_file()
    assert (runs / "default" / "head" / "README.md").is_file()
    assert (tmp_path / "predictions" / "predictions.csv").read_text().count("P04_1") > 10
    for name in ("default", "no_video", "elsewhere"):
        page = (runs / name / "report.html").read_text(encoding="utf-8")
        assert "linear probe" in page.lower(), name
        assert "simulated" in page.lower(), name
