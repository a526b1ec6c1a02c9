"""From scores to rows, bouts, hours and days, by hand."""

from __future__ import annotations

from datetime import timezone
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from numpy.typing import NDArray

from experiments.evaluation.timeline import Row, Scores, bouts_of, rows_of, smooth
from experiments.inference.summary import Clock, by_day, by_hour

CLASSES = ("sit", "walk")


def every_5_s(windows: int) -> NDArray[np.float64]:
    return np.arange(windows, dtype=np.float64) * 5


def scores(*walking: float, reasons: dict[int, str] | None = None, end: float | None = None) -> Scores:
    """Windows of 5 s with these probabilities of walking; NaN for none."""
    starts = every_5_s(len(walking))
    named = np.array([(reasons or {}).get(i, "") for i in range(len(walking))], "U16")
    p = np.array(walking)
    return Scores(starts, np.stack([1 - p, p], axis=1), named, 5.0 * len(walking) if end is None else end)


def test_smoothing_is_a_quarter_half_quarter_within_what_is_measured() -> None:
    found = smooth(scores(1, 0, 1, np.nan, 0.2).probabilities, every_5_s(5), 5.0)[:, 1]
    # Ends and neighbours of gaps share the missing weight: (1/2 + 0) / (3/4).
    np.testing.assert_allclose(found, [2 / 3, 0.5, 2 / 3, np.nan, 0.2], atol=1e-12)
    apart = smooth(scores(1, 0).probabilities, np.array([0.0, 60.0]), 5.0)[:, 1]
    np.testing.assert_allclose(apart, [1, 0])
    whole = smooth(np.random.default_rng(0).dirichlet([1, 1, 1], 50), every_5_s(50), 5.0)
    np.testing.assert_allclose(whole.sum(axis=1), 1)


def test_gaps_are_rows_of_their_own_and_joined() -> None:
    found = rows_of("r", scores(0.9, np.nan, np.nan, 0.9, reasons={1: "gap", 2: "gap"}, end=22.5), CLASSES, 5.0)
    assert [(r.start, r.end, r.label, r.reason) for r in found] == [
        (0, 5, "walk", ""),
        (5, 15, "gap", "gap"),
        (15, 20, "walk", ""),
        (20, 22.5, "gap", "remainder"),
    ]
    assert np.isnan(found[1].probability)


def test_unsure_is_below_the_threshold_and_not_worn_comes_first() -> None:
    found = rows_of("r", scores(0.55, 0.9, 0.9), CLASSES, 5.0, 0.6, smoothed=False)
    assert [r.label for r in found] == ["unsure", "walk", "walk"]
    assert found[0].activity == "walk"  # what it would have been
    off = rows_of("r", scores(0.9, 0.9, np.nan, 0.9), CLASSES, 5.0, not_worn=np.array([[7.0, 15.0]]))
    assert [(r.start, r.end, r.label) for r in off] == [(0, 5, "walk"), (5, 15, "non-wear"), (15, 20, "walk")]


def test_bouts_end_at_other_activities_gaps_and_doubt() -> None:
    rows = rows_of("r", scores(0.9, 0.8, 0.5, 0.9, np.nan, 0.9, 0.1), CLASSES, 5.0, 0.6, smoothed=False)
    found = [(b.activity, b.start, b.end, b.windows, round(b.probability, 6)) for b in bouts_of(rows)]
    assert found == [
        ("walk", 0, 10, 2, 0.85),
        ("walk", 15, 20, 1, 0.9),
        ("walk", 25, 30, 1, 0.9),
        ("sit", 30, 35, 1, 0.9),
    ]


def row(start: float, end: float, label: str = "walk") -> Row:
    return Row("r", start, end, label, 0.9, "")


def test_hours_and_days_split_rows_and_lose_nothing() -> None:
    clocks = {"r": Clock.of(100.0, timezone.utc)}  # no calendar: counted from the begin
    rows = [row(100, 3690), row(3690, 3710, "sit"), row(3710, 100 + 90000)]
    hours = by_hour(rows, clocks)
    assert hours[0].unit == "hour 1"
    assert hours[0].seconds == {"walk": 3590, "sit": 10}
    assert hours[1].seconds == {"sit": 10, "walk": 3590}
    assert sum(sum(h.seconds.values()) for h in hours) == pytest.approx(90000)
    assert [(d.unit, sum(d.seconds.values())) for d in by_day(rows, clocks)] == [("day 1", 86400), ("day 2", 3600)]


def test_calendar_days_are_those_of_the_zone() -> None:
    midnight = 1714687200.0  # 2024-05-03 00:00 in Berlin
    zone = ZoneInfo("Europe/Berlin")
    clocks = {"r": Clock.of(midnight - 60, zone)}
    found = by_day([row(midnight - 60, midnight + 30)], clocks)
    assert [(d.unit, d.seconds["walk"]) for d in found] == [("2024-05-02", 60), ("2024-05-03", 30)]
    assert clocks["r"].text(midnight) == "2024-05-03 00:00:00"
    # The day on which clocks go forward has 23 hours.
    spring = 1711839600.0  # 2024-03-31 00:00 in Berlin
    rows = [row(spring + 60 * k, spring + 60 * (k + 1)) for k in range(24 * 60)]
    days = by_day(rows, {"r": Clock.of(spring, zone)})
    assert [d.seconds["walk"] for d in days] == [23 * 3600, 3600]
