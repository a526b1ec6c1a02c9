"""Cutting of a recording into synchronised windows.

Shape legend: T IMU samples, F frames per window, N raw samples or frames.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from datamodules import signal
from datamodules.recording import FloatArray, ImuStream, Recording, RecordingError
from datamodules.resampling import Resampling
from datamodules.signal import BoolArray
from datamodules.windows.frames import nearest_frames
from datamodules.windows.label import label_of
from datamodules.windows.quality.frame_times import frame_interval, missing_frames
from datamodules.windows.quality.possible import without_impossible
from datamodules.windows.quality.sensor import describe_gap, sensor_faults
from datamodules.windows.quality.stuck import HungAxes, find_hung
from datamodules.windows.settings import ANY_PLACEMENT, FAULTS, LAYOUTS, Reason, WindowSettings
from datamodules.windows.starts import margin_s, whole_windows, window_starts
from datamodules.windows.window import Exclusion, Window

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

    starts, exclusions = window_starts(recording.name, begin, end, float(times[0]), settings)
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
    hung: HungAxes | None = None,
    resampling: Resampling = signal.resample,
) -> tuple[list[Window], list[Exclusion]]:
    """Cut windows of motion alone, at given times, out of a stretch of a recording.

    They equal those that :func:`cut_windows` makes of the whole recording, if the stretch reaches at least
    ``margin_s(settings)`` beyond the windows, and holds the next sample on either side, where the recording has them.

    Args:
        stream: the stretch.
        starts: of the windows, seconds.
        channel_mask: (6,) True for channels that the device has; a stretch may hold none of their samples.
        settings: of the windows; frames are left out.
        name: of the recording.
        hung: ``stuck.find_hung`` of the whole recording, which tells an axis that hangs from one at rest; None leaves
            the rule out.
        resampling: ``RememberedResampling`` takes a fraction of the time; it says how closely its windows equal them.

    Returns:
        The kept windows, and the excluded ones.
    """
    possible, impossible = without_impossible(stream)
    recording = Recording(name, "", (possible,))
    return _cut_each(
        recording,
        possible,
        impossible,
        starts,
        channel_mask,
        None,
        0.0,
        "",
        hung or HungAxes([]),
        settings,
        resampling,
    )


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
    values = stream.values[near] if channel_mask.all() else np.where(channel_mask, stream.values[near], 0.0)
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
    whole = bool(valid.all())
    covered = (at >= times[0] - 1e-6) & (at <= times[-1] + 1e-6)
    if not whole and (covered & ~valid).any():
        near = _with_neighbours(stream.values, channel_mask, inside)
        values = np.where(channel_mask, stream.values[near], 0.0)
        faults[Reason.GAP] = describe_gap(times[near], values, start, end, settings.max_gap_s)
    measured = (max(start, float(times[0])), min(end, float(times[-1]) + 1 / settings.imu_rate_hz))
    indices, relative, frame_mask = nearest_frames(frame_times, interval, start, settings)
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
        imu=(
            resampled if whole and channel_mask.all() else np.where(valid[:, None] & channel_mask, resampled, 0.0)
        ).astype(np.float32),
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
