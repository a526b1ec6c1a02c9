"""Output of commands: names from data can't move a terminal's cursor or turn letters round."""

from __future__ import annotations

import errno
import io
from pathlib import Path

import pytest
from rich.table import Table
from rich.text import Text

from core import room
from experiments.runtime.command_line import EXIT_FAILED, EXIT_OK, guarded
from experiments.runtime.console import SafeConsole
from experiments.runtime.errors import UserError

EVIL = "P\x1b[2J\u202e01"
SHOWN = "P<U+001B>[2J<U+202E>01"


def test_consoles_show_hidden_characters_and_keep_their_own_colours() -> None:
    stream = io.StringIO()
    console = SafeConsole(file=stream, force_terminal=True, width=100)
    table = Table(title="a table")
    table.add_column("subject")
    table.add_row(EVIL)
    for part in (EVIL, Text(EVIL, style="bold"), table):
        console.print(part, markup=False, highlight=False)
    text = stream.getvalue()
    assert text.count(SHOWN) == 3
    assert "\x1b[2J" not in text
    assert "\u202e" not in text
    assert "\x1b[1m" in text


def test_commands_show_hidden_characters_on_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> int:
        print(f"one\t{EVIL}\ntwo")
        return EXIT_OK

    assert guarded(work, "experiments.preview") == EXIT_OK
    assert capsys.readouterr().out == f"one\t{SHOWN}\ntwo\n"


def test_messages_show_hidden_characters(capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> int:
        raise UserError(f"no subject '{EVIL}'")

    assert guarded(work, "experiments.preview") == EXIT_FAILED
    assert capsys.readouterr().err == f"python -m experiments.preview: no subject '{SHOWN}'\n"


def test_a_lack_of_descriptors_and_of_room_are_sentences(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    def too_many() -> int:
        raise OSError(errno.EMFILE, "Too many open files", "shards/a.h5")

    def full() -> int:
        raise OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "events"))

    assert guarded(too_many, "experiments.preview") == EXIT_FAILED
    assert "shards/a.h5 can't be opened: this process may hold" in capsys.readouterr().err
    assert guarded(full, "experiments.preview") == EXIT_FAILED
    assert "events: no space left: it needs more, and" in capsys.readouterr().err


def test_a_lack_of_processes_of_threads_and_of_shared_memory_are_sentences(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fork() -> int:
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    def thread() -> int:
        try:
            raise RuntimeError("can't start new thread")
        finally:  # what a library says while it cleans up
            raise RuntimeError("cannot join thread before it is started")

    def semaphore() -> int:
        raise FileNotFoundError(errno.ENOENT, "No such file or directory")

    for work in (fork, thread):
        assert guarded(work, "experiments.preview") == EXIT_FAILED
        said = capsys.readouterr().err
        assert said.startswith("python -m experiments.preview: no further process or thread could be started: ")
        assert said.count("\n") == 1
    monkeypatch.setattr(room, "_SHARED", tmp_path / "shm")
    assert guarded(semaphore, "experiments.preview") == EXIT_FAILED
    assert f"{tmp_path}/shm: not there; worker processes need it" in capsys.readouterr().err
    with pytest.raises(RuntimeError, match="a mistake of ours"):
        guarded(mistaken, "experiments.preview")


def mistaken() -> int:
    raise RuntimeError("a mistake of ours")
