"""Processes that meet: all of them end, with words, when one of them stops, dies or does not come."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from experiments.runtime import greeting, peers, stopping
from experiments.runtime.errors import UserError
from experiments.runtime.greeting import Hello
from experiments.runtime.peers import LOST, Peers
from experiments.runtime.stopping import Interrupted, stoppable

WITHIN_S = 20.0  # a busy machine is slow; without the connections none of them would end at all
Work = Callable[[Peers], None]


class Process:
    """A process that meets the others, does something, and ends as a command would."""

    def __init__(
        self,
        rank: int,
        world: int,
        port: int,
        work: Work,
        within_s: float = 60.0,
        training: str = "this",
        address: str = "127.0.0.1",
        ignored: int = 0,
    ) -> None:
        reader, writer = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's & has ignored
            if ignored:
                signal.signal(ignored, signal.SIG_IGN)
            os.dup2(writer, 2)
            os._exit(_end_of(Peers(rank, world, address, port, within_s, training), work))
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


def and_wait_before(one: Peers) -> None:
    time.sleep(WITHIN_S)  # it prepares something


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


def nothing_to_do(one: Peers) -> None:
    """Find that all is done, as where a run is complete."""


def nothing_to_do_for_the_second(one: Peers) -> None:
    if one.rank != 1:
        one.start_together()


def nothing_to_do_for_the_first(one: Peers) -> None:
    if one.rank:
        one.start_together()


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


def connected(port: int) -> socket.socket:
    """Connect as soon as the first process listens."""
    deadline = time.monotonic() + WITHIN_S
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=10)
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_strangers_at_the_port_are_turned_away(port: int) -> None:
    first = Process(0, 2, port, together)
    with connected(port) as stranger:
        stranger.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        second = Process(1, 2, port, together)
        assert first.ended() == (0, "")
        assert second.ended() == (0, "")


def test_strangers_who_say_nothing_keep_nobody_waiting(port: int) -> None:
    first = Process(0, 2, port, together)
    with contextlib.ExitStack() as strangers:
        for _ in range(3):  # one after another, they would take longer than a process waits for its welcome
            strangers.enter_context(connected(port))
        began = time.monotonic()
        second = Process(1, 2, port, together)
        assert first.ended() == (0, "")
        assert second.ended() == (0, "")
        assert time.monotonic() - began < greeting.ANSWER_S


def test_a_process_that_gave_up_while_the_first_was_busy_comes_again(port: int) -> None:
    first = Process(0, 2, port, together)
    with connected(port) as gave_up:
        os.kill(first.pid, signal.SIGSTOP)
        gave_up.sendall(greeting._FORM.pack(*Hello.of("this", 1, 2)))
    os.kill(first.pid, signal.SIGCONT)
    second = Process(1, 2, port, together)
    assert first.ended() == (0, "")
    assert second.ended() == (0, "")


def test_who_speaks_slowly_is_understood(port: int) -> None:
    first = Process(0, 2, port, nothing_to_do)
    with connected(port) as slow:
        said = greeting._FORM.pack(*Hello.of("this", 1, 2))
        for part in (said[:5], said[5:20], said[20:]):
            slow.sendall(part)
            time.sleep(0.1)
        assert slow.recv(1) == bytes([greeting.WELCOME])
        slow.sendall(bytes([greeting._HERE]))
        assert first.ended() == (0, "")


def test_those_of_two_trainings_at_one_port_do_not_mix(port: int) -> None:
    """As two steps of one Slurm job, which has one port."""
    first = Process(0, 2, port, together, training="one")
    with connected(port):  # it is there first
        stranger = Process(1, 2, port, together, within_s=1.0, training="another")
        code, said = stranger.ended()
        assert code == 1
        assert "within 1 s (trainer.start_within_s): another training is there, or one of another number" in said
        second = Process(1, 2, port, together, training="one")
        assert first.ended() == (0, "")
        assert second.ended() == (0, "")


def test_the_first_process_says_that_one_of_another_number_came(port: int) -> None:
    first, second = Process(0, 2, port, together, within_s=1.5), Process(1, 4, port, together, within_s=1.0)
    assert "process 1 did not (one of another training, or of another number of processes, came)" in first.ended()[1]
    assert second.ended()[0] == 1


def test_who_has_nothing_to_do_may_leave_before_the_last_has_come(port: int) -> None:
    first, second = (Process(rank, 3, port, nothing_to_do) for rank in (0, 1))
    assert second.ended() == (0, "")
    third = Process(2, 3, port, nothing_to_do)
    assert third.ended() == (0, "")
    assert first.ended() == (0, "")


@pytest.mark.parametrize(("work", "left"), [(nothing_to_do_for_the_first, 0), (nothing_to_do_for_the_second, 1)])
def test_nobody_waits_for_one_that_has_left(work: Work, left: int, port: int) -> None:
    for rank, process in enumerate(start(3, port, work)):
        code, said = process.ended()
        assert (code, said.count(LOST)) == ((0, 0) if rank == left else (1, 1)), said


@pytest.mark.parametrize("ignores", [0, 1])
def test_a_process_that_ignores_a_signal_ends_when_it_has_stopped_another(ignores: int, port: int) -> None:
    """As one that a shell has started with &, which Ctrl-C does not stop."""
    processes = []
    for rank in range(2):
        work, ignored = (together, signal.SIGINT) if rank == ignores else (and_wait_before, 0)
        processes.append(Process(rank, 2, port, work, ignored=ignored))
    for process in processes:
        process.has_met()
    os.kill(processes[1 - ignores].pid, signal.SIGINT)
    assert processes[1 - ignores].ended()[0] == 130
    code, said = processes[ignores].ended()
    assert (code, said.count(LOST)) == (1, 1), said


def test_a_connection_to_itself_leaves_the_port_free(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A port that nobody listens at may be drawn for the end that connects, and TCP then connects it to itself."""
    connect, found = socket.create_connection, []

    def from_the_same(address: tuple[str, int], timeout: float) -> socket.socket:
        line = connect(address, timeout, source_address=address)
        found.append(line.getsockname() == line.getpeername())
        return line

    monkeypatch.setattr(socket, "create_connection", from_the_same)
    one = Peers(1, 2, "127.0.0.1", port, 0.1)
    with pytest.raises(UserError, match="Connection refused") as ended:
        one.meet()
    one.end(ended.value)
    assert all(found)
    socket.create_server(("", port)).close()


