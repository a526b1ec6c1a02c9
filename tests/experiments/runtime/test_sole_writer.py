"""Two processes that would write into one folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.runtime.errors import UserError
from experiments.runtime.sole_writer import sole_writer, writing_lock

HOLD = """
import sys, time
from pathlib import Path
from experiments.runtime.sole_writer import sole_writer, writing_lock
with sole_writer(Path(sys.argv[1]), "training"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_the_second_is_refused_until_the_first_is_gone_even_if_it_was_killed(tmp_path: Path) -> None:
    first = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path / "run")], stdout=subprocess.PIPE, text=True)
    try:
        assert first.stdout is not None
        assert first.stdout.readline() == "held\n"
        with (
            pytest.raises(UserError, match=rf"process {first.pid} on .* is training there now"),
            sole_writer(tmp_path / "run", "training"),
        ):
            pass
        with sole_writer(tmp_path / "run", "evaluating"):  # another task may be done meanwhile
            pass
    finally:
        os.kill(first.pid, signal.SIGKILL)
        first.wait()
    with sole_writer(tmp_path / "run", "training"):
        pass
    assert not list(tmp_path.glob(".*.owner"))


def test_an_error_frees_the_folder(tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), sole_writer(tmp_path / "new", "training"):
            raise ZeroDivisionError


WAIT = """
import sys, time
from pathlib import Path
from experiments.runtime.sole_writer import turn
with turn(Path(sys.argv[1]), "writes there"):
    print("inside", time.monotonic(), flush=True)
    time.sleep(float(sys.argv[2]))
    print("outside", time.monotonic(), flush=True)
"""


def test_of_two_that_may_both_be_right_the_second_says_that_it_waits(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WAIT, str(tmp_path / "lock")]
    first = subprocess.Popen([*command, "1.5"], stdout=subprocess.PIPE, text=True)
    assert first.stdout is not None
    first.stdout.readline()
    second = subprocess.run([*command, "0"], capture_output=True, text=True, check=True)
    outside = float(first.stdout.read().split()[1])
    first.wait()
    assert float(second.stdout.split()[1]) >= outside
    assert "another process writes there; waiting until it has ended" in second.stdout + second.stderr


def test_the_lock_of_a_folder_is_the_same_by_any_of_its_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    (tmp_path / "link").symlink_to(folder)
    monkeypatch.chdir(folder)
    for name in (".", "", "../out", "../link", str(folder)):
        assert writing_lock(Path(name)) == tmp_path / ".out.writing.lock"
    assert writing_lock(Path("/")) == Path("/.writing.lock")
