"""Cutting of a recording into synchronised windows.

Shape legend: T IMU samples, F frames per window, N raw samples or frames.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datamodules import signal
from datamodules.recording import FloatArray, ImuStream, Interval, Recording, RecordingError
from datamodules.resampling import Resampling
from datamodules.signal import BoolArray
from datamodules.windows.quality.frame_times import frame_interval, missing_frames
from datamodules.windows.quality.possible import without_impossible
from datamodules.windows.quality.sensor import describe_gap, sensor_faults
from datamodules.windows.quality.stuck import HungAxes, find_hung
from datamodules.windows.settings import ANY_PLACEMENT, FAULTS, LAYOUTS, Reason, WindowSettings

__all__ = [
    "ANY_PLACEMENT",
    "FAULTS",
    "LAYOUTS",
    "Exclusion",
    "Reason",
    "Window",
    "WindowSettings",
    "cut_at",
    "cut_windows",
    "label_of",
    "margin_s",
    "select_imu",
    "whole_windows",
]


@dataclass(frozen=True)
class Window:
    """One window, without its pixels.

    Attributes:
        recording, subject, population, placement, device: origin of the window.
        activity: label; empty if there is none.
        start_s: start on the video's clock, seconds.
        imu: (T, 6) float32 m/s^2 and rad/s, zero where invalid.
        sample_mask: (T,) bool, True where valid.
        channel_mask: (6,) bool, True for channels that the device has.
        frame_indices: (F,) frames of the video, ascending; -1 where no frame is near enough.
        frame_times: (F,) float32 seconds since the window's start: the frame's true time, or the requested time where
            ``frame_mask`` is False.
        frame_mask: (F,) bool, True where there is a frame.
        faults: faults of the sensor and of the video, which may be set in a kept window too.
    """

    recording: str
    subject: str
    population: str
    placement: str
    device: str
    activity: str
    start_s: float
    imu: NDArray[np.float32]
    sample_mask: BoolArray
    channel_mask: BoolArray
    frame_indices: NDArray[np.int64]
    frame_times: NDArray[np.float32]
    frame_mask: BoolArray
    faults: tuple[Reason, ...] = ()


@dataclass(frozen=True)
class Exclusion:
    """A stretch of a recording left out of the shards, and the reason; ``start_s`` is on the video's clock."""

    recording: str
    start_s: float
    reason: Reason
    detail: str


def cut_windows(
    recording: Recording, placement: str, camera: str | None, settings: WindowSettings
) -> tuple[list[Window], list[Exclusion]]:
    """Cut one recording into windows; this reads the video's time stamps, not its frames.

    Args:
        recording: a recording that passed ``checks.check_recording``.
        placement: placement of the sensor; ``any`` takes the recording's only sensor.
        camera: name of the camera; None or empty cuts windows without frames.
        settings: settings of the windows; with ``settings.frames`` = 0 the windows have no frames.

    Returns:
        The kept windows, and the excluded stretches.

    Raises:
        RecordingError: the recording lacks that sensor or camera.
    """
    stream, impossible = without_impossible(select_imu(recording, placement))
    times = stream.times + recording.imu_clock_offset_s
    with_video = bool(camera) and settings.frames > 0
    frame_times = recording.video(camera or "").frame_times() if with_video else np.empty(0)

    # The last sample and the last frame each cover one more interval.
    begin, end = float(times[0]), float(times[-1]) + 1 / settings.imu_rate_hz
    interval = frame_interval(frame_times)
    if with_video:
        begin, end = max(begin, float(frame_times[0])), min(end, float(frame_times[-1]) + interval)
        if end <= begin:
            detail = (
                f"the IMU measured from {times[0]:.2f} to {times[-1]:.2f} s, "
                f"the video shows {frame_times[0]:.2f} to {frame_times[-1]:.2f} s"
            )
            return [], [Exclusion(recording.name, begin, Reason.NO_VIDEO, detail)]

    starts, exclusions = _starts(recording.name, begin, end, float(times[0]), settings)
    windows, left_out = _cut_each(
        recording,
        stream,
        impossible,
        starts,
        _channels(stream.values),
        frame_times if with_video else None,
        interval,
        recording.video(camera or "").origin if with_video else "",
        find_hung(times, stream.values),
        settings,
    )
    return windows, [*exclusions, *left_out]


