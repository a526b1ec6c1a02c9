"""A recording's time line -> synchronised windows.

Shape legend: T IMU samples, F frames a window, N raw samples or frames.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from enum import Enum
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from datamodules import signal
from datamodules.recording import FloatArray, ImuStream, Interval, Recording, RecordingError
from datamodules.signal import BoolArray

T = TypeVar("T")

ANY_PLACEMENT = "any"
LAYOUTS = ("grid", "centred")
STANDSTILL_S = 0.5  # all axes of a sensor unchanged to the last bit for so long: it hangs
PLAUSIBLE_ACCELERATION = (0.3 * signal.G, 3.0 * signal.G)  # of the median norm; outside, units are wrong
SATURATED_SAMPLES = 3


class Reason(str, Enum):
    """Why a stretch of a recording is not in the shards."""

    GAP = "gap"  # samples missing for longer than max_gap_s
    NAN = "nan"  # lost samples: NaN where the device has a channel
    SATURATED = "saturated"  # three or more samples of a channel at the end of its range
    FLAT_LINE = "flat_line"  # the sensor hangs
    GRAVITY = "gravity"  # the acceleration's norm can't be that of a sensor on a person: wrong units
    NO_LABEL = "no_label"  # no activity covers enough of it
    NO_VIDEO = "no_video"  # no frame inside it
    SHORT = "short"  # sensor and video overlap for less than one window
    REMAINDER = "remainder"  # what is left at the end of a grid
    UNUSABLE = "unusable"  # the recording raised a RecordingError


FAULTS = (Reason.GAP, Reason.NAN, Reason.SATURATED, Reason.FLAT_LINE, Reason.GRAVITY)


def _setting(default: T, text: str) -> T:
    """A field with the line of help that the commands print."""
    return dataclasses.field(default=default, metadata={"help": text})


@dataclass(frozen=True)
class WindowSettings:
    """How windows are cut; a build is bound to these by their hash.

    Times are seconds. Faults of the sensor always mark a window (see ``Window.faults``); those that are
    listed in ``exclude``, separated by commas, keep it out.
    """

    duration_s: float = _setting(5.0, "length of a window, seconds")
    stride_s: float = _setting(5.0, "from one window's start to the next one's, seconds")
    layout: str = _setting("grid", "'grid' (every stride_s) or 'centred' (one a recording, padded where it is short)")
    imu_rate_hz: float = _setting(50.0, "the rate that the IMU is resampled to")
    frames: int = _setting(10, "frames a window, at the centres of as many equal parts; 0 builds IMU-only shards")
    frame_size: int = _setting(112, "height and width of the frames, pixels")
    jpeg_quality: int = _setting(90, "of the stored frames; 0 stores plain pixels: eight times the disk, no decoding")
    max_gap_s: float = _setting(0.1, "longer stretches without samples are never interpolated over, seconds")
    min_label_share: float = _setting(0.6, "an activity labels a window if it covers at least this share of it")
    keep_unlabelled: bool = _setting(True, "keep windows that no activity labels; pretraining needs none")
    median_kernel: int = _setting(1, "median filter of the IMU, samples, odd; the paper's is 5, 1 is off")
    exclude: str = _setting("gap,nan,saturated,flat_line,gravity", "faults that keep a window out; others mark it")

    @property
    def samples(self) -> int:
        """IMU samples a window, T."""
        return round(self.duration_s * self.imu_rate_hz)

    def excluded_faults(self) -> frozenset[Reason]:
        """``exclude`` as a set.

        Raises:
            ValueError: a name in it is no fault; the message lists those that are.
        """
        names = [name.strip() for name in self.exclude.split(",") if name.strip()]
        known = {fault.value: fault for fault in FAULTS}
        for name in names:
            if name not in known:
                raise ValueError(f"window.exclude names '{name}'; expected some of {', '.join(known)}")
        return frozenset(known[name] for name in names)

    def check(self) -> None:
        """Raise a ValueError that names the first setting that makes no sense."""
        self.excluded_faults()
        if self.layout not in LAYOUTS:
            raise ValueError(f"window.layout is '{self.layout}'; expected one of {', '.join(LAYOUTS)}")
        for name in ("duration_s", "stride_s", "imu_rate_hz", "max_gap_s"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"window.{name} is {value}; expected a number greater than 0")
        if self.samples < 1:
            raise ValueError(f"window.duration_s {self.duration_s} at {self.imu_rate_hz} Hz is no sample")
        if self.frames < 0 or self.frame_size < 1:
            raise ValueError(f"window.frames is {self.frames}, window.frame_size {self.frame_size}")
        if not 0 <= self.jpeg_quality <= 100:
            raise ValueError(f"window.jpeg_quality is {self.jpeg_quality}; expected 1 to 100, or 0 for plain pixels")
        if not 0 < self.min_label_share <= 1:
            raise ValueError(f"window.min_label_share is {self.min_label_share}; expected above 0, at most 1")
        if self.median_kernel < 1 or self.median_kernel % 2 == 0:
            raise ValueError(f"window.median_kernel is {self.median_kernel}; expected an odd number")


@dataclass(frozen=True)
class Window:
    """One window, without its pixels.

    Attributes:
        recording, subject, population, placement, device: where it comes from.
        activity: its label; empty if it has none.
        start_s: on the video's clock.
        imu: (T, 6) float32 m/s^2 and rad/s, zero where invalid.
        sample_mask: (T,) bool.
        channel_mask: (6,) bool.
        frame_indices: (F,) frames of the video, ascending; -1 where there is none.
        frame_times: (F,) float32 true times since the window's start; the requested ones where masked.
        frame_mask: (F,) bool.
        faults: of the sensor, in windows that are kept all the same.
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
    """A stretch of a recording that was left out, and why; ``start_s`` is on the video's clock."""

    recording: str
    start_s: float
    reason: Reason
    detail: str


