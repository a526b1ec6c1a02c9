"""Stamps that go back: past midnight, at a counter's end, where clocks are put back, by packets, or at a new start.

Shape legend: N samples in the file's order.
"""

from __future__ import annotations

import datetime
import zoneinfo
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from datamodules.recording import FloatArray
from datamodules.sources.manifest.stamps.spread import spread

DAY_S, HOUR_S = 86400.0, 3600.0
_LATEST_S = 3600.0  # after midnight: a longer gap is no mere passing of it
_COUNTERS = (16, 24, 32)  # bits
_LONGEST_BACK_S = 30.0  # of packets that come late
_LONE_SHARE, _FAR = 0.001, 10.0  # of the samples; steps that a broken stamp is off
_BACK_SHARE = 0.25  # of a file's time; what goes back further is another start


@dataclass
class Ordered:
    """Stamps made to ascend, as far as it is clear how.

    Attributes:
        times: (N,) seconds; sorted if ``order`` is there.
        order: (N,) which sample of the file each is; None for the file's order.
        restarts: samples that begin anew.
        notes: what was done, in words.
    """

    times: FloatArray
    order: NDArray[np.int64] | None = None
    restarts: list[int] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def put_in_order(times: FloatArray, tick_s: float, of_day: bool, zone: str, mend: bool = False) -> Ordered:
    """Undo what makes stamps go back, where that is clear.

    Args:
        times: (N,) seconds; changed in place.
        tick_s: seconds of one unit of the stamps; 0 for text.
        of_day: they tell the time of day and no date.
        zone: they were told in, which may put its clocks back; empty for none.
        mend: put right single stamps that are far off, and files with the newest sample first.

    Returns:
        The stamps; ``restarts`` where they still go back.
    """
    found = Ordered(times)
    steps = np.diff(times)
    if zone and not of_day and (note := _second_hour(times, steps, zone)):
        found.notes.append(note)
        steps = np.diff(times)
    if not (steps < 0).any():
        return found
    if mend and (steps <= 0).all():
        order = np.arange(times.size)[::-1]
        found.notes.append("the newest sample comes first: put in order by their stamps")
        return Ordered(times[::-1].copy(), order.copy(), [], found.notes)
    forward = steps[steps > 0]
    step = float(np.median(forward)) if forward.size else 0.0
    counted = 0.0  # ticks that were added where a counter began anew
    anew: list[tuple[int, int]] = []  # samples and bits of it
    for i in np.flatnonzero(steps < 0):
        before, after = float(times[i]), float(times[i + 1])
        if of_day and (turn := _turn_of_day(before, after)):
            times[i + 1 :] += turn
            what = "midnight" if turn == DAY_S else "twelve, on a clock of twelve hours"
            found.notes.append(f"the stamps pass {what} at sample {i + 2}: what follows is counted on")
        elif tick_s and (bits := _counter(*_ticks(before, after, tick_s, counted), 100 * step / tick_s)):
            times[i + 1 :] += 2.0**bits * tick_s
            counted += 2.0**bits
            anew.append((int(i) + 2, bits))
        elif zone and 0 <= after + HOUR_S - before < _LATEST_S:
            # From here on the hour that is there twice is its second; behind it, the offset is right by itself.
            later = np.flatnonzero(steps[i + 1 :] > HOUR_S - _LATEST_S / 4)
            end = i + 2 + int(later[0]) if later.size and abs(steps[i + 1 + later[0]] - HOUR_S) < 900 else times.size
            times[i + 1 : end] += HOUR_S
            found.notes.append(f"the clock is put back at sample {i + 2} (end of daylight saving): counted on")
    if anew:
        sample, bits = anew[0]
        more = f", and {len(anew) - 1} times more" if len(anew) > 1 else ""
        found.notes.append(f"the stamps begin anew after {bits} bits at sample {sample}{more}: they are counted on")
    steps = np.diff(times)
    backwards = np.flatnonzero(steps < 0)
    if not backwards.size:
        return found
    order = np.argsort(times, kind="stable")
    if _are_packets(times, times[order], steps, step):
        moved = int((order != np.arange(times.size)).sum())
        found.notes.append(
            f"{moved} of {times.size} samples came out of order, by packets: put in order by their stamps"
        )
        return Ordered(times[order], order, [], found.notes)
    found.notes += _mend_lone(times, backwards, step) if mend else []
    backwards = np.flatnonzero(np.diff(times) < 0)
    found.restarts = (backwards + 1).tolist()
    return found


