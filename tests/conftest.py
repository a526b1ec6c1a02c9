"""Settings of hypothesis, torch, signals and the fork server for all tests."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from multiprocessing import forkserver

import pytest
import torch
from helpers.forked import IMPORTED
from hypothesis import settings

# How long an example takes says more about the machine than about the code. The same examples in every run, so that one
# that fails does so again; `pytest --hypothesis-profile=new` looks for others.
settings.register_profile("same", deadline=None, derandomize=True)
settings.register_profile("new", deadline=None)
settings.load_profile("same")

# `nohup` and a shell's & have these ignored, and commands keep that; tests send them to see what they do.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Tensors of tests are small: on a busy machine, threads that wait for each other take most of the time."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True, scope="session")
def one_fork_server() -> Iterator[None]:
    """Let the fork server import what any test needs, not only what the first one to start it asks for.

    A process has one such server. What it lacks, each process that is forked from it imports again: seconds of torch.
    """
    preload = forkserver.set_forkserver_preload
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(forkserver, "set_forkserver_preload", lambda names: preload(IMPORTED))
        yield
