"""Result of a comparison of clocks, and how certain it is.

    certain   the offset can be applied
    likely    the offset is worth a warning
    unknown   nothing can be told

The limits were chosen on simulated recordings, with right and wrong sensors (``benchmarks/clock_warnings.py``).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from datamodules.clock_sync import drift
from datamodules.recording import FloatArray

CERTAIN = 0.95  # least confidence of a certain offset
LEAST_CONFIDENCE = 0.8  # least confidence of a likely offset
LEAST_MARGIN = 1.3  # least margin of a certain or likely offset
DISAGREE_S = 0.1  # clocks disagree if they are further apart than this


def certainty_of(confidence: float, margin: float) -> str:
    """Return ``certain``, ``likely`` or ``unknown``.

    Args:
        confidence: 0 to 1, see ``correlation.Peak``.
        margin: see ``held_out.margin``.
    """
    if margin < LEAST_MARGIN or confidence < LEAST_CONFIDENCE:
        return "unknown"
    return "certain" if confidence >= CERTAIN else "likely"


def verdict_of(certainty: str, apart_s: float, applied: bool = False) -> str:
    """Say in few words if clocks agree.

    Args:
        certainty: ``certain``, ``likely`` or ``unknown``.
        apart_s: how far the clocks are apart, seconds.
        applied: True if the sensor was shifted by the offset.
    """
    if certainty == "unknown" or not math.isfinite(apart_s):
        return "can't tell"
    agree = abs(apart_s) <= DISAGREE_S
    if certainty == "likely":
        return "seem to agree" if agree else "seem to disagree"
    if agree:
        return "agree"
    return "disagreed, shifted" if applied else "disagree"


@dataclass(frozen=True)
class ClockEstimate:
    """Estimated clock offset of one sensor and one camera of a recording.

    Attributes:
        recording, placement, camera: names of the recording, the sensor and the camera.
        view: ``moving`` or ``watching``: the comparison with the higher confidence.
        offset_s: offset to add to the sensor's times at ``reference_s``; NaN if nothing can be compared.
        drift_ppm: growth of the offset, microseconds per second; 0 if unknown.
        drift_error_ppm: half width of the drift's 95 % interval; NaN if unknown.
        reference_s: time on the video's clock at which ``offset_s`` holds.
        spread_s: standard error of the offset, from the scatter of the windows; NaN with one window.
        confidence: 0 to 1, see ``correlation.Peak``.
        correlation: correlation at the best offset, 0 to 1.
        p_value: probability that unrelated motion, at other times or at the same times, shows such a peak.
        margin: by how much the best lag predicts held-out seconds better than any other, see ``held_out.margin``; 0 if
            the confidence is too low to ask.
        lags_s, curve: (L,) lags and their information, for drawing.
        line: offsets by window.
    """

    recording: str
    placement: str
    camera: str
    view: str
    offset_s: float
    drift_ppm: float
    drift_error_ppm: float
    reference_s: float
    spread_s: float
    confidence: float
    correlation: float
    p_value: float
    margin: float
    lags_s: FloatArray
    curve: FloatArray
    line: drift.Line | None

    @property
    def certain(self) -> bool:
        """True if the offset can be applied."""
        return self.certainty == "certain"

    @property
    def certainty(self) -> str:
        """``certain``, ``likely`` or ``unknown``, see ``certainty_of``."""
        return certainty_of(self.confidence, self.margin)

    def offset_at(self, time_s: float) -> float:
        """Return the offset at a time of the video's clock, including a known drift."""
        return self.offset_s + 1e-6 * self.drift_ppm * (time_s - self.reference_s)

    def apart(self, begin_s: float, end_s: float) -> float:
        """Return the largest offset between two times of the video's clock."""
        return max((self.offset_at(begin_s), self.offset_at(end_s)), key=abs)

    def __str__(self) -> str:
        found = f"{1000 * self.offset_s:+.0f} ms" if math.isfinite(self.offset_s) else "no offset"
        if math.isfinite(self.drift_error_ppm):
            found += f", {self.drift_ppm:+.0f} +- {self.drift_error_ppm:.0f} ppm"
        return (
            f"{self.recording}, {self.placement} against {self.camera}: {found} "
            f"(confidence {self.confidence:.2f}, correlation {self.correlation:.2f}, {self.view})"
        )
