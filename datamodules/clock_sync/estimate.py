"""``estimate_clock``: how far a recording's sensor is from its camera's clock.

Sign: **sensor stamps + offset = video stamps**, as ``Recording.imu_clock_offset_s`` has it; what that already holds is
added first, so the estimate is what is left to add.
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

CERTAIN = 0.95  # confidence from which an estimate is taken at its word
VIEWS = ("auto", "moving", "watching")
_FASTEST_HZ = 32.0  # of the frames that are looked at; faster video is thinned


@dataclass(frozen=True)
class ClockSettings:
    """How the clocks are compared.

    Attributes:
        max_offset_s: the offset is looked for within plus or minus this.
        view: ``moving`` (the camera is worn: the picture's flow against angular and linear velocity), ``watching`` (it
            looks at the person: how much moves against how much is measured), or ``auto``, which tries both.
        max_video_s: of a longer video, windows of ``window_s`` spread over it are looked at that last this together.
        window_s: length of a window that gets an offset of its own.
        context_s: how far around a window the sensor's data serve to learn what unrelated motion looks like.
    """

    max_offset_s: float = 2.0
    view: str = "auto"
    max_video_s: float = 180.0
    window_s: float = 20.0
    context_s: float = 60.0

    def check(self) -> None:
        """Raise a ValueError that names the first setting that makes no sense."""
        if self.view not in VIEWS:
            raise ValueError(f"view is '{self.view}'; expected one of {', '.join(VIEWS)}")
        for name in ("max_offset_s", "max_video_s", "window_s", "context_s"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"{name} is {value}; expected a number of seconds greater than 0")


@dataclass(frozen=True)
class ClockEstimate:
    """What was found for one sensor and one camera of a recording.

    Attributes:
        recording, placement, camera: whose clocks.
        view: ``moving`` or ``watching``: which comparison told more.
        offset_s: to be added to the sensor's times at ``reference_s``; NaN where nothing can be compared.
        drift_ppm: by how much the offset grows, microseconds a second; 0 where it can't be told.
        drift_error_ppm: half of its 95 % interval; NaN where it can't be told.
        reference_s: on the video's clock, the time at which ``offset_s`` is meant.
        spread_s: standard error of the offset by how far the recording's windows scatter; NaN with one window.
        confidence: 0 to 1, see ``correlation.Peak``; from ``CERTAIN`` on it can be relied on.
        correlation: strength at the best offset, 0 to 1.
        p_value: chance that unrelated motion, of another time or of the same, shows such a peak.
        lags_s, curve: (L,) what was compared and how well it went together, for drawing.
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
        """Whether the confidence reaches ``CERTAIN``."""
        return self.confidence >= CERTAIN

    def offset_at(self, time_s: float) -> float:
        """The offset at a time of the video's clock, by the drift where there is one."""
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
    """Find the offset, and over long recordings the drift, from what camera and sensor both saw.

    Args:
        recording: already checked by ``checks.check_recording``.
        placement: which sensor; ``any`` takes a recording's only one.
        camera: which camera.
        settings: see there.

    Returns:
        An estimate of low confidence where there is nothing to compare: no motion, no overlap, a black picture.

    Raises:
        RecordingError: there is no such sensor or camera, or a frame can't be decoded.
        ValueError: a setting makes no sense.
    """
    settings = settings or ClockSettings()
    settings.check()
    stream = select_imu(recording, placement)
    video = recording.video(camera)
    frame_times = video.frame_times()
    seen = motion_signals.watch(video, frame_times, choose_frames(frame_times, settings))
    return compare(seen, shifted(stream, recording.imu_clock_offset_s), recording.name, camera, settings)


def shifted(stream: ImuStream, offset_s: float, drift_ppm: float = 0.0, reference_s: float = 0.0) -> ImuStream:
    """The stream with ``offset_s`` added to its times, and the drift since ``reference_s``, a time on the new clock."""
    times, repeated = (shifted_times(old, offset_s, drift_ppm, reference_s) for old in (stream.times, stream.repeated))
    return dataclasses.replace(stream, times=times, repeated=repeated)


def shifted_times(times: FloatArray, offset_s: float, drift_ppm: float = 0.0, reference_s: float = 0.0) -> FloatArray:
    """Times (N,) as ``shifted`` moves them."""
    return times + offset_s + 1e-6 * drift_ppm * (times + offset_s - reference_s)


def choose_frames(frame_times: FloatArray, settings: ClockSettings) -> NDArray[np.int64]:
    """Which frames are looked at: all of a short video, windows spread over a long one, at 32 frames a second at most.

    Args:
        frame_times: (N,) seconds.
        settings: see there.
    """
    if frame_times.size < 2:
        return np.arange(frame_times.size)
    rate = 1 / float(np.median(np.diff(frame_times)))
    indices = np.arange(0, frame_times.size, max(1, round(rate / _FASTEST_HZ)))
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
    """``estimate_clock`` for frames that were looked at before: the costly part need not be repeated.

    Args:
        seen: of the camera.
        stream: of the sensor.
        name: of the recording.
        camera: name of the camera.
        settings: see there.
    """
    settings = settings or ClockSettings()
    settings.check()
    views = [settings.view] if settings.view != "auto" else ["moving", "watching"]
    found = [_compare_view(view, seen, stream, name, camera, settings) for view in views]
    best, p_together = max(found, key=lambda each: (each[0].confidence, each[0].correlation))
    share = best.confidence / (1 - best.p_value) if best.p_value < 1 else 0.0
    # Chance has to fail both as motion of another time and as motion at the same time. And the better of two tries has
    # had two chances.
    p_value = 1 - (1 - max(best.p_value, p_together())) ** len(found)
    return dataclasses.replace(best, p_value=p_value, confidence=(1 - p_value) * share)


def _compare_view(
    view: str, seen: SeenMotion, stream: ImuStream, name: str, camera: str, settings: ClockSettings
) -> tuple[ClockEstimate, Callable[[], float]]:
    """By far lags alone, and what tells the chance of motion at the same time (``chance.together``)."""
    if view == "moving":
        pictures, measured = picture_flow.principal_parts(seen.flow), motion_signals.turning_and_moving(stream)
    else:
        pictures, measured = seen.speed[:, None], motion_signals.energy(stream)
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
        slope = drift.steepest(windows, times, lags_s, channels[0])
    moments = drift.along(windows, times, slope, 1 / RATE_HZ)
    curve = information(moments, channels[0])
    peak = find_peak(lags_s, curve, information(add(far), channels[0]), channels)
    line = drift.fit_line(windows, times, lags_s, peak.offset_s, slope, channels[0]) if peak is not NOTHING else None

    def p_together() -> float:
        if peak is NOTHING:
            return 1.0
        shifts = [round(slope * 1e-6 * time * RATE_HZ) for time in times.tolist()]
        products = [chance.block_products(*pair, int(lags[-1]), s) for pair, s in zip(pairs, shifts, strict=True)]
        return chance.together(products, moments, channels[0], float(np.nanmax(curve)))

    return _estimate(name, stream, camera, view, peak, lags_s, curve, reference, line), p_together


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
