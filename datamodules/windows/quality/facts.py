"""Facts about one recording, for the quality report.

The build collects these facts and stores them in the shards, so the report needs no raw data.

Shape legend: N samples or frames.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from datamodules import signal
from datamodules.formats.video import DECORD
from datamodules.recording import FloatArray, ImuStream, Interval, Recording, VideoStream
from datamodules.signal import BoolArray
from datamodules.windows.quality.frame_times import frame_holes, frame_interval
from datamodules.windows.quality.sensor import count_coincident
from datamodules.windows.settings import WindowSettings

MOST_STRETCHES = 300  # most stretches of one kind per recording; the shortest are dropped
NORM_STEP_G = 0.05  # width of a bin of the acceleration's norm, g
NORM_BINS = 60  # the last bin also holds all larger norms
_CHUNK = 1 << 20  # samples processed at a time: a day at 100 Hz has eight million
_CLOCK = "clock_"  # prefix of the metadata about clocks


@dataclass(frozen=True)
class RecordingFacts:
    """Facts about one usable recording, even if it gave no window.

    Times are seconds on the video's clock, like the starts of windows. A stretch is [begin, end].

    Attributes:
        recording, subject, population, placement, device: origin of the samples.
        begin_s, end_s: begin and end of the sensor's samples.
        samples: number of the sensor's samples.
        rate_hz: rate from the median distance of neighbouring samples.
        rate_low_hz, rate_high_hz: rates from the 95th and the 5th percentile of the distances; they differ much from
            ``rate_hz`` if time stamps jitter.
        norm: median norm of the acceleration, m/s^2; None without a sample.
        norm_counts: counts of the acceleration's norm in ``NORM_BINS`` bins of ``NORM_STEP_G``.
        gaps: the ``MOST_STRETCHES`` longest stretches without samples.
        gap_count, gap_s: number and total seconds of all gaps.
        repeated: number of samples that repeat another sample's time stamp.
        labels: the ``MOST_STRETCHES`` longest labels, each [begin, end, activity].
        labelled_s: seconds of each activity.
        camera: name of the camera; empty without video, and then the following are None or empty.
        video_begin_s, video_end_s: begin and end of the video.
        frame_rate_hz: rate from the median distance of neighbouring frames.
        frame_holes: the ``MOST_STRETCHES`` longest stretches without frames.
        frame_hole_count, frame_hole_s: number and total seconds of all such stretches.
        decoder: the library that decodes the video and the reason for it, where the file's structure forbids decord.
        clock: the recording's metadata about its clocks (``clock_offset_s`` and others).
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
        """Length of the sensor's measurement, gaps included."""
        return self.end_s - self.begin_s


def collect_facts(
    recording: Recording, stream: ImuStream, camera: str | None, settings: WindowSettings
) -> RecordingFacts:
    """Collect the facts; this reads the video's time stamps, not its frames.

    Args:
        recording: a recording that passed ``checks.check_recording``.
        stream: one of its sensors.
        camera: name of the camera. The video is left out if this is None or empty, or if ``settings.frames`` is 0.
        settings: limits for gaps.

    Raises:
        RecordingError: there is no such camera, or its file can't be read.
    """
    offset = recording.imu_clock_offset_s
    middle, long, short = np.quantile(np.diff(stream.times), [0.5, 0.95, 0.05], overwrite_input=True).tolist()
    norm, counts = _acceleration_norms(stream.values)
    gaps = gaps_of(stream, settings.max_gap_s) + offset
    labels = _merge_labels(recording.activities)
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
        begin_s=_rounded(float(stream.times[0]) + offset),
        end_s=_rounded(float(stream.times[-1]) + offset + middle),
        samples=int(stream.times.size),
        rate_hz=_rounded(1 / middle),
        rate_low_hz=_rounded(1 / long),
        rate_high_hz=_rounded(1 / short),
        norm=_rounded(norm) if math.isfinite(norm) else None,
        norm_counts=counts.tolist(),
        gaps=_keep_longest(gaps),
        gap_count=len(gaps),
        gap_s=_rounded(float((gaps[:, 1] - gaps[:, 0]).sum())),
        repeated=int(stream.repeated.size) + count_coincident(stream.times),
        labels=[[_rounded(begin), _rounded(end), activity] for begin, end, activity in longest],
        labelled_s={activity: _rounded(seconds) for activity, seconds in sorted(labelled.items())},
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
            "video_begin_s": _rounded(float(times[0])),
            "video_end_s": _rounded(float(times[-1]) + interval),
            "frame_rate_hz": _rounded(1 / interval) if interval else None,
            "frame_holes": _keep_longest(holes),
            "frame_hole_count": len(holes),
            "frame_hole_s": _rounded(float((holes[:, 1] - holes[:, 0]).sum())),
            "decoder": _decoder(video),
        }
    )


def _decoder(video: VideoStream) -> str:
    """Name the decoder and the reason for it; nothing for decord, which is the rule."""
    decoder = getattr(video, "decoder", "")  # a renderer decodes nothing
    return f"{decoder}: {getattr(video, 'decoder_reason', '')}" if decoder not in ("", DECORD) else ""


def _acceleration_norms(values: FloatArray) -> tuple[float, NDArray[np.int64]]:
    """Return the median norm of the acceleration (NaN without a sample), and the counts of the norms by bin."""
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


def gaps_of(stream: ImuStream, max_gap_s: float) -> FloatArray:
    """Stretches (K, 2) longer than ``max_gap_s`` without a whole sample, on the sensor's clock."""
    lost: BoolArray = np.zeros(stream.times.size, bool)
    for column in stream.values.T:
        missing = np.isnan(column)
        if not missing.all():
            lost |= missing
    return signal.find_gaps(stream.times[~lost] if lost.any() else stream.times, max_gap_s)


def _merge_labels(activities: Iterable[Interval]) -> list[tuple[float, float, str]]:
    """Sort labels by their begin and merge neighbours of the same activity."""
    merged: list[tuple[float, float, str]] = []
    for interval in sorted(activities, key=lambda one: (one.start, one.end)):
        if merged and merged[-1][2] == interval.activity and interval.start <= merged[-1][1] + 1e-6:
            merged[-1] = (merged[-1][0], max(merged[-1][1], interval.end), interval.activity)
        else:
            merged.append((interval.start, interval.end, interval.activity))
    return merged


def _keep_longest(stretches: FloatArray) -> list[list[float]]:
    """Return the ``MOST_STRETCHES`` longest stretches, in the order of time."""
    kept = np.sort(np.argsort(stretches[:, 0] - stretches[:, 1], kind="stable")[:MOST_STRETCHES])
    return [[_rounded(float(begin)), _rounded(float(end))] for begin, end in stretches[kept]]


def _clock(recording: Recording) -> dict[str, str | float | int | bool | None]:
    found = {name: value for name, value in recording.metadata.items() if name.startswith(_CLOCK)}
    return {
        name: (_rounded(value) if math.isfinite(value) else None) if isinstance(value, float) else value
        for name, value in sorted(found.items())
    }


def _rounded(value: float) -> float:
    """Round to a tenth of a millisecond, which is enough for drawing."""
    return round(value, 4)
