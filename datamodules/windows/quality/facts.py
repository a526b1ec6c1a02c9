"""What the build knows of one recording and the report on it shows; kept in the shards, so that it outlives the build.

Shape legend: N samples or frames.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from datamodules import signal
from datamodules.formats.video import DECORD, VideoFile
from datamodules.recording import FloatArray, ImuStream, Interval, Recording, VideoStream
from datamodules.signal import BoolArray
from datamodules.windows.quality.frame_times import frame_holes, frame_interval
from datamodules.windows.quality.sensor import count_coincident
from datamodules.windows.settings import WindowSettings

MOST_STRETCHES = 300  # of one kind that a recording keeps; the shortest go first
NORM_STEP_G = 0.05
NORM_BINS = 60  # of NORM_STEP_G each; the last one holds all that is above
_CHUNK = 1 << 20  # samples looked at at once: a day at 100 Hz has eight million
_CLOCK = "clock_"  # what metadata on the clocks are called


@dataclass(frozen=True)
class RecordingFacts:
    """One recording that could be used, whether or not it gave a window.

    Times are seconds on the video's clock, as windows' starts are. A stretch is [begin, end].

    Attributes:
        recording, subject, population, placement, device: where it comes from.
        begin_s, end_s: of the sensor.
        samples: of the sensor.
        rate_hz: by the median distance of neighbouring samples.
        rate_low_hz, rate_high_hz: by the 95th and the 5th percentile of the distances; far from ``rate_hz`` where
            stamps jitter.
        norm: median length of the acceleration, m/s^2; None without a sample.
        norm_counts: samples by the acceleration's length, ``NORM_BINS`` bins of ``NORM_STEP_G``.
        gaps: stretches without samples, the ``MOST_STRETCHES`` longest.
        gap_count, gap_s: all of them.
        repeated: samples that have the stamp of another one.
        labels: [begin, end, activity]; the ``MOST_STRETCHES`` longest.
        labelled_s: seconds of each activity.
        camera: of the video; empty without one, and the following are None or empty then.
        video_begin_s, video_end_s: of the video.
        frame_rate_hz: by the median distance of neighbouring frames.
        frame_holes: stretches without frames, the ``MOST_STRETCHES`` longest.
        frame_hole_count, frame_hole_s: all of them.
        decoder: the library that decodes the video and the reason for it, where the file's structure forbids decord.
        clock: what the recording's metadata say about its clocks (``clock_offset_s`` and the like).
    """

    recording: str
    subject: str
    population: str
    placement: str
    device: str
    begin_s: float
    end_s: float
    samples: int
    rate_hz: float
    rate_low_hz: float
    rate_high_hz: float
    norm: float | None
    norm_counts: list[int]
    gaps: list[list[float]]
    gap_count: int
    gap_s: float
    repeated: int
    labels: list[list[float | str]]
    labelled_s: dict[str, float]
    camera: str = ""
    video_begin_s: float | None = None
    video_end_s: float | None = None
    frame_rate_hz: float | None = None
    frame_holes: list[list[float]] = field(default_factory=list)
    frame_hole_count: int = 0
    frame_hole_s: float = 0.0
    clock: dict[str, str | float | int | bool | None] = field(default_factory=dict)
    decoder: str = ""

    @property
    def duration_s(self) -> float:
        """Of the sensor's measurement, gaps included."""
        return self.end_s - self.begin_s