def cut_windows(
    recording: Recording, placement: str, camera: str | None, settings: WindowSettings
) -> tuple[list[Window], list[Exclusion]]:
    """Cut one recording; reads the video's time stamps but none of its frames.

    Args:
        recording: already checked by ``checks.check_recording``.
        placement: which sensor; ``any`` takes a recording's only one.
        camera: which camera; None or empty cuts windows without frames.
        settings: ``settings.frames`` of 0 also means without frames.

    Raises:
        RecordingError: the recording lacks that sensor or camera.
    """
    stream = select_imu(recording, placement)
    times = stream.times + recording.imu_clock_offset_s
    with_video = bool(camera) and settings.frames > 0
    frame_times = recording.video(camera or "").frame_times() if with_video else np.empty(0)

    # The last sample and the last frame stand for the time up to the next one.
    begin, end = float(times[0]), float(times[-1]) + 1 / settings.imu_rate_hz
    if with_video:
        interval = _frame_interval(frame_times)
        begin, end = max(begin, float(frame_times[0])), min(end, float(frame_times[-1]) + interval)
        if end <= begin:
            detail = (
                f"the IMU measured from {times[0]:.2f} to {times[-1]:.2f} s, "
                f"the video shows {frame_times[0]:.2f} to {frame_times[-1]:.2f} s"
            )
            return [], [Exclusion(recording.name, begin, Reason.NO_VIDEO, detail)]

    starts, exclusions = _starts(recording.name, begin, end, float(times[0]), settings)
    windows: list[Window] = []
    excluded_faults = settings.excluded_faults()
    channel_mask: BoolArray = np.asarray(~np.isnan(stream.values).all(axis=0))
    for start in starts:
        window, faults = _cut(
            recording, stream, times, channel_mask, frame_times if with_video else None, start, settings
        )
        left_out = next((f for f in FAULTS if f in faults and f in excluded_faults), None)
        if left_out is None and with_video and not window.frame_mask.any():
            left_out, faults = Reason.NO_VIDEO, {**faults, Reason.NO_VIDEO: "no frame inside the window"}
        if left_out is None and not window.activity and not settings.keep_unlabelled:
            detail = f"no activity covers {settings.min_label_share:.0%} of it"
            left_out, faults = Reason.NO_LABEL, {**faults, Reason.NO_LABEL: detail}
        if left_out is None:
            windows.append(window)
        else:
            detail = f"{stream.origin}: {faults[left_out]}"
            exclusions.append(Exclusion(recording.name, start, left_out, detail))
    return windows, exclusions


