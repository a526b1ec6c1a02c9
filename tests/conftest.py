"""Puts this folder on the path, so that tests find ``real_data`` and other helpers beside it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import pytest
import torch

_status = 0


def pytest_sessionfinish(exitstatus: int) -> None:
    """Keeps what the run is to end with."""
    global _status
    _status = int(exitstatus)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure() -> None:
    """End without taking the interpreter down piece by piece.

    A whole run has loaded torch, decord, PyArrow, h5py and threads of Dask, fsspec and an S3 server into one process.
    When all tests of datamodules are done and reported, the process then crashes while the interpreter ends (SIGSEGV),
    which says nothing about the tests. Which of these it is, is not known.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(_status)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Tensors of tests are small: on a busy machine, threads that wait for each other take most of the time."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
