"""Stamps that go back: past midnight, at a counter's end, where clocks are put back, by packets, or at a new start.

Shape legend: N samples in the file's order.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from datamodules.recording import FloatArray
from datamodules.sources.manifest.stamps.spread import spread

DAY_S, HOUR_S = 86400.0, 3600.0
_LATEST_S = 3600.0  # after midnight: a longer gap is no mere passing of it
_COUNTERS = (16, 24, 32)  # bits
_LONGEST_BACK_S = 30.0  # of packets that come late
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


def put_in_order(times: FloatArray, tick_s: float, of_day: bool, local: bool) -> Ordered:
    """Undo what makes stamps go back, where that is clear.

    Args:
        times: (N,) seconds; changed in place.
        tick_s: seconds of one unit of the stamps; 0 for text.
        of_day: they tell the time of day and no date.
        local: they were told in a zone that may put its clocks back.

    Returns:
        The stamps; ``restarts`` where they still go back.
    """
    steps = np.diff(times)
    if not (steps < 0).any():
        return Ordered(times)
    found = Ordered(times)
    forward = steps[steps > 0]
    step = float(np.median(forward)) if forward.size else 0.0
    for i in np.flatnonzero(steps < 0):
        before, after = float(times[i]), float(times[i + 1])
        if of_day and (turn := _turn_of_day(before, after)):
            times[i + 1 :] += turn
            what = "midnight" if turn == DAY_S else "twelve, on a clock of twelve hours"
            found.notes.append(f"the stamps pass {what} at sample {i + 2}: what follows is counted on")
        elif tick_s and (bits := _counter(before / tick_s, after / tick_s, 100 * step / tick_s)):
            times[i + 1 :] += 2.0**bits * tick_s
            found.notes.append(f"the stamps begin anew after {bits} bits at sample {i + 2}: they are counted on")
        elif local and 0 <= after + HOUR_S - before < _LATEST_S:
            # From here on the hour that is there twice is its second; behind it, the offset is right by itself.
            later = np.flatnonzero(steps[i + 1 :] > HOUR_S - _LATEST_S / 4)
            end = i + 2 + int(later[0]) if later.size and abs(steps[i + 1 + later[0]] - HOUR_S) < 900 else times.size
            times[i + 1 : end] += HOUR_S
            found.notes.append(f"the clock is put back at sample {i + 2} (end of daylight saving): counted on")
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
    found.restarts = (backwards + 1).tolist()
    return found


def _turn_of_day(before: float, after: float) -> float:
    if 0 <= after + DAY_S - before < _LATEST_S:
        return DAY_S
    half = DAY_S / 2
    if before < half + HOUR_S and 0 <= after + half - before < _LATEST_S:
        return half
    return 0.0


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