def select_imu(recording: Recording, placement: str) -> ImuStream:
    """The stream at ``placement``; ``any`` is a recording's only one.

    Raises:
        RecordingError: it isn't there, or ``any`` was asked of a recording with several.
    """
    if placement != ANY_PLACEMENT:
        return recording.imu(placement)
    if len(recording.imus) != 1:
        found = ", ".join(sorted(s.placement for s in recording.imus)) or "none"
        raise RecordingError(f"recording {recording.name}: placement 'any' needs exactly one IMU; it has: {found}")
    return recording.imus[0]


def _starts(
    name: str, begin: float, end: float, first_sample: float, settings: WindowSettings
) -> tuple[list[float], list[Exclusion]]:
    duration = settings.duration_s
    if settings.layout == "centred":
        start = (begin + end - duration) / 2
        # Moved by less than half a sample so that samples at the same rate need no interpolation.
        shift = (start - first_sample) * settings.imu_rate_hz
        return [first_sample + round(shift) / settings.imu_rate_hz], []
    slack = 0.5 / settings.imu_rate_hz
    count = max(0, math.floor((end - begin - duration + slack) / settings.stride_s) + 1)
    if count == 0:
        detail = f"sensor and video overlap for {end - begin:.2f} s; a window lasts {duration:.2f} s"
        return [], [Exclusion(name, begin, Reason.SHORT, detail)]
    starts = [begin + k * settings.stride_s for k in range(count)]
    rest = end - (starts[-1] + duration)
    if rest <= slack:
        return starts, []
    detail = f"{rest:.2f} s at the end are less than a window"
    return starts, [Exclusion(name, starts[-1] + duration, Reason.REMAINDER, detail)]


def _cut(
    recording: Recording,
    stream: ImuStream,
    times: FloatArray,
    channel_mask: BoolArray,
    frame_times: FloatArray | None,
    start: float,
    settings: WindowSettings,
) -> tuple[Window, dict[Reason, str]]:
    end = start + settings.duration_s
    at = start + np.arange(settings.samples) / settings.imu_rate_hz
    # A missing channel is a constant here, or every row would count as lost.
    near = signal.reach(times, at, settings.imu_rate_hz, settings.max_gap_s)
    values = np.where(channel_mask, stream.values[near], 0.0)
    resampled, valid = signal.resample(times[near], values, at, settings.imu_rate_hz, settings.max_gap_s)
    resampled = signal.median_filter(resampled, valid, settings.median_kernel)
    inside = slice(*np.searchsorted(times, [start, end]))
    faults = _faults(stream, times[inside], stream.values[inside], channel_mask)
    covered = (at >= times[0] - 1e-6) & (at <= times[-1] + 1e-6)
    if (covered & ~valid).any():
        values = np.where(channel_mask, stream.values, 0.0)
        faults[Reason.GAP] = _describe_gap(times, values, start, end, settings.max_gap_s)
    measured = (max(start, float(times[0])), min(end, float(times[-1]) + 1 / settings.imu_rate_hz))
    indices, relative, frame_mask = _frames(frame_times, start, settings)
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


