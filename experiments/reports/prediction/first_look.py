"""A look at a recording that is predicted, by the rules of ``check_import``: units, and sensors at their range's end.

What certainly can't be right was refused before, by the limits of the build. Axes that hang are found in the whole
recording, by the build's rule, see :mod:`experiments.inference.watch`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from datamodules.recording import ImuStream
from datamodules.windows.settings import WindowSettings
from experiments.inference.recordings import Recorded
from experiments.reports.manifest.facts import RecordingFacts
from experiments.reports.manifest.gyroscope_remarks import judge_gyroscope
from experiments.reports.manifest.motion_facts import measure_motion
from experiments.reports.manifest.motion_remarks import judge_acceleration, judge_clipped, with_all_axes

_MOST = 1 << 18  # samples of a stretch: 44 minutes at 100 Hz


def with_first_look(recorded: Recorded, settings: WindowSettings) -> Recorded:
    """The same recording, whose notes also say what its stretches 0, 1, 2, 4, 8, ... look like.

    Args:
        recorded: the recording.
        settings: of windows, for what counts as a gap and a standstill.
    """
    return replace(recorded, stretches=_looked_at(recorded, settings))


def _looked_at(recorded: Recorded, settings: WindowSettings) -> Iterator[ImuStream]:
    said, begin = False, 0.0
    for number, stretch in enumerate(recorded.stretches):
        begin = begin if number else float(stretch.times[0])
        if not said and number & (number - 1) == 0:
            found = _doubts(recorded, stretch, begin, settings)
            recorded.notes[:0] = found
            said = bool(found)
        yield stretch


def _doubts(recorded: Recorded, stretch: ImuStream, begin: float, settings: WindowSettings) -> list[str]:
    """What is wrong with a stretch, in words; ``begin`` is the recording's, seconds."""
    if len(stretch.times) < 2:
        return []
    some = replace(stretch, times=stretch.times[:_MOST], values=stretch.values[:_MOST])
    facts, where = measure_motion(some, settings), stretch.origin or recorded.name
    pairs = [(RecordingFacts(f"from {stretch.times[0] - begin:.0f} s on", "", ""), facts)]
    sensor = recorded.sensor
    assert sensor.acceleration is not None
    remarks = [remark for remark in judge_acceleration(where, sensor.acceleration, pairs) if remark.problem]
    if sensor.gyroscope is not None and recorded.channel_mask[3:].any() and (alive := with_all_axes(pairs)):
        remarks += [r for r in judge_gyroscope(where, sensor.acceleration, sensor.gyroscope, alive) if r.problem]
    return [remark.text for remark in [*remarks, *judge_clipped(where, sensor, pairs)]]
