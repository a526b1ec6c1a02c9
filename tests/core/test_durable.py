from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from core.durable import TEMPORARY, write_atomically, write_json, write_text

SLOW = """
import sys, time
from pathlib import Path
from core.durable import write_atomically
def write(path):
    path.write_text("half")
    Path(sys.argv[1], "begun").touch()
    time.sleep(600)
write_atomically(Path(sys.argv[1], "file"), write)
"""


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    write_text(tmp_path / "file", "old")

    def fail(path: Path) -> None:
        path.write_text("half of the new")
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="disk is full"):
        write_atomically(tmp_path / "file", fail)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "old"


def test_a_killed_process_leaves_the_old_file(tmp_path: Path) -> None:
    write_text(tmp_path / "file", "old")
    process = subprocess.Popen([sys.executable, "-c", SLOW, str(tmp_path)], cwd=Path(__file__).parents[2])
    deadline = time.monotonic() + 60
    while not (tmp_path / "begun").exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert (tmp_path / "file").read_text() == "old"
    assert len(list(tmp_path.glob(f"{TEMPORARY}*"))) == 1


def test_json_is_written_for_people_and_refuses_what_json_has_not(tmp_path: Path) -> None:
    write_json(tmp_path / "file", {"name": "Zoë", "values": [1.5]})
    text = (tmp_path / "file").read_text(encoding="utf-8")
    assert "Zoë" in text
    assert json.loads(text) == {"name": "Zoë", "values": [1.5]}
    with pytest.raises(ValueError, match="Out of range"):
        write_json(tmp_path / "file", float("nan"))