def _faults(stream: ImuStream, times: FloatArray, values: FloatArray, channel_mask: BoolArray) -> dict[Reason, str]:
    """What is wrong with the raw samples of one window, with a description for people."""
    faults: dict[Reason, str] = {}
    lost = np.isnan(values[:, channel_mask]).any(axis=1)
    if lost.any():
        first = times[np.argmax(lost)]
        faults[Reason.NAN] = f"{lost.sum()} samples with NaN, the first at {first:.3f} s"
    limits = np.repeat([stream.acceleration_range or np.nan, stream.angular_velocity_range or np.nan], 3).astype(
        np.float64
    )
    saturated = signal.count_saturated(values, limits)
    if (saturated >= SATURATED_SAMPLES).any():
        worst = int(np.argmax(saturated))
        faults[Reason.SATURATED] = (
            f"{saturated[worst]} samples of channel {worst} at the end of the range of {limits[worst]:.1f}"
        )
    for sensor, channels in (("accelerometer", slice(0, 3)), ("gyroscope", slice(3, 6))):
        if channel_mask[channels].all():
            still = signal.longest_standstill(times, values[:, channels])
            if still >= STANDSTILL_S:
                faults[Reason.FLAT_LINE] = f"the {sensor} does not change for {still:.2f} s"
    norm = signal.median_acceleration(values)
    if np.isfinite(norm) and not PLAUSIBLE_ACCELERATION[0] <= norm <= PLAUSIBLE_ACCELERATION[1]:
        faults[Reason.GRAVITY] = f"the median acceleration is {norm:.3g} m/s^2; on a person it is near 9.8"
    return faults


def _describe_gap(times: FloatArray, values: FloatArray, start: float, end: float, max_gap_s: float) -> str:
    kept = times[~np.isnan(values).any(axis=1)]
    gaps = signal.find_gaps(kept, max_gap_s)
    gaps = gaps[(gaps[:, 1] > start) & (gaps[:, 0] < end)]
    if not len(gaps):
        return "samples are missing at an end of the recording"
    lengths = gaps[:, 1] - gaps[:, 0]
    longest = int(np.argmax(lengths))
    return f"no samples for {lengths[longest]:.3f} s from {gaps[longest, 0]:.3f} s on"


def label_of(activities: tuple[Interval, ...], start: float, end: float, min_share: float) -> str:
    """The activity that covers most of ``start <= t < end``, or "" if that is less than ``min_share``."""
    covered: dict[str, float] = {}
    for interval in activities:
        overlap = min(end, interval.end) - max(start, interval.start)
        if overlap > 0:
            covered[interval.activity] = covered.get(interval.activity, 0.0) + overlap
    if not covered or end <= start:
        return ""
    best = max(covered, key=lambda activity: covered[activity])
    return best if covered[best] >= min_share * (end - start) - 1e-9 else ""


def _frame_interval(frame_times: FloatArray) -> float:
    return float(np.median(np.diff(frame_times))) if frame_times.size > 1 else 0.0


def _frames(
    frame_times: FloatArray | None, start: float, settings: WindowSettings
) -> tuple[NDArray[np.int64], NDArray[np.float32], BoolArray]:
    """The frames nearest to the centres of F equal parts of the window, and their true times."""
    if frame_times is None:
        return np.empty(0, np.int64), np.empty(0, np.float32), np.empty(0, bool)
    part = settings.duration_s / settings.frames
    requested = start + (np.arange(settings.frames) + 0.5) * part
    after = np.clip(np.searchsorted(frame_times, requested), 1, max(1, frame_times.size - 1))
    before = after - 1
    after = np.minimum(after, frame_times.size - 1)
    nearest = np.where(np.abs(frame_times[before] - requested) <= np.abs(frame_times[after] - requested), before, after)
    true = frame_times[nearest]
    half = _frame_interval(frame_times) / 2
    # Before and after the video there is no frame; nor is there one where the nearest shows another part.
    mask = (requested >= frame_times[0] - half - 1e-6) & (requested <= frame_times[-1] + half + 1e-6)
    distance = np.abs(true - requested)
    mask &= (distance <= half + 1e-6) | (distance < part / 2 - 1e-6)
    relative = np.where(mask, true, requested) - start
    return np.where(mask, nearest, -1).astype(np.int64), relative.astype(np.float32), mask
