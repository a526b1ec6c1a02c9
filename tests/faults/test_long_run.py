"""The judgement over a long run: what grows is told from what does not; counts are those of the kernel."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import numpy as np
import pytest

from benchmarks.long_run import TOLERANCES, Minute, draw, judge, read, sample

ROOT = Path(__file__).resolve().parents[2]
RECORDED = ROOT / "docs" / "images" / "long_run.csv"


def minutes(count: int = 60, growth_mb: float = 0.0, leaked: float = 0.0) -> list[Minute]:
    noise = np.random.default_rng(0).normal(0, 2, count)
    return [
        Minute(k, 800 + growth_mb * k + noise[k], 500 + growth_mb * k + noise[k], int(11 + leaked * k), 7, 1)
        for k in range(count)
    ]


def test_what_stays_is_flat() -> None:
    assert all(one.flat for one in judge(minutes()))


@pytest.mark.parametrize(
    ("growth_mb", "leaked", "quantities"), [(0.5, 0.0, {"rss_mb", "pss_mb"}), (0.0, 0.05, {"descriptors"})]
)
def test_what_grows_is_not(growth_mb: float, leaked: float, quantities: set[str]) -> None:
    """Half a megabyte a minute is 30 MB an hour, of 800; a descriptor in twenty minutes is three of eleven."""
    assert {one.quantity for one in judge(minutes(60, growth_mb, leaked)) if not one.flat} == quantities


def test_a_line_has_its_slope() -> None:
    ramp = [Minute(k, 600 + k, 100, 10, 5, 1) for k in range(61)]
    rss = judge(ramp)[0]
    assert rss.rise_percent == pytest.approx(100 * 60 / rss.median)  # exactly a line; least squares is linear algebra


def test_a_process_is_counted_as_the_kernel_has_it() -> None:
    before = sample(os.getpid())
    assert before is not None
    files = [os.open("/", os.O_RDONLY) for _ in range(3)]
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    after = sample(os.getpid())
    stop.set()
    thread.join()
    for file in files:
        os.close(file)
    assert after is not None
    assert (after.descriptors - before.descriptors, after.threads - before.threads) == (3, 1)
    assert after.rss_mb >= after.pss_mb > 1
    assert sample(2**22 + 1) is None  # beyond the largest number of a process


def test_the_recorded_run_was_flat() -> None:
    found = read(RECORDED)
    assert len(found) >= 115  # minutes, of two hours
    assert {one.quantity for one in judge(found)} == set(TOLERANCES)
    assert all(one.flat for one in judge(found)), judge(found)
    draw(found, 0)