def _second_hour(times: FloatArray, steps: FloatArray, zone: str) -> str:
    """Move what was taken for the first of an hour that is there twice, and was the second, in place.

    A recording that begins within the second one goes on into the next hour without a pause; taken for the first, it
    pauses for exactly an hour.
    """
    usual = float(np.median(steps))
    for i in np.flatnonzero(np.abs(steps - HOUR_S - usual) < max(2 * usual, 0.5)):
        if not is_there_twice(float(times[i]), zone):
            continue
        begin = np.flatnonzero((steps[:i] < 0) | (times[:i] < times[i] - HOUR_S))
        first = int(begin[-1]) + 1 if begin.size else 0
        times[first : i + 1] += HOUR_S
        return f"the hour that is there twice (end of daylight saving) is its second up to sample {i + 1}"
    return ""


def is_there_twice(seconds: float, zone: str) -> bool:
    """Whether the clock of a zone shows a time (seconds since 1970) twice, because it is put back over it."""
    local = datetime.datetime.fromtimestamp(seconds, zoneinfo.ZoneInfo(zone))
    return local.replace(fold=1).utcoffset() != local.replace(fold=0).utcoffset()


def _mend_lone(times: FloatArray, backwards: NDArray[np.int64], step: float) -> list[str]:
    """Put single stamps that are far off between their neighbours, in place; says which."""
    notes: list[str] = []
    if step <= 0 or backwards.size > max(3, _LONE_SHARE * times.size):
        return notes
    for i in backwards.tolist():
        for lone in (i, i + 1):
            if not 0 < lone < times.size - 1:
                continue
            before, stamp, after = (float(t) for t in times[lone - 1 : lone + 2])
            off = max(before - stamp, stamp - after)
            if 0 < after - before <= 3 * step and off > _FAR * step:
                times[lone] = (before + after) / 2
                notes.append(f"the stamp of sample {lone + 1}, {stamp:.9g} s, is far off: put between its neighbours'")
                break
    return notes


def _turn_of_day(before: float, after: float) -> float:
    if 0 <= after + DAY_S - before < _LATEST_S:
        return DAY_S
    half = DAY_S / 2
    if before < half + HOUR_S and 0 <= after + half - before < _LATEST_S:
        return half
    return 0.0


def _ticks(before: float, after: float, tick_s: float, counted: float) -> tuple[float, float]:
    """What a counter showed at two times, without what was counted on; rounded, as sums of decimals are not exact."""
    return round(before / tick_s - counted, 3), round(after / tick_s - counted, 3)


def _counter(before: float, after: float, most: float) -> int:
    """Bits of a counter that began anew, or 0; all in its own ticks."""
    for bits in _COUNTERS:
        size = 2.0**bits
        unsigned = 0.99 * size <= before < size and 0 <= after < 0.01 * size
        signed = 0.49 * size <= before < size / 2 and -size / 2 <= after < -0.49 * size
        if (unsigned or signed) and 0 < after + size - before <= max(most, 1):
            return bits
    return 0


def _are_packets(times: FloatArray, ordered: FloatArray, steps: FloatArray, step: float) -> bool:
    """Whether sorting heals it: short ways back, no stamp twice, and no more holes than before."""
    back = -float(steps.min())
    if back > min(_LONGEST_BACK_S, 0.5 * float(np.ptp(times))):
        return False
    healed = np.diff(ordered)
    if (healed == 0).any():
        return False
    if (packets := spread(ordered)) is not None:
        return packets.times is not None
    if back > _BACK_SHARE * float(np.ptp(times)):
        return False
    if float(np.median(healed)) < 0.8 * step:
        return False
    jumps = int((steps > 1.5 * step).sum())
    return int((healed > 1.5 * step).sum()) < max(1, jumps) and float(healed.min()) > 0.2 * step
