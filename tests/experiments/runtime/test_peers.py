"""Processes that meet: all of them end, with words, when one of them stops, dies or does not come."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import time
from collections.abc import Callable

import pytest

from experiments.runtime import peers, stopping
from experiments.runtime.errors import UserError
from experiments.runtime.peers import LOST, Peers
from experiments.runtime.stopping import Interrupted, stoppable

WITHIN_S = 20.0  # a busy machine is slow; without the connections none of them would end at all
Work = Callable[[Peers], None]


class Process:
    """A process that meets the others, does something, and ends as a command would."""

    def __init__(self, rank: int, world: int, port: int, work: Work, within_s: float = 60.0) -> None:
        reader, writer = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's & has ignored
            os.dup2(writer, 2)
            os._exit(_end_of(Peers(rank, world, "127.0.0.1", port, within_s), work))
        os.close(writer)
        self._reader = reader

    def has_met(self) -> None:
        """Wait until it has met the others."""
        assert os.read(self._reader, 1) == b"."

    def ended(self) -> tuple[int, str]:
        """Return the exit code, and what was said."""
        deadline = time.monotonic() + WITHIN_S
        found, status = os.waitpid(self.pid, os.WNOHANG)
        while not found:
            if time.monotonic() > deadline:
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
                raise AssertionError("it hung")
            time.sleep(0.01)
            found, status = os.waitpid(self.pid, os.WNOHANG)
        with os.fdopen(self._reader) as said:
            return os.waitstatus_to_exitcode(status), said.read().lstrip(".")


def _end_of(one: Peers, work: Work) -> int:
    peers._OWN_WORDS_S = 0.3
    stopping.GRACE_S = 1.0
    try:
        with stoppable("command"):
            try:
                one.meet()
                os.write(2, b".")
                work(one)
            except BaseException as error:
                one.end(error)
                raise
            one.end(None)
    except UserError as error:
        os.write(2, str(error).encode())
        return 1
    except Interrupted as error:
        os.write(2, str(error).encode())
        return error.exit_code
    except BaseException as error:
        os.write(2, repr(error).encode())
        return 99
    return 0


def together(one: Peers) -> None:
    one.start_together()


def and_wait(one: Peers) -> None:
    one.start_together()
    time.sleep(WITHIN_S)


def before_the_start(one: Peers) -> None:
    if one.rank == 1:
        time.sleep(WITHIN_S)  # it prepares something
    one.start_together()


def deaf(one: Peers) -> None:
    """Wait in C for what never comes, as for another process in a collective."""
    one.start_together()
    if one.rank == 2:
        time.sleep(WITHIN_S)
    mutex = ctypes.create_string_buffer(128)
    for _ in range(2):
        ctypes.CDLL(None).pthread_mutex_lock(mutex)


@pytest.fixture
def port() -> int:
    with socket.socket() as free:
        free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def start(world: int, port: int, work: Work) -> list[Process]:
    return [Process(rank, world, port, work) for rank in range(world)]


def test_those_who_meet_start_together_and_leave_the_port_to_others(port: int) -> None:
    def work(one: Peers) -> None:
        one.start_together()
        if one.rank == 0:  # as the store of torch.distributed does
            socket.create_server(("", port)).close()

    assert [process.ended() for process in start(3, port, work)] == [(0, "")] * 3


@pytest.mark.parametrize("killed", [0, 2])
@pytest.mark.parametrize("work", [and_wait, before_the_start, deaf])
def test_all_end_with_a_sentence_when_one_is_killed(killed: int, work: Work, port: int) -> None:
    processes = start(3, port, work)
    for process in processes:
        process.has_met()
    time.sleep(0.2)  # all wait
    os.kill(processes[killed].pid, signal.SIGKILL)
    for rank, process in enumerate(processes):
        code, said = process.ended()
        if rank != killed:
            assert (code, said.count(LOST)) == (1, 1), said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("told", [0, 1])
def test_a_signal_to_one_stops_all(number: int, told: int, port: int) -> None:
    processes = start(3, port, before_the_start)
    for process in processes:
        process.has_met()
    os.kill(processes[told].pid, number)
    for process in processes:
        code, said = process.ended()
        assert code == 128 + number, said
        assert said.count("the same command goes on") == 1


def test_a_signal_is_heard_while_others_have_not_come(port: int) -> None:
    first = Process(0, 2, port, together)
    time.sleep(0.5)
    os.kill(first.pid, signal.SIGTERM)
    code, said = first.ended()
    assert code == 143
    assert "stopped by SIGTERM" in said


@pytest.mark.parametrize(("code", "expected"), [(-9, 1), (1, 1), (-15, 143), (143, 143), (130, 130)])
def test_one_that_this_process_has_started_ends_it_before_they_meet(code: int, expected: int, port: int) -> None:
    one = Peers(0, 2, "127.0.0.1", port, 60.0)
    with pytest.raises((UserError, Interrupted)) as ended:
        one.meet(lambda: code)
    one.end(ended.value)
    assert getattr(ended.value, "exit_code", 1) == expected


def test_who_does_not_come_is_named_after_a_while(port: int) -> None:
    first, second = (Process(rank, 3, port, together, within_s=0.6) for rank in (0, 2))
    code, said = first.ended()
    assert code == 1
    assert "2 of 3 processes of this training came within 0.6 s (trainer.start_within_s); process 1 did not" in said
    assert second.ended()[0] == 1


def test_a_first_process_that_is_not_there_is_named_with_its_address(port: int) -> None:
    code, said = Process(1, 2, port, together, within_s=0.5).ended()
    assert code == 1
    assert f"the first process of this training was not found at 127.0.0.1:{port} within 0.5 s" in said


def test_strangers_at_the_port_are_turned_away(port: int) -> None:
    first = Process(0, 2, port, together)
    deadline = time.monotonic() + WITHIN_S
    while True:
        try:
            stranger = socket.create_connection(("127.0.0.1", port), timeout=1)
            break
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    with stranger:
        stranger.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        second = Process(1, 2, port, together)
        assert first.ended() == (0, "")
        assert second.ended() == (0, "")