def facts_of(recording: Recording, stream: ImuStream, camera: str | None, settings: WindowSettings) -> RecordingFacts:
    """The facts; reads the video's time stamps but none of its frames.

    Args:
        recording: checked by ``checks.check_recording``.
        stream: which of its sensors.
        camera: which camera; None or empty, or no frames in ``settings``, looks at none.
        settings: what counts as a gap.

    Raises:
        RecordingError: there is no such camera, or its file can't be read.
    """
    offset = recording.imu_clock_offset_s
    middle, long, short = np.quantile(np.diff(stream.times), [0.5, 0.95, 0.05], overwrite_input=True).tolist()
    norm, counts = _norms(stream.values)
    gaps = _gaps(stream, settings.max_gap_s) + offset
    labels = _merged(recording.activities)
    labelled: dict[str, float] = {}
    for begin, end, activity in labels:
        labelled[activity] = labelled.get(activity, 0.0) + end - begin
    longest = sorted(sorted(labels, key=lambda label: label[0] - label[1])[:MOST_STRETCHES])
    facts = RecordingFacts(
        recording=recording.name,
        subject=recording.subject,
        population=recording.population,
        placement=stream.placement,
        device=stream.device,
        begin_s=_short(float(stream.times[0]) + offset),
        end_s=_short(float(stream.times[-1]) + offset + middle),
        samples=int(stream.times.size),
        rate_hz=_short(1 / middle),
        rate_low_hz=_short(1 / long),
        rate_high_hz=_short(1 / short),
        norm=_short(norm) if math.isfinite(norm) else None,
        norm_counts=counts.tolist(),
        gaps=_longest(gaps),
        gap_count=len(gaps),
        gap_s=_short(float((gaps[:, 1] - gaps[:, 0]).sum())),
        repeated=int(stream.repeated.size) + count_coincident(stream.times),
        labels=[[_short(begin), _short(end), activity] for begin, end, activity in longest],
        labelled_s={activity: _short(seconds) for activity, seconds in sorted(labelled.items())},
        clock=_clock(recording),
    )
    if not camera or not settings.frames:
        return facts
    video = recording.video(camera)
    times = video.frame_times()
    interval = frame_interval(times)
    holes = frame_holes(times, interval, settings.max_frame_gap_s)
    return RecordingFacts(
        **{
            **facts.__dict__,
            "camera": camera,
            "video_begin_s": _short(float(times[0])),
            "video_end_s": _short(float(times[-1]) + interval),
            "frame_rate_hz": _short(1 / interval) if interval else None,
            "frame_holes": _longest(holes),
            "frame_hole_count": len(holes),
            "frame_hole_s": _short(float((holes[:, 1] - holes[:, 0]).sum())),
            "decoder": _decoder(video),
        }
    )


def _decoder(video: VideoStream) -> str:
    if not isinstance(video, VideoFile) or video.decoder == DECORD:
        return ""
    return f"{video.decoder}: {video.decoder_reason}"


def _norms(values: FloatArray) -> tuple[float, NDArray[np.int64]]:
    """Median length of the acceleration (NaN without a sample), and how many samples have which."""
    norms = np.empty(len(values), np.float32)
    counts: NDArray[np.int64] = np.zeros(NORM_BINS, np.int64)
    for first in range(0, len(values), _CHUNK):
        part = norms[first : first + _CHUNK]
        part[:] = np.linalg.norm(values[first : first + _CHUNK, :3], axis=1)
        bins = np.minimum(part[np.isfinite(part)] / (NORM_STEP_G * signal.G), NORM_BINS - 1).astype(np.int64)
        counts += np.bincount(bins, minlength=NORM_BINS)
    lost = np.isnan(norms)
    if lost.all():
        return math.nan, counts
    return float(np.median(norms[~lost] if lost.any() else norms)), counts


def _gaps(stream: ImuStream, max_gap_s: float) -> FloatArray:
    lost: BoolArray = np.zeros(stream.times.size, bool)
    for column in stream.values.T:
        missing = np.isnan(column)
        if not missing.all():
            lost |= missing
    return signal.find_gaps(stream.times[~lost] if lost.any() else stream.times, max_gap_s)


def _merged(activities: Iterable[Interval]) -> list[tuple[float, float, str]]:
    """In the order of their begins; neighbours of one activity are one."""
    merged: list[tuple[float, float, str]] = []
    for interval in sorted(activities, key=lambda one: (one.start, one.end)):
        if merged and merged[-1][2] == interval.activity and interval.start <= merged[-1][1] + 1e-6:
            merged[-1] = (merged[-1][0], max(merged[-1][1], interval.end), interval.activity)
        else:
            merged.append((interval.start, interval.end, interval.activity))
    return merged


def _longest(stretches: FloatArray) -> list[list[float]]:
    """The longest ones, in the order of time."""
    kept = np.sort(np.argsort(stretches[:, 0] - stretches[:, 1], kind="stable")[:MOST_STRETCHES])
    return [[_short(float(begin)), _short(float(end))] for begin, end in stretches[kept]]


def _clock(recording: Recording) -> dict[str, str | float | int | bool | None]:
    found = {name: value for name, value in recording.metadata.items() if name.startswith(_CLOCK)}
    return {
        name: (_short(value) if math.isfinite(value) else None) if isinstance(value, float) else value
        for name, value in sorted(found.items())
    }


def _short(value: float) -> float:
    """To the tenth of a millisecond: what is drawn needs no more."""
    return round(value, 4)
