"""Several short recordings of one camera and one sensor, compared as one: for devices whose offset is the same in all.

A trial of three seconds can't tell an offset, twenty of them can. They are put one after the other on one time line,
each sensor with its own video. Lags that are too large to be true then compare a video with another trial's sensor,
which shows the chance level. If the offset changes from recording to recording, no lag fits all, and nothing is told.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from datamodules.clock_sync.estimate import ClockSettings, compare
from datamodules.clock_sync.motion_signals import SeenMotion
from datamodules.clock_sync.result import ClockEstimate
from datamodules.recording import ImuStream

_CONTEXT_S = 20.0  # of unrelated motion; other trials' motion is more unlike than more of the same recording
_MOST_S = 80.0  # of video; more costs more, and 80 s are enough for any pair that can be told at all
_LEAST = 2  # recordings


class Pool:
    """Recordings of one camera and one sensor, gathered until there is enough video.

    Attributes:
        told: how many recordings told their offset alone.
        asked: how many were compared, or are too short to be compared alone.
    """

    def __init__(self) -> None:
        self.told = 0
        self.asked = 0
        self._recordings: list[tuple[SeenMotion, ImuStream]] = []
        self._seconds = 0.0

    def __len__(self) -> int:
        """Return the number of gathered recordings."""
        return len(self._recordings)

    def add(self, seen: SeenMotion, stream: ImuStream, alone: ClockEstimate | None) -> None:
        """Add a recording.

        Args:
            seen: what the camera saw.
            stream: what the sensor measured, with the recording's stated offset.
            alone: the recording's own estimate; None if it is too short for one.
        """
        self.asked += 1
        self.told += alone is not None and alone.certainty != "unknown"
        if self._seconds < _MOST_S and seen.times.size > 1 and stream.times.size > 1:
            self._recordings.append((seen, stream))
            self._seconds += float(seen.times[-1] - seen.times[0])

    def estimate(self, name: str, camera: str, settings: ClockSettings | None = None) -> ClockEstimate | None:
        """Estimate the offset that all share; None if there are too few, or if most told theirs alone."""
        if len(self._recordings) < _LEAST or 2 * self.told > self.asked:
            return None
        return compare_pooled(self._recordings, name, camera, settings)


def compare_pooled(
    recordings: Sequence[tuple[SeenMotion, ImuStream]], name: str, camera: str, settings: ClockSettings | None = None
) -> ClockEstimate:
    """Estimate the offset that all recordings share; there is no drift.

    Args:
        recordings: what the camera saw and what the sensor measured, in each recording; one at least.
        name: name for all of them.
        camera: name of the camera.
        settings: settings of the comparison; None takes the defaults.
    """
    settings = settings or ClockSettings()
    settings = dataclasses.replace(settings, drift=False, context_s=min(settings.context_s, _CONTEXT_S))
    return compare(*_one_after_the_other(recordings, settings), name, camera, settings)


def _one_after_the_other(
    recordings: Sequence[tuple[SeenMotion, ImuStream]], settings: ClockSettings
) -> tuple[SeenMotion, ImuStream]:
    """Move the recordings apart, so that no possible lag compares two of them, and each gets a window of its own."""
    apart = max(settings.window_s / 4, settings.max_offset_s) + 1.0
    seen_times, times, end = [], [], 0.0
    for seen, stream in recordings:
        first = min(float(part[0]) for part in (seen.times, stream.times) if part.size)
        last = max(float(part[-1]) for part in (seen.times, stream.times) if part.size)
        seen_times.append(seen.times + (end - first))
        times.append(stream.times + (end - first))
        end += last - first + apart
    seen = SeenMotion(
        np.concatenate(seen_times),
        np.concatenate([one.flow for one, _ in recordings]),
        np.concatenate([one.speed for one, _ in recordings]),
    )
    values = np.concatenate([stream.values for _, stream in recordings])
    return seen, ImuStream(np.concatenate(times), values, recordings[0][1].placement)
