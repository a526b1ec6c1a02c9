"""Three levels of certainty, and what is said of clocks."""

from __future__ import annotations

import math

import pytest

from datamodules.clock_sync.result import CERTAIN, DISAGREE_S, LEAST_CONFIDENCE, LEAST_MARGIN, certainty_of, verdict_of


@pytest.mark.parametrize(
    ("confidence", "margin", "expected"),
    [
        (CERTAIN, LEAST_MARGIN, "certain"),
        (CERTAIN - 0.01, LEAST_MARGIN, "likely"),
        (LEAST_CONFIDENCE, LEAST_MARGIN, "likely"),
        (LEAST_CONFIDENCE - 0.01, 9.0, "unknown"),
        # A confident peak that predicts no better than other lags: two strangers who fall in the same second.
        (1.0, LEAST_MARGIN - 0.01, "unknown"),
    ],
)
def test_certainty_needs_both(confidence: float, margin: float, expected: str) -> None:
    assert certainty_of(confidence, margin) == expected


@pytest.mark.parametrize(
    ("certainty", "apart", "applied", "expected"),
    [
        ("certain", DISAGREE_S, False, "agree"),
        ("certain", -DISAGREE_S - 0.01, False, "disagree"),
        ("certain", DISAGREE_S + 0.01, True, "disagreed, shifted"),
        ("likely", DISAGREE_S, False, "seem to agree"),
        ("likely", DISAGREE_S + 0.01, False, "seem to disagree"),
        ("unknown", 0.7, False, "can't tell"),
        ("certain", math.nan, False, "can't tell"),
    ],
)
def test_verdicts(certainty: str, apart: float, applied: bool, expected: str) -> None:
    assert verdict_of(certainty, apart, applied) == expected
