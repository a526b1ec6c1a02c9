"""Estimate of the offset between a recording's sensor and its camera.

Sign: **sensor stamps + offset = video stamps**, as for ``Recording.imu_clock_offset_s``. The recording's stated offset
is added first; the estimate is the remaining offset.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datamodules.clock_sync import chance, drift, held_out, motion_signals, picture_flow, stretches
from datamodules.clock_sync.correlation import (
    NOTHING,
    Moments,
    Peak,
    Signal,
    add,
    find_peak,
    information,
)
from datamodules.clock_sync.motion_signals import RATE_HZ, SeenMotion
from datamodules.clock_sync.result import LEAST_CONFIDENCE, ClockEstimate
from datamodules.recording import FloatArray, ImuStream, Recording, VideoStream
from datamodules.windows.cut import select_imu

VIEWS = ("auto", "moving", "watching")
_EDGE_S = 0.05  # nothing is told of peaks this close to the end of the search
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
        drift: True looks for a drift in recordings that are long enough.
    """

    max_offset_s: float = 2.0
    view: str = "auto"
    max_video_s: float = 180.0
    window_s: float = 20.0
    context_s: float = 60.0
    drift: bool = True

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
    seen = measure_chosen(video, settings)
    return compare(seen, shifted(stream, recording.imu_clock_offset_s), recording.name, camera, settings)


def measure_chosen(video: VideoStream, settings: ClockSettings) -> SeenMotion:
    """Measure the motion in the frames that ``choose_frames`` picks, the costly part of an estimate.

    Raises:
        RecordingError: a frame can't be decoded.
    """
    times = video.frame_times()
    return motion_signals.measure_video(video, times, choose_frames(times, settings))


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
    best, proof = max(found, key=lambda each: (each[0].confidence, each[0].correlation))
    share = best.confidence / (1 - best.p_value) if best.p_value < 1 else 0.0
    # The peak must be unlikely both for motion at other times and for motion at the same times: take the larger
    # p-value. The exponent corrects for choosing the better of two views.
    p_value = 1 - (1 - max(best.p_value, proof.simultaneous_p_value() if proof else 1.0)) ** len(found)
    confidence = (1 - p_value) * share
    # A peak at the end of the search may be the flank of one beyond it. Held-out seconds are costly, so they are not
    # asked where the rest can't tell anyway.
    inside = abs(best.offset_s) < settings.max_offset_s - _EDGE_S
    margin = proof.margin(best.offset_s) if proof and inside and confidence >= LEAST_CONFIDENCE else 0.0
    return dataclasses.replace(best, p_value=p_value, confidence=confidence, margin=margin)


@dataclass(frozen=True)
class _Proof:
    """What the costly tests of a peak need.

    Attributes:
        pairs: both signals of each window.
        shifts: lags to add in each window, for the drift.
        moments: of all windows together, (L,).
        curve: (L,) their information.
        channels: V.
    """

    pairs: Sequence[tuple[Signal, Signal]]
    shifts: Sequence[int]
    moments: Moments
    curve: FloatArray
    channels: int

    @property
    def reach(self) -> int:
        """Largest lag of the search, samples."""
        return len(self.curve) // 2

    def simultaneous_p_value(self) -> float:
        """See ``chance.simultaneous_p_value``."""
        both = zip(self.pairs, self.shifts, strict=True)
        products = [chance.block_products(*pair, self.reach, shift) for pair, shift in both]
        return chance.simultaneous_p_value(products, self.moments, self.channels, float(np.nanmax(self.curve)))

    def margin(self, offset_s: float) -> float:
        """See ``held_out.margin``."""
        guard = self.reach + round(stretches.GUARD_S * RATE_HZ)
        return held_out.margin(self.pairs, self.shifts, self.reach, guard, offset_s * RATE_HZ)


def _compare_view(
    view: str, seen: SeenMotion, stream: ImuStream, name: str, camera: str, settings: ClockSettings
) -> tuple[ClockEstimate, _Proof | None]:
    """Estimate the offset in one view, with the p-value for motion at other times.

    Returns:
        The estimate, and what its costly tests need; None if there is nothing to compare.
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
        return _estimate(name, stream, camera, view, NOTHING, lags_s, unknown, math.nan, None), None
    reference = float(np.mean(centres))
    times = np.array(centres) - reference
    slope = 0.0
    if settings.drift and np.ptp(times) >= drift.LEAST_SPAN_S:
        slope = drift.find_drift(windows, times, lags_s, channels[0])
    moments = drift.sum_along_drift(windows, times, slope, 1 / RATE_HZ)
    curve = information(moments, channels[0])
    peak = find_peak(lags_s, curve, information(add(far), channels[0]), channels)
    line = drift.fit_line(windows, times, lags_s, peak.offset_s, slope, channels[0]) if peak is not NOTHING else None
    shifts = [round(slope * 1e-6 * time * RATE_HZ) for time in times.tolist()]
    proof = _Proof(pairs, shifts, moments, curve, channels[0]) if peak is not NOTHING else None
    return _estimate(name, stream, camera, view, peak, lags_s, curve, reference, line), proof


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
        margin=0.0,
        lags_s=lags_s,
        curve=curve,
        line=line,
    )
