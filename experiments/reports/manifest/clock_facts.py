"""Clocks of a study's cameras and sensors, compared by the build's rules, in a bounded time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from datamodules.clock_sync.apply_offset import BUILD_SETTINGS, too_short
from datamodules.clock_sync.estimate import compare, measure_chosen, shifted
from datamodules.clock_sync.pooling import Pool
from datamodules.clock_sync.result import ClockEstimate, verdict_of
from datamodules.recording import Recording, RecordingError
from datamodules.sources.manifest import Manifest
from datamodules.windows.checks import check_recording

MOST_VIDEO_S = 240.0  # of each group, unless all are asked for

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class ClockFacts:
    """One sensor and one camera of a recording, or of all recordings of a group.

    Attributes:
        recording: its name; "" if all recordings of the group were compared as one.
        group, placement, camera: of it.
        estimate: what was found; None where there is a note instead.
        apart_s: largest offset within the video, 0 without an estimate.
        recordings: how many were compared as one.
        note: why the clocks were not compared.
    """

    recording: str
    group: str
    placement: str
    camera: str
    estimate: ClockEstimate | None = None
    apart_s: float = 0.0
    recordings: int = 1
    note: str = ""

    @property
    def verdict(self) -> str:
        """In the words that the build uses."""
        return verdict_of(self.estimate.certainty, self.apart_s) if self.estimate else "not looked at"


def measure_clocks(
    source: Manifest, all_recordings: bool = False, progress: Progress | None = None
) -> list[ClockFacts]:
    """Compare the clocks of all recordings with video, or of some that are spread over each group.

    Args:
        source: the study.
        all_recordings: False stops after ``MOST_VIDEO_S`` of video in each group.
        progress: called with (compared recordings, those that there are at most); at last with what was compared.
    """
    found: list[ClockFacts] = []
    names = {name: [n for n, r in source.recordings.items() if r.group == name] for name in source.groups}
    with_video = {name: mine for name, mine in names.items() if source.groups[name].spec.videos}
    total, done = sum(map(len, with_video.values())), 0
    for group, mine in with_video.items():
        looked_s = 0.0
        pools: dict[tuple[str, str], Pool] = {}
        for name in spread(mine):
            if looked_s >= MOST_VIDEO_S and not all_recordings:
                break
            try:
                recording = source.load(name)
                check_recording(recording)
            except RecordingError:
                continue  # ``facts.measure`` has said why
            for video in range(len(recording.videos)):
                looked_s += _compare(recording, video, group, pools, found)
            done += 1
            if progress:
                progress(done, total)
        found += _pooled(group, pools)
    if progress:
        progress(done, done)
    return found


def spread(names: Sequence[str]) -> Iterator[str]:
    """Yield all names: first and last, then the middle of each gap, so that any few are spread over the whole."""
    ends = [0, len(names) - 1] if len(names) > 1 else [0] if names else []
    yield from (names[i] for i in ends)
    gaps = [(0, len(names) - 1)]
    while gaps:
        low, high = gaps.pop(0)
        if high - low > 1:
            middle = (low + high) // 2
            yield names[middle]
            gaps += [(low, middle), (middle, high)]


def _compare(
    recording: Recording, index: int, group: str, pools: dict[tuple[str, str], Pool], found: list[ClockFacts]
) -> float:
    """Compare one video with all sensors; returns the seconds of video that were looked at."""
    video = recording.videos[index]
    try:
        times = video.frame_times()
        seen = measure_chosen(video, BUILD_SETTINGS)
    except RecordingError as error:
        note = str(error)
        found += [ClockFacts(recording.name, group, s.placement, video.camera, note=note) for s in recording.imus]
        return 0.0
    for stream in recording.imus:
        on_video = shifted(stream, recording.imu_clock_offset_s)
        pool = pools.setdefault((stream.placement, video.camera), Pool())
        if note := too_short(recording, stream, times):
            pool.add(seen, on_video, None)
            found.append(ClockFacts(recording.name, group, stream.placement, video.camera, note=note))
            continue
        estimate = compare(seen, on_video, recording.name, video.camera, BUILD_SETTINGS)
        pool.add(seen, on_video, estimate)
        apart = estimate.apart(float(times[0]), float(times[-1]))
        found.append(ClockFacts(recording.name, group, stream.placement, video.camera, estimate, apart))
    return float(min(times[-1] - times[0], BUILD_SETTINGS.max_video_s))


def _pooled(group: str, pools: dict[tuple[str, str], Pool]) -> Iterator[ClockFacts]:
    for (placement, camera), pool in pools.items():
        estimate = pool.estimate(group, camera, BUILD_SETTINGS)
        if estimate is not None:
            yield ClockFacts("", group, placement, camera, estimate, estimate.offset_s, len(pool))
