"""The console script: its sub-commands are the commands, listed at once."""

from __future__ import annotations

import re
import resource
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from experiments.runtime import command_line
from experiments.runtime.script import commands, main

ROOT = Path(__file__).parents[3]


def test_all_commands_are_listed_with_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    names = {path.stem for path in (ROOT / "experiments").glob("[a-z]*.py")}
    assert set(commands()) == names
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    for name in names:
        line = next(line for line in text.splitlines() if line.startswith(f"  {name} "))
        assert len(line.split(maxsplit=1)[1]) > 15
        assert "``" not in line
        assert len(line) < 120


def test_the_help_is_there_at_once() -> None:
    code = "import sys; from experiments.runtime.script import main; main(['--help']); print(*sys.modules)"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    # Of the processor, not of the clock: others use the machine, too.
    assert (after.ru_utime - before.ru_utime) + (after.ru_stime - before.ru_stime) < 1.5
    loaded = {name.split(".")[0] for name in done.stdout.splitlines()[-1].split()}
    assert loaded & {"torch", "lightning", "numpy", "matplotlib", "pandas"} == set()


def test_a_sub_command_is_the_command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(command_line, "_started_by_script", False)
    assert main(["check-shards", str(tmp_path)]) == 1
    assert str(tmp_path) in "".join(capsys.readouterr())
    with pytest.raises(SystemExit) as ended:
        main(["pretrain", "--help"])
    assert ended.value.code == 0
    assert "usage: imu-video-har pretrain" in capsys.readouterr().out


def test_an_unknown_command_gets_a_suggestion(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pretrian"]) == 2
    assert "no command 'pretrian'; did you mean 'pretrain'?" in capsys.readouterr().err
    assert main([]) == 2


def test_the_package_installs_it() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    found = re.search(rf'^\[project\.scripts\]\n{command_line.SCRIPT} = "([\w.]+):(\w+)"$', text, re.MULTILINE)
    assert found
    assert getattr(import_module(found[1]), found[2]) is main
