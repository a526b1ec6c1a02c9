"""The handler of signals, by real signals; ``test_stopping_training.py`` has them in real commands."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from experiments.runtime import stopping
from experiments.runtime.command_line import guarded, parse
from experiments.runtime.errors import UserError
from experiments.runtime.stopping import (
    SIGNALS,
    Interrupted,
    of_exit_code,
    postpone,
    raise_received,
    received,
    stoppable,
)
from experiments.settings.layers import ConfigError


@pytest.fixture(autouse=True)
def _not_ignored() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # tests in the background of a shell ignore it


def _send(number: int) -> None:
    os.kill(os.getpid(), number)
    time.sleep(0.01)


class _Dropping:
    """Gets a signal where Python drops exceptions."""

    def __del__(self) -> None:
        _send(signal.SIGTERM)


def test_a_signal_whose_exception_python_drops_still_stops(capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> int:
        _Dropping()
        time.sleep(10)
        raise AssertionError("it was not stopped")

    hook, begun = sys.unraisablehook, time.monotonic()
    assert guarded(work, "experiments.features") == 143
    assert time.monotonic() - begun < 8
    said = capsys.readouterr().err
    assert "stopped by SIGTERM; the same command goes on" in said
    assert "Traceback" not in said
    assert sys.unraisablehook is hook


def test_slurm_a_terminal_and_a_machine_that_shuts_down_are_heard() -> None:
    names = {signal.Signals(number).name for number in SIGNALS}
    assert names == {"SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2"}


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_ends_a_command_with_its_own_exit_code_and_a_sentence(
    number: int, capsys: pytest.CaptureFixture[str]
) -> None:
    before = signal.getsignal(number)

    def work() -> int:
        _send(number)
        raise AssertionError("it was not stopped")

    assert guarded(work, "experiments.features") == 128 + number
    assert of_exit_code(128 + number) == of_exit_code(-number) == number
    said = capsys.readouterr().err
    assert f"python -m experiments.features: stopped by {stopping.name_of(number)}; the same command goes on" in said
    assert "Traceback" not in said
    assert signal.getsignal(number) is before
    assert signal.set_wakeup_fd(-1) == -1


def test_exit_codes_that_tell_of_no_signal() -> None:
    assert [of_exit_code(code) for code in (0, 1, 2, 128, 137, -9)] == [0] * 6


def test_a_training_is_given_the_time_to_save() -> None:
    with stoppable():
        assert received() == 0
        postpone(True)
        _send(signal.SIGTERM)
        assert received() == signal.SIGTERM
        postpone(False)
        with pytest.raises(Interrupted, match="saved") as stopped:
            raise_received("saved")
        assert stopped.value.exit_code == 143
    raise_received("outside, nothing was received")


def test_only_a_second_ctrl_c_that_is_none_of_the_same_moment_is_in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    with stoppable():
        postpone(True)
        _send(signal.SIGINT)
        _send(signal.SIGINT)  # the terminal's, and the one that a parent hands on
        _send(signal.SIGTERM)
        assert received() == signal.SIGINT
        monkeypatch.setattr(stopping, "_SAME_S", 0.0)
        _send(signal.SIGTERM)
        with pytest.raises(Interrupted):
            _send(signal.SIGINT)


def test_what_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        with stoppable():
            _send(signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_an_error_that_a_signal_caused_is_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> int:
        postpone(True)
        _send(signal.SIGTERM)
        raise UserError("a worker died")

    assert guarded(work, "experiments.build_shards") == 143
    assert "a worker died" not in capsys.readouterr().err


def test_a_signal_that_a_library_turned_into_its_own_error(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """OmegaConf does so within a copy: an attribute of None, or a wrong setting, where there was a signal."""

    def copy(*_: object) -> int:
        with contextlib.suppress(BaseException):
            _send(signal.SIGTERM)
        raise AttributeError("'NoneType' object has no attribute '_flags'")

    assert guarded(copy, "experiments.made") == 143

    def load(*_: object) -> None:
        try:
            copy()
        except AttributeError as error:
            raise ConfigError(f"a.yaml: shots: {error}") from error

    monkeypatch.setattr("experiments.settings.load.load", load)
    with pytest.raises(SystemExit) as ended:
        parse(["simulator"], "experiments.made", "made up")
    assert ended.value.code == 143
    assert "NoneType" not in capsys.readouterr().err

    def wrong() -> int:
        raise AttributeError("a mistake of our own")

    with pytest.raises(AttributeError, match="our own"):
        guarded(wrong, "experiments.made")


def test_an_inner_one_changes_nothing() -> None:
    with pytest.raises(Interrupted), stoppable(), stoppable():
        _send(signal.SIGUSR1)
    assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL


STUCK = """
import multiprocessing, sys, time
from experiments.runtime import stopping
stopping.GRACE_S = 0.5
if __name__ == "__main__":
    with stopping.stoppable("python -m experiments.made"):
        stopping.postpone(True)
        worker = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
        worker.start()
        print(worker.pid, flush=True)
        while True:  # as a collective that another process never joins
            time.sleep(1)
"""


ENDS = """
import sys, time
from experiments.runtime.command_line import guarded, parse
sys.argv = ["imu-video-har"]
def work():
    print("here", flush=True)
    time.sleep(60)
guarded(work, "experiments.made")
"""


def test_what_comes_to_no_end_is_ended_by_force_and_its_workers_too() -> None:
    process = subprocess.Popen([sys.executable, "-c", STUCK], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    worker = int(process.stdout.readline())
    started = time.monotonic()
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 143
    assert 0.5 <= time.monotonic() - started < 10  # the rest is a slow machine
    assert "python -m experiments.made: stopped by SIGTERM; it came to no end of its own within 0.5 s" in said
    deadline = time.monotonic() + 10
    while Path(f"/proc/{worker}").exists():
        assert time.monotonic() < deadline, "the worker was left behind"
        time.sleep(0.05)


@pytest.mark.parametrize("code", [STUCK, ENDS], ids=["by force", "by itself"])
def test_a_terminal_that_was_closed_changes_nothing(code: str) -> None:
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    process.stderr.close()
    process.send_signal(signal.SIGHUP)
    assert process.wait(timeout=20) == 129


CHILD = """
import os, sys, time
from experiments.runtime.stopping import end_with_parent
if os.fork():
    time.sleep(60)
end_with_parent(0.05)
print(os.getpid(), flush=True)
time.sleep(60)
"""


def test_a_process_of_a_launcher_ends_with_it() -> None:
    process = subprocess.Popen([sys.executable, "-c", CHILD], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    process.kill()
    assert process.stdout.read() == ""  # which ends when the child has ended, too
    process.wait()


def test_a_signal_to_a_process_that_was_forked_is_none_to_its_parent() -> None:
    with stoppable("a command"):
        reader, writer = os.pipe()
        child = os.fork()
        if not child:
            os.write(writer, b"own" if signal.set_wakeup_fd(-1) == -1 else b"the parent's")
            time.sleep(60)
            os._exit(0)
        assert os.read(reader, 20) == b"own"
        os.kill(child, signal.SIGTERM)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGTERM
        assert received() == 0
        os.close(reader)
        os.close(writer)