def test_idle_connections_are_kept_alive(port: int) -> None:
    """Firewalls forget a connection after minutes, and a machine without power says nothing."""
    second = Process(1, 2, port, nothing_to_do)
    one = Peers(0, 2, "127.0.0.1", port, WITHIN_S, "this")
    with stoppable():
        one.meet()
        (line,) = one._others
        assert line.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert line.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) <= 120
        one.end(None)
    assert second.ended() == (0, "")


def test_nothing_is_left_open_after_the_end(port: int) -> None:
    before, threads = _open_files(), threading.active_count()
    second = Process(1, 2, port, together)
    one = Peers(0, 2, "127.0.0.1", port, WITHIN_S, "this")
    one.meet()
    one.start_together()
    one.end(None)
    assert second.ended() == (0, "")
    alone = Peers(0, 2, "127.0.0.1", port, 0.1, "this")
    with pytest.raises(UserError) as ended:
        alone.meet()
    alone.end(ended.value)
    assert (_open_files(), threading.active_count()) == (before, threads)


def _open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@pytest.mark.parametrize("address", ["::1", "localhost"])
def test_they_meet_at_a_name_or_at_an_address_of_version_6(address: str, port: int) -> None:
    try:
        socket.create_server((address, 0), family=socket.AF_INET6 if ":" in address else socket.AF_INET).close()
    except OSError as error:
        pytest.skip(f"this machine has no {address}: {error}")
    processes = [Process(rank, 2, port, together, address=address) for rank in range(2)]
    assert [process.ended() for process in processes] == [(0, "")] * 2
