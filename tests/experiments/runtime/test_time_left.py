"""Estimates of the time that a run still takes."""

from __future__ import annotations

import pytest

from experiments.runtime.time_left import TimeLeft, in_words


def test_a_continued_run_counts_its_own_steps_alone() -> None:
    now = 100.0
    left = TimeLeft(total=50, done=20, clock=lambda: now)
    assert left.seconds(20) is None
    now = 110.0
    assert left.seconds(25) == pytest.approx(50.0)  # 2 s a step, 25 steps
    assert left.seconds(50) == 0.0
    assert left.elapsed_s == pytest.approx(10.0)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "0 s"), (59.4, "59 s"), (90, "2 min"), (3599, "1 h 0 min"), (7800, "2 h 10 min"), (270000, "3 d 3 h")],
)
def test_durations_in_words(seconds: float, words: str) -> None:
    assert in_words(seconds) == words
