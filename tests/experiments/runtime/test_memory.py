"""Freed memory that glibc keeps: it does not come back from the system page by page."""

from __future__ import annotations

import ctypes
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.runtime.memory import keep_freed_memory

glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of glibc")
HUGE = Path("/sys/kernel/mm/transparent_hugepage/enabled")

# A step's worth of memory, freed and asked for again; what is printed are the pages that the system had to give.
_ASK = """
import resource, sys
import numpy as np
from experiments.runtime.memory import keep_freed_memory

kept = keep_freed_memory() if sys.argv[1] == "keep" else None
def step():
    parts = [np.ones(megabytes << 17) for megabytes in (8, 20, 20, 31, 8)]
    return sum(part[-1] for part in parts)
for _ in range(3):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    step()
print(kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def ask(how: str, **said: str) -> tuple[str, int]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    environment |= {"NUMPY_MADVISE_HUGEPAGE": "0", **said}
    done = subprocess.run(
        [sys.executable, "-c", _ASK, how], capture_output=True, text=True, check=True, env=environment
    )
    kept, pages = done.stdout.split()
    return kept, int(pages)


@glibc
@pytest.mark.skipif(HUGE.is_file() and "[always]" in HUGE.read_text(), reason="a huge page is 512 others")
def test_memory_of_a_step_is_kept_for_the_next() -> None:
    _, given_back = ask("as it is")
    kept, pages = ask("keep")
    assert kept == "True"
    assert pages * 10 < given_back  # 87 MB are 22,000 pages of 4 kB, ten times


@glibc
@pytest.mark.parametrize("name", ["MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES"])
def test_who_has_chosen_keeps_the_choice(name: str) -> None:
    assert ask("keep", **{name: "glibc.malloc.check=0" if name == "GLIBC_TUNABLES" else "131072"})[0] == "False"


def test_without_glibc_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("MALLOC_", "GLIBC_"))]:
        monkeypatch.delenv(name)

    def none(name: None) -> object:
        return object()

    monkeypatch.setattr(ctypes, "CDLL", none)
    assert keep_freed_memory() is False
