"""Estimate of the offset between a recording's sensor and its camera.

Sign: **sensor stamps + offset = video stamps**, as for ``Recording.imu_clock_offset_s``. The recording's stated offset
is added first; the estimate is the remaining offset.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datamodules.clock_sync import chance, drift, motion_signals, picture_flow, stretches
from datamodules.clock_sync.correlation import (
    NOTHING,
    Peak,
    add,
    find_peak,
    information,
)
from datamodules.clock_sync.motion_signals import RATE_HZ, SeenMotion
from datamodules.recording import FloatArray, ImuStream, Recording
from datamodules.windows.cut import select_imu

CERTAIN = 0.95  # an estimate is reliable from this confidence on
VIEWS = ("auto", "moving", "watching")
_MAX_RATE_HZ = 32.0  # faster video is thinned out to about this rate


@dataclass(frozen=True)
class ClockSettings:
    """Settings of the comparison of clocks.

    Attributes:
        max_offset_s: the search covers offsets from minus to plus this, seconds.
        view: ``moving`` for a worn camera (compares the picture's flow with angular and linear velocity), ``watching``
            for a camera that films the person (compares amounts of motion), or ``auto``, which tries both.
        max_video_s: total length of the analysed video, seconds. In a longer video, windows of ``window_s`` are spread
            evenly.
        window_s: length of a window that gets its own offset, seconds.
        context_s: length of the sensor's data around a window that serves as unrelated motion, seconds.
    """

    max_offset_s: float = 2.0
    view: str = "auto"
    max_video_s: float = 180.0
    window_s: float = 20.0
    context_s: float = 60.0

    def check(self) -> None:
        """Check all settings.

        Raises:
            ValueError: a setting is out of range; the message names it and the expected range.
        """
        if self.view not in VIEWS:
            raise ValueError(f"view is '{self.view}'; expected one of {', '.join(VIEWS)}")
        for name in ("max_offset_s", "max_video_s", "window_s", "context_s"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"{name} is {value}; expected a number of seconds greater than 0")


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
        confidence: 0 to 1, see ``correlation.Peak``; from ``CERTAIN`` on the estimate is reliable.
        correlation: correlation at the best offset, 0 to 1.
        p_value: probability that unrelated motion, at other times or at the same times, shows such a peak.
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
    lags_s: FloatArray
    curve: FloatArray
    line: drift.Line | None

    @property
    def certain(self) -> bool:
        """True if the confidence reaches ``CERTAIN``."""
        return self.confidence >= CERTAIN

    def offset_at(self, time_s: float) -> float:
        """Return the offset at a time of the video's clock, including a known drift."""
        return self.offset_s + 1e-6 * self.drift_ppm * (time_s - self.reference_s)

    def __str__(self) -> str:
        found = f"{1000 * self.offset_s:+.0f} ms" if math.isfinite(self.offset_s) else "no offset"
        if math.isfinite(self.drift_error_ppm):
            found += f", {self.drift_ppm:+.0f} +- {self.drift_error_ppm:.0f} ppm"
        return (
            f"{self.recording}, {self.placement} against {self.camera}: {found} "
            f"(confidence {self.confidence:.2f}, correlation {self.correlation:.2f}, {self.view})"
        )


def estimate_clock(
    recording: Recording, placement: str, camera: str, settings: ClockSettings | None = None
) -> ClockEstimate:
    """Estimate the offset, and in long recordings the drift, from the motion that camera and sensor both record.

    Args:
        recording: a recording that passed ``checks.check_recording``.
        placement: placement of the sensor; ``any`` takes the recording's only sensor.
        camera: name of the camera.
        settings: settings of the comparison; None takes the defaults.

    Returns:
        The estimate. Its confidence is low if there is nothing to compare: no motion, no overlap, a black picture.

    Raises:
        RecordingError: there is no such sensor or camera, or a frame can't be decoded.
        ValueError: a setting is out of range.
    """
    settings = settings or ClockSettings()
    settings.check()
    stream = select_imu(recording, placement)
    video = recording.video(camera)
    frame_times = video.frame_times()
    seen = motion_signals.measure_video(video, frame_times, choose_frames(frame_times, settings))
    return compare(seen, shifted(stream, recording.imu_clock_offset_s), recording.name, camera, settings)


def shifted(stream: ImuStream, offset_s: float, drift_ppm: float = 0.0, reference_s: float = 0.0) -> ImuStream:
    """Add ``offset_s``, and the drift since ``reference_s`` (a time on the new clock), to the times of a stream."""
    times, repeated = (shifted_times(old, offset_s, drift_ppm, reference_s) for old in (stream.times, stream.repeated))
    return dataclasses.replace(stream, times=times, repeated=repeated)


def shifted_times(times: FloatArray, offset_s: float, drift_ppm: float = 0.0, reference_s: float = 0.0) -> FloatArray:
    """Shift times (N,) as :func:`shifted` does."""
    return times + offset_s + 1e-6 * drift_ppm * (times + offset_s - reference_s)


def choose_frames(frame_times: FloatArray, settings: ClockSettings) -> NDArray[np.int64]:
    """Choose the frames to analyse: all of a short video, windows spread over a long one, at about 32 Hz at most.

    Args:
        frame_times: (N,) seconds.
        settings: settings of the comparison.
    """
    if frame_times.size < 2:
        return np.arange(frame_times.size)
    rate = 1 / float(np.median(np.diff(frame_times)))
    indices = np.arange(0, frame_times.size, max(1, round(rate / _MAX_RATE_HZ)))
    times = frame_times[indices]
    length = float(times[-1] - times[0])
    if length <= settings.max_video_s:
        return indices
    count = max(1, int(settings.max_video_s / settings.window_s))
    starts = times[0] + np.linspace(0.0, length - settings.window_s, count)
    inside = np.zeros(times.size, bool)
    for start in starts:
        inside |= (times >= start) & (times < start + settings.window_s)
    return indices[inside]


def compare(
    seen: SeenMotion, stream: ImuStream, name: str, camera: str, settings: ClockSettings | None = None
) -> ClockEstimate:
    """Estimate the offset as :func:`estimate_clock` does, from frames that were analysed before.

    Analysing the frames is the costly part, which several estimates can share.

    Args:
        seen: motion in the video.
        stream: samples of the sensor.
        name: name of the recording.
        camera: name of the camera.
        settings: settings of the comparison; None takes the defaults.
    """
    settings = settings or ClockSettings()
    settings.check()
    views = [settings.view] if settings.view != "auto" else ["moving", "watching"]
    found = [_compare_view(view, seen, stream, name, camera, settings) for view in views]
    best, simultaneous_p_value = max(found, key=lambda each: (each[0].confidence, each[0].correlation))
    share = best.confidence / (1 - best.p_value) if best.p_value < 1 else 0.0
    # The peak must be unlikely both for motion at other times and for motion at the same times: take the larger
    # p-value. The exponent corrects for choosing the better of two views.
    p_value = 1 - (1 - max(best.p_value, simultaneous_p_value())) ** len(found)
    return dataclasses.replace(best, p_value=p_value, confidence=(1 - p_value) * share)


def _compare_view(
    view: str, seen: SeenMotion, stream: ImuStream, name: str, camera: str, settings: ClockSettings
) -> tuple[ClockEstimate, Callable[[], float]]:
    """Estimate the offset in one view, with the p-value for motion at other times.

    Returns:
        The estimate, and a function that computes the costly p-value for motion at the same times
        (``chance.simultaneous_p_value``).
    """
    if view == "moving":
        pictures, measured = picture_flow.principal_parts(seen.flow), motion_signals.angular_and_linear_velocity(stream)
    else:
        pictures, measured = seen.speed[:, None], motion_signals.amount_of_motion(stream)
    measured = np.where(motion_signals.lost_samples(stream)[:, None], np.nan, measured)
    lags = np.arange(-round(settings.max_offset_s * RATE_HZ), round(settings.max_offset_s * RATE_HZ) + 1)
    lags_s = lags / RATE_HZ
    known = np.isfinite(pictures).all(axis=1)
    length = 2 * (settings.context_s + settings.max_offset_s + stretches.GUARD_S) + 1.5 * settings.window_s
    windows, centres, far, pairs = [], [], [], []
    if known.sum() >= 2 and stream.times.size >= 2:
        for start, end in stretches.cut(seen.times[known], settings.window_s):
            both = stretches.signals(
                seen.times, pictures, stream.times, measured, (start, end), settings.max_offset_s, length
            )
            if both is None:
                continue
            near, unrelated = stretches.moments(*both, lags)
            windows.append(near)
            far.append(unrelated)
            pairs.append(both)
            centres.append((start + end) / 2)
    channels = (pictures.shape[1], measured.shape[1])
    if not windows:
        unknown = np.full(lags.size, np.nan)
        return _estimate(name, stream, camera, view, NOTHING, lags_s, unknown, math.nan, None), lambda: 1.0
    reference = float(np.mean(centres))
    times = np.array(centres) - reference
    slope = 0.0
    if np.ptp(times) >= drift.LEAST_SPAN_S:
        slope = drift.find_drift(windows, times, lags_s, channels[0])
    moments = drift.sum_along_drift(windows, times, slope, 1 / RATE_HZ)
    curve = information(moments, channels[0])
    peak = find_peak(lags_s, curve, information(add(far), channels[0]), channels)
    line = drift.fit_line(windows, times, lags_s, peak.offset_s, slope, channels[0]) if peak is not NOTHING else None

    def simultaneous_p_value() -> float:
        if peak is NOTHING:
            return 1.0
        shifts = [round(slope * 1e-6 * time * RATE_HZ) for time in times.tolist()]
        products = [chance.block_products(*pair, int(lags[-1]), s) for pair, s in zip(pairs, shifts, strict=True)]
        return chance.simultaneous_p_value(products, moments, channels[0], float(np.nanmax(curve)))

    return _estimate(name, stream, camera, view, peak, lags_s, curve, reference, line), simultaneous_p_value


def _estimate(
    name: str,
    stream: ImuStream,
    camera: str,
    view: str,
    peak: Peak,
    lags_s: FloatArray,
    curve: FloatArray,
    reference_s: float,
    line: drift.Line | None,
) -> ClockEstimate:
    return ClockEstimate(
        recording=name,
        placement=stream.placement,
        camera=camera,
        view=view,
        offset_s=peak.offset_s,
        drift_ppm=line.drift_ppm if line else 0.0,
        drift_error_ppm=line.drift_error_ppm if line else math.nan,
        reference_s=reference_s,
        spread_s=line.spread_s if line else math.nan,
        confidence=peak.confidence,
        correlation=peak.correlation,
        p_value=peak.p_value,
        lags_s=lags_s,
        curve=curve,
        line=line,
    )
