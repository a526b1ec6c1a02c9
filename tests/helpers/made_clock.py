"""An estimate of clocks as a test wants it."""

import math

import numpy as np

from datamodules.clock_sync import ClockEstimate


def made_estimate(
    offset: float, confidence: float = 1.0, drift: float = 0.0, error: float = math.nan, margin: float = 3.0
) -> ClockEstimate:
    """Of the sensor ``head`` against the camera ``c``, meant at 15 s."""
    curve = np.zeros(3)
    return ClockEstimate(
        recording="r",
        placement="head",
        camera="c",
        view="moving",
        offset_s=offset,
        drift_ppm=drift,
        drift_error_ppm=error,
        reference_s=15.0,
        spread_s=math.nan,
        confidence=confidence,
        correlation=0.5,
        p_value=1 - confidence,
        margin=margin,
        lags_s=curve,
        curve=curve,
        line=None,
    )
