"""Standard streams that are closed, full, read by nobody or unable to write accents, in processes of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

MADE = """
import os, sys
from experiments.runtime.command_line import guarded
def work():
    data = open(sys.argv[1], "wb")
    os.write(2, b"a library's own warning\\n")
    print("Zoë – 1\\n" * 30000)  # more than a pipe holds
    from experiments.runtime.console import standard_output
    standard_output().print("a table")
    data.write(b"data")
    return 0
sys.exit(guarded(work, "experiments.made"))
"""


def ended(path: Path, shell: str, code: str = MADE, **environment: str) -> tuple[int, str]:
    """Run the command by a shell, which gives it its streams as ``shell`` says; exit code, and what it said."""
    started = subprocess.run(
        ["bash", "-c", f'"$0" -c "$1" "$2" {shell}', sys.executable, code, str(path)],
        capture_output=True,
        text=True,
        env={k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"} | environment,
        timeout=60,
    )
    return started.returncode, started.stderr


def test_who_reads_no_more_ends_a_command_as_shells_have_it(tmp_path: Path) -> None:
    assert ended(tmp_path / "data", "| head -1 >/dev/null; exit ${PIPESTATUS[0]}") == (
        128 + signal.SIGPIPE,
        "a library's own warning\n",
    )


def test_output_that_does_not_fit_is_one_sentence_and_a_failure(tmp_path: Path) -> None:
    assert ended(tmp_path / "data", ">/dev/full") == (
        1,
        "a library's own warning\npython -m experiments.made: standard output can't be written: No space left on"
        " device; files that were written are kept\n",
    )


@pytest.mark.parametrize("shell", ["2>&-", ">&-", "<&- >&- 2>&-"])
def test_a_closed_stream_changes_nothing_and_its_number_goes_to_no_file(tmp_path: Path, shell: str) -> None:
    code, said = ended(tmp_path / "data", shell)
    assert code == 0, said
    assert (tmp_path / "data").read_bytes() == b"data"
    assert "Traceback" not in said


def test_full_streams_are_a_failure(tmp_path: Path) -> None:
    assert ended(tmp_path / "data", ">/dev/full 2>/dev/full")[0] != 0


def test_accents_are_written_by_their_number_where_they_can_not_be_shown(tmp_path: Path) -> None:
    code, said = ended(tmp_path / "data", f">{tmp_path / 'out'}", PYTHONIOENCODING="ascii")
    assert code == 0, said
    assert (tmp_path / "out").read_text(encoding="ascii").startswith("Zo\\xeb \\u2013 1\n")


HELP = "import sys; from experiments.pretrain import main; sys.exit(main(['--help']))"


def test_help_ends_in_the_same_way(tmp_path: Path) -> None:
    assert ended(tmp_path, ">/dev/full", HELP) == (
        1,
        "python -m experiments.pretrain: standard output can't be written: No space left on device; files that were"
        " written are kept\n",
    )


PAUSED = """
import os, sys, time
from experiments.runtime import stopping
from experiments.runtime.command_line import guarded
stopping.GRACE_S = 0.5
def work():
    print("here", flush=True)
    while True:
        os.write(2, b"progress" * 512)
sys.exit(guarded(work, "experiments.made"))
"""


def test_a_pager_that_waits_for_a_key_keeps_no_stopped_command_from_its_end() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", PAUSED], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(0.3)  # now the pipe is full, and nobody reads it
    process.send_signal(signal.SIGTERM)
    try:
        assert process.wait(timeout=15) == 143
    finally:
        process.kill()
        process.communicate()
