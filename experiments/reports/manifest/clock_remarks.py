"""Remarks on the clocks of cameras and sensors, and lines that describe them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from datamodules.clock_sync.result import DISAGREE_S
from datamodules.sources.manifest.spec import GroupSpec, ManifestSpec
from experiments.reports.manifest.clock_facts import ClockFacts
from experiments.reports.manifest.remark import Remark, some

_LISTED = 20
_ALIKE_S = 0.1  # offsets that differ by less may be one


def describe_clocks(facts: Sequence[ClockFacts]) -> Iterator[str]:
    """Say what the comparison found, one line for each pair."""
    if facts:
        yield "clocks of sensors and cameras (sensor stamps + offset = video stamps):"
    for fact in facts[:_LISTED]:
        name = fact.recording or f"{fact.recordings} recordings of '{fact.group}' as one"
        pair = f"  {name}: '{fact.placement}' and '{fact.camera}'"
        if fact.estimate is None:
            yield f"{pair}: not compared: {fact.note}"
        elif fact.estimate.certainty == "unknown":
            yield f"{pair}: can't tell (confidence {fact.estimate.confidence:.2f})"
        else:
            yield (
                f"{pair}: {fact.apart_s:+.2f} s, {fact.estimate.certainty} (confidence "
                f"{fact.estimate.confidence:.2f}, margin {fact.estimate.margin:.1f}): {fact.verdict}"
            )
    if len(facts) > _LISTED:
        yield f"  ... and {len(facts) - _LISTED} more"


def judge_clocks(manifest: ManifestSpec, facts: Sequence[ClockFacts]) -> list[Remark]:
    """Make remarks on pairs of a sensor and a camera whose clocks are, or seem to be, apart."""
    remarks = []
    for group, placement, camera in dict.fromkeys((f.group, f.placement, f.camera) for f in facts):
        mine = [f for f in facts if (f.group, f.placement, f.camera) == (group, placement, camera)]
        off = [f for f in mine if f.verdict in ("disagree", "seem to disagree")]
        single = [f for f in off if f.recording]
        if off:
            compared = sum(f.estimate is not None for f in mine if f.recording)
            remarks.append(_apart(manifest.groups[group], single or off, compared))
    return remarks


def _apart(group: GroupSpec, off: Sequence[ClockFacts], compared: int) -> Remark:
    offsets = [fact.apart_s for fact in off]
    sure = "are" if any(fact.verdict == "disagree" for fact in off) else "are likely"
    if off[0].recording:
        many = f"in {len(off)} of {compared} compared recordings ("
        many += some([f"{fact.recording} {fact.apart_s:+.2f} s" for fact in off]) + ")"
    else:
        many = f"in {off[0].recordings} recordings compared as one ({offsets[0]:+.2f} s)"
    return Remark(
        True,
        f"{off[0].group}: the clocks of the sensor at {off[0].placement} and camera '{off[0].camera}' {sure} more than "
        f"{DISAGREE_S:g} s apart {many}: {_remedy(group, offsets)}",
    )


def _remedy(group: GroupSpec, offsets: Sequence[float]) -> str:
    """Name the key of the manifest, and its value where one value serves all."""
    if np.ptp(offsets) > _ALIKE_S:
        return (
            "the offsets differ: give each recording's in a column of the details, and set imu_clock_offset_s to "
            '"{column}", or build with build.clocks=apply'
        )
    offset = float(np.median(offsets))
    stated = group.imu_clock_offset_s
    if isinstance(stated, str) and not _is_number(stated):
        return f"add {offset:+.2f} to the values of imu_clock_offset_s ('{stated}')"
    return f"if that is right, set imu_clock_offset_s: {float(stated) + offset:.2f}"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