def cut_at(
    stream: ImuStream,
    starts: Sequence[float],
    channel_mask: BoolArray,
    settings: WindowSettings,
    name: str = "",
    resampling: Resampling = signal.resample,
) -> tuple[list[Window], list[Exclusion]]:
    """Cut windows of motion alone, at given times, out of a stretch of a recording.

    They equal those that :func:`cut_windows` makes of the whole recording, if the stretch reaches at least
    ``margin_s(settings)`` beyond the windows, and holds the next sample on either side, where the recording has them.
    Axes that hang are not looked for: it takes the whole recording to tell one from a sensor at rest.

    Args:
        stream: the stretch.
        starts: of the windows, seconds.
        channel_mask: (6,) True for channels that the device has; a stretch may hold none of their samples.
        settings: of the windows; frames are left out.
        name: of the recording.
        resampling: ``RememberedResampling`` takes a fraction of the time; it says how closely its windows equal them.

    Returns:
        The kept windows, and the excluded ones.
    """
    possible, impossible = without_impossible(stream)
    recording = Recording(name, "", (possible,))
    return _cut_each(
        recording, possible, impossible, starts, channel_mask, None, 0.0, "", HungAxes([]), settings, resampling
    )


def margin_s(settings: WindowSettings) -> float:
    """How far beyond a window samples have a part in it, seconds: see ``signal.samples_near``."""
    return 40.0 / settings.imu_rate_hz + settings.max_gap_s


def _channels(values: FloatArray) -> BoolArray:
    return np.asarray(~np.isnan(values).all(axis=0))


def _cut_each(
    recording: Recording,
    stream: ImuStream,
    impossible: NDArray[np.int64],
    starts: Sequence[float],
    channel_mask: BoolArray,
    frame_times: FloatArray | None,
    interval: float,
    video_origin: str,
    hung: HungAxes,
    settings: WindowSettings,
    resampling: Resampling = signal.resample,
) -> tuple[list[Window], list[Exclusion]]:
    """Cut and judge each window; ``frame_times`` is None without video, whose file ``video_origin`` names."""
    times = stream.times + recording.imu_clock_offset_s
    with_video = frame_times is not None
    windows: list[Window] = []
    exclusions: list[Exclusion] = []
    excluded_faults = settings.excluded_faults()
    for start in starts:
        window, faults = _cut(
            recording,
            stream,
            times,
            channel_mask,
            hung,
            frame_times if with_video else None,
            interval,
            start,
            settings,
            resampling,
        )
        if Reason.NAN in faults and impossible.size:
            inside = np.searchsorted(times[impossible], [start, start + settings.duration_s])
            if many := int(inside[1] - inside[0]):
                faults[Reason.NAN] += f" ({many} of them held a value that no sensor gives)"
        left_out = next((f for f in FAULTS if f in faults and f in excluded_faults), None)
        if left_out is None and with_video and not window.frame_mask.any():
            left_out, faults = Reason.NO_VIDEO, {**faults, Reason.NO_VIDEO: "no frame inside the window"}
        if left_out is None and not window.activity and not settings.keep_unlabelled:
            # Shards hold these texts: new words would give the same windows another digest, and orphan their features.
            detail = f"no activity covers {settings.min_label_share:.0%} of it"
            left_out, faults = Reason.NO_LABEL, {**faults, Reason.NO_LABEL: detail}
        if left_out is None:
            windows.append(window)
        else:
            of_video = with_video and left_out in (Reason.MISSING_FRAMES, Reason.NO_VIDEO)
            detail = f"{video_origin if of_video else stream.origin}: {faults[left_out]}"
            exclusions.append(Exclusion(recording.name, start, left_out, detail))
    return windows, exclusions


