"""Remarks on long recordings of an accelerometer: whether it was worn, and how far its rest is from 1 g."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from datamodules.sources.manifest.spec import SensorSpec
from experiments.reports.manifest.facts import RecordingFacts
from experiments.reports.manifest.motion_facts import MotionFacts
from experiments.reports.manifest.remark import Remark, some

_LISTED = 4  # stretches that are named


def judge_wear(where: str, sensor: SensorSpec, pairs: Sequence[tuple[RecordingFacts, MotionFacts]]) -> Iterator[Remark]:
    """What is worth knowing; none of it is a problem, and none of it is done unless the manifest asks for it."""
    for fact, s in pairs:
        if not s.not_worn:
            continue
        hours = sum(end - begin for begin, end in s.not_worn) / 3600
        first = s.first_s
        named = ", ".join(f"{(a - first) / 3600:.2f} to {(b - first) / 3600:.2f} h" for a, b in s.not_worn[:_LISTED])
        more = f" and {len(s.not_worn) - _LISTED} more" if len(s.not_worn) > _LISTED else ""
        yield Remark(
            False,
            f"{where}: {fact.name}: not worn for {hours:.1f} of {(s.last_s - first) / 3600:.1f} h: no movement for "
            f"more than 90 minutes from {named}{more}; with 'non_wear: drop' beside the sensor this is left out",
        )
    if sensor.calibrate:
        return  # what was applied stands in the notes
    told = [(f.name, s.calibration) for f, s in pairs if s.calibration is not None and not s.calibration.refused]
    if told:
        before = [1000 * c.before for _, c in told]
        worst, found = told[int(np.argmax(before))]
        most = f" (the most: {worst}; {found.describe()})" if len(told) > 1 else f" ({found.describe()})"
        yield Remark(
            False,
            f"{where}: {some([name for name, _ in told])}: at rest the acceleration is {np.median(before):.1f} mg off "
            f"1 g{most}; with 'calibrate: true' beside the sensor gain and offset are applied",
        )
    refused = [(f.name, s.calibration) for f, s in pairs if s.calibration is not None and s.calibration.refused]
    if refused:
        yield Remark(
            False,
            f"{where}: {some([name for name, _ in refused])}: gain and offset can't be told: {refused[0][1].refused}",
        )
