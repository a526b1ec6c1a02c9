"""docs/guides/your-data.md: its commands run word for word on a made study, and its tables name every key there is."""

from __future__ import annotations

import dataclasses
import os
import re
import shlex
import subprocess
import sys
import typing
from pathlib import Path

import pytest
from helpers.made_study import simulate, write_study

from datamodules.sources.manifest.spec import ManifestSpec

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "guides" / "your-data.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


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


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_commands_word_for_word(tmp_path: Path) -> None:
    write_study(tmp_path / "study", simulate(3, 75.0, frame_rate=6.0, cameras=("head",)), size=96)
    for text in blocks("yaml"):
        name = re.match(r"# (\S+)\n", text)
        assert name, text
        # The people are simulated, which every table must say.
        (tmp_path / name[1]).write_text(text + ("simulated: true\n" if "manifest" in name[1] else ""))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    printed = {}
    for block in blocks("bash"):
        for line in block.strip().splitlines():
            program, *arguments = shlex.split(line)
            assert program == "python"
            result = subprocess.run(
                [sys.executable, *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True
            )
            assert result.returncode == 0, f"{line}\n{result.stdout}\n{result.stderr}"
            printed[arguments[1]] = result.stdout
    assert "All plausible." in printed["experiments.check_import"]
    assert (tmp_path / "study" / "windows.png").stat().st_size > 10_000
    assert "all good" in printed["experiments.check_shards"]
    page = (tmp_path / "runs" / "experiment" / "default" / "report.html").read_text(encoding="utf-8")
    assert "linear probe" in page.lower()
    assert "simulated" in page.lower()