def select_imu(recording: Recording, placement: str) -> ImuStream:
    """Return the stream at ``placement``; ``any`` selects the recording's only stream.

    Raises:
        RecordingError: there is no such stream, or ``any`` is given for a recording with several streams.
    """
    if placement != ANY_PLACEMENT:
        return recording.imu(placement)
    if len(recording.imus) != 1:
        found = ", ".join(sorted(s.placement for s in recording.imus)) or "none"
        raise RecordingError(f"recording {recording.name}: placement 'any' needs exactly one IMU; it has: {found}")
    return recording.imus[0]


def whole_windows(begin: float, end: float, settings: WindowSettings) -> int:
    """Count the windows of a grid from ``begin`` that end before ``end``, seconds; half a sample may be missing."""
    return max(0, math.floor((end - begin - settings.duration_s + _slack_s(settings)) / settings.stride_s) + 1)


def _slack_s(settings: WindowSettings) -> float:
    return 0.5 / settings.imu_rate_hz


def _starts(
    name: str, begin: float, end: float, first_sample: float, settings: WindowSettings
) -> tuple[list[float], list[Exclusion]]:
    duration = settings.duration_s
    if settings.layout == "centred":
        start = (begin + end - duration) / 2
        # Shift the start by less than half a sample, so that samples at the same rate need no interpolation.
        shift = (start - first_sample) * settings.imu_rate_hz
        return [first_sample + round(shift) / settings.imu_rate_hz], []
    count = whole_windows(begin, end, settings)
    if count == 0:
        detail = f"sensor and video overlap for {end - begin:.2f} s; a window lasts {duration:.2f} s"
        return [], [Exclusion(name, begin, Reason.SHORT, detail)]
    starts = [begin + k * settings.stride_s for k in range(count)]
    rest = end - (starts[-1] + duration)
    if rest <= _slack_s(settings):
        return starts, []
    detail = f"{rest:.2f} s at the end are less than a window"  # kept word for word, see above
    return starts, [Exclusion(name, starts[-1] + duration, Reason.REMAINDER, detail)]


def _cut(
    recording: Recording,
    stream: ImuStream,
    times: FloatArray,
    channel_mask: BoolArray,
    hung: HungAxes,
    frame_times: FloatArray | None,
    interval: float,
    start: float,
    settings: WindowSettings,
    resampling: Resampling,
) -> tuple[Window, dict[Reason, str]]:
    end = start + settings.duration_s
    at = start + np.arange(settings.samples) / settings.imu_rate_hz
    # Replace missing channels by a constant; their NaN would make every row a lost sample.
    near = signal.samples_near(times, at, settings.imu_rate_hz, settings.max_gap_s)
    values = np.where(channel_mask, stream.values[near], 0.0)
    resampled, valid = resampling(times[near], values, at, settings.imu_rate_hz, settings.max_gap_s)
    resampled = signal.median_filter(resampled, valid, settings.median_kernel)
    inside = slice(*np.searchsorted(times, [start, end]))
    repeats = stream.repeated + recording.imu_clock_offset_s
    faults = sensor_faults(
        stream,
        times[inside],
        stream.values[inside],
        channel_mask,
        repeats[slice(*np.searchsorted(repeats, [start, end]))],
        settings,
        hung,
    )
    covered = (at >= times[0] - 1e-6) & (at <= times[-1] + 1e-6)
    if (covered & ~valid).any():
        near = _with_neighbours(stream.values, channel_mask, inside)
        values = np.where(channel_mask, stream.values[near], 0.0)
        faults[Reason.GAP] = describe_gap(times[near], values, start, end, settings.max_gap_s)
    measured = (max(start, float(times[0])), min(end, float(times[-1]) + 1 / settings.imu_rate_hz))
    indices, relative, frame_mask = _frames(frame_times, interval, start, settings)
    # A window without any frame gets Reason.NO_VIDEO instead.
    if frame_times is not None and frame_mask.any():
        hole = missing_frames(frame_times, interval, start, end, settings.max_frame_gap_s)
        faults |= {Reason.MISSING_FRAMES: hole} if hole else {}
    window = Window(
        recording=recording.name,
        subject=recording.subject,
        population=recording.population,
        placement=stream.placement,
        device=stream.device,
        activity=label_of(recording.activities, *measured, settings.min_label_share),
        start_s=start,
        imu=np.where(valid[:, None] & channel_mask, resampled, 0.0).astype(np.float32),
        sample_mask=valid,
        channel_mask=channel_mask,
        frame_indices=indices,
        frame_times=relative,
        frame_mask=frame_mask,
        faults=tuple(f for f in FAULTS if f in faults),
    )
    return window, faults


def _with_neighbours(values: FloatArray, channel_mask: BoolArray, inside: slice) -> slice:
    """Extend a slice until a measured sample lies on both sides of it, if the recording has one there.

    The search grows outwards from the slice. Scanning the whole recording for each of its gaps would take time that
    grows with the square of the recording's length.
    """

    def measured(rows: slice) -> bool:
        return not np.isnan(values[rows][:, channel_mask]).any(axis=1).all()

    first, last, step = inside.start, inside.stop, 1
    while first > 0 and (first == inside.start or not measured(slice(first, inside.start))):
        first, step = max(0, first - step), 2 * step
    step = 1
    while last < len(values) and (last == inside.stop or not measured(slice(inside.stop, last))):
        last, step = min(len(values), last + step), 2 * step
    return slice(first, last)


def label_of(activities: tuple[Interval, ...], start: float, end: float, min_share: float) -> str:
    """Return the activity with the largest share of ``start <= t < end``, or "" if its share is below ``min_share``."""
    covered: dict[str, float] = {}
    for interval in activities:
        overlap = min(end, interval.end) - max(start, interval.start)
        if overlap > 0:
            covered[interval.activity] = covered.get(interval.activity, 0.0) + overlap
    if not covered or end <= start:
        return ""
    best = max(covered, key=lambda activity: covered[activity])
    return best if covered[best] >= min_share * (end - start) - 1e-9 else ""


def _frames(
    frame_times: FloatArray | None, interval: float, start: float, settings: WindowSettings
) -> tuple[NDArray[np.int64], NDArray[np.float32], BoolArray]:
    """Find the frames nearest to the centres of F equal parts of the window.

    Returns:
        Indices of the frames (F,), -1 where masked; their times since ``start`` (F,); the mask (F,).
    """
    if frame_times is None:
        return np.empty(0, np.int64), np.empty(0, np.float32), np.empty(0, bool)
    part = settings.duration_s / settings.frames
    requested = start + (np.arange(settings.frames) + 0.5) * part
    after = np.clip(np.searchsorted(frame_times, requested), 1, max(1, frame_times.size - 1))
    before = after - 1
    after = np.minimum(after, frame_times.size - 1)
    nearest = np.where(np.abs(frame_times[before] - requested) <= np.abs(frame_times[after] - requested), before, after)
    true = frame_times[nearest]
    half = interval / 2
    # Mask requests outside the video, and requests whose nearest frame lies in another part of the window.
    mask = (requested >= frame_times[0] - half - 1e-6) & (requested <= frame_times[-1] + half + 1e-6)
    distance = np.abs(true - requested)
    mask &= (distance <= half + 1e-6) | (distance < part / 2 - 1e-6)
    relative = np.where(mask, true, requested) - start
    return np.where(mask, nearest, -1).astype(np.int64), relative.astype(np.float32), mask
