"""Stamps that say when a packet came, or are cut to whole seconds: samples spread evenly where packets are regular.

A packet begins at its first stamp. Sample k of a stretch then lies on the line through the first stamps of its
packets, which may bend every half minute, so that clocks may drift against each other. Where packets were lost, such a
line would run across the holes. If stamps say exactly when each packet began, each is laid out from its own stamp then.

Shape legend: N samples, P packets.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datamodules.recording import FloatArray

Indices = NDArray[np.int64]

_SHORT = 0.35  # of the mean step: steps within a packet
_MANY_SHORT = 0.4  # share of such steps that makes stamps come in packets
_MANY_SAME = 0.05  # share of stamps that are there before
_FEWEST_PACKETS = 4
_DELIVERY_S, _WORST_DELIVERY_S = 0.06, 0.2  # that a sample's stamp may be off where some stamps are the same
_BEND_S = 30.0
_LOST_S = 0.5  # or three packets: a longer way to the next one is a gap
# How far nine in ten packets, and the worst one, may be off the line: in intervals between packets that come when a
# radio brings them, or in samples where stamps were cut, which says exactly when each packet began.
_OFF, _WORST_OFF = 1.0, 4.0
_OFF_CUT, _WORST_OFF_CUT = 2.5, 5.0
# Samples that a stamp may be off where it says exactly when a packet began: one where stamps were cut. A radio's are
# off by more than a tenth.
_EXACT, _EXACT_CUT = 0.1, 1.05
_WHOLE = 0.6  # of the packets that are followed by the next one; more losses leave no pace to go by
_ALIKE = (0.75, 1.25)  # of the usual pace: a packet that lacks some samples fills its interval nevertheless


@dataclass(frozen=True)
class Packets:
    """Packets of stamps.

    Attributes:
        times: (N,) seconds, spread evenly; None where the packets are not regular.
        size: median samples of a packet.
        interval_s: median seconds from one to the next.
        rate_hz: samples a second, gaps aside.
        same: the stamps of a packet are all the same.
        worst_s: how far a packet's stamp lies from an even spread, seconds.
    """

    times: FloatArray | None
    size: float
    interval_s: float
    rate_hz: float
    same: bool
    worst_s: float


def spread(times: FloatArray) -> Packets | None:
    """Spread samples evenly; None where stamps don't come in packets.

    Args:
        times: (N,) seconds, not descending.
    """
    if times.size < 20:
        return None
    steps = np.diff(times)
    # Of a day's steps no copy is made: a part says what is usual.
    longest = float(np.quantile(steps[:: max(1, steps.size // 1_000_000)], 0.999))
    mean = float(np.mean(steps, where=steps <= longest))
    if mean <= 0:
        return None
    same = float((steps == 0).mean()) > _MANY_SAME
    if not same and float((steps < _SHORT * mean).mean()) < _MANY_SHORT:
        return None
    bounds = np.flatnonzero(steps > (0 if same else _SHORT * mean)) + 1
    if not same:  # two packets that came close after each other are one
        wide = np.flatnonzero(steps > 1.5 * mean) + 1
        bounds = wide if wide.size >= _FEWEST_PACKETS else bounds
    firsts = np.concatenate([[0], bounds])
    if firsts.size < _FEWEST_PACKETS:
        return Packets(None, times.size / firsts.size, float(np.ptp(times)), 0.0, same, float("inf"))
    intervals = np.diff(times[firsts])
    interval = float(np.median(intervals))
    size = float(np.median(np.diff(firsts)))
    if size < 1.5 and not same:
        return None
    if size < 1.5:  # stamps of the delivery, of which some are the same
        every = np.arange(times.size)
        even, off, rate = _spread(times, every, mean, False)
        near = float(np.quantile(off, 0.95)) <= _DELIVERY_S and float(off.max()) <= _WORST_DELIVERY_S
        if not near or not (np.diff(even) > 0).all():
            return None
        return Packets(even, 1.0, mean, rate, True, float(off.max()))
    even, off, rate = _spread(times, firsts, interval, same)
    usual_off, worst = float(np.quantile(off, 0.9)), float(off.max())
    unit, most, worst_most = (1 / max(rate, 1e-9), _OFF_CUT, _WORST_OFF_CUT) if same else (interval, _OFF, _WORST_OFF)
    if rate > 0 and worst > _EXACT_CUT / rate and (exact := _anchored(times, firsts, same)) is not None:
        even, period, worst = exact
        return Packets(even, size, interval, 1 / period, same, worst)
    regular = rate > 0 and usual_off <= most * unit and worst <= worst_most * unit and bool((np.diff(even) > 0).all())
    return Packets(even if regular else None, size, interval, rate, same, worst)


def _spread(times: FloatArray, firsts: Indices, interval: float, same: bool) -> tuple[FloatArray, FloatArray, float]:
    """Even times, how far each packet is off them, and the rate."""
    even = np.empty_like(times)
    off: list[FloatArray] = [np.zeros(1)]
    samples, seconds = 0, 0.0
    longest = max(3 * interval, _LOST_S if interval < _LOST_S else 0.0)
    gaps = np.flatnonzero(np.diff(times[firsts]) > longest) + 1
    stretches = np.split(firsts, gaps)
    lines: list[tuple[int, int, Indices]] = []
    for number, packets in enumerate(stretches):
        end = int(stretches[number + 1][0]) if number + 1 < len(stretches) else times.size
        # The first packet of whole seconds has begun before its stamp's first sample.
        anchors = packets[1:] if same and packets.size > 2 else packets
        lines.append((int(packets[0]), end, anchors))
        if anchors.size > 1:
            samples += int(anchors[-1] - anchors[0])
            seconds += float(times[anchors[-1]] - times[anchors[0]])
    rate = samples / seconds if seconds else 0.0
    for begin, end, anchors in lines:
        index = np.arange(begin, end)
        if anchors.size < 3 or not rate:
            even[begin:end] = times[anchors[0]] + (index - anchors[0]) / max(rate, 1e-9)
            continue
        knots = max(1, int((times[anchors[-1]] - times[anchors[0]]) // max(_BEND_S, 8 * interval)))
        even[begin:end] = _line(anchors, times[anchors], index, knots)
        off.append(np.abs(even[anchors] - times[anchors]))
    return even, np.concatenate(off), rate


def _anchored(times: FloatArray, firsts: Indices, same: bool) -> tuple[FloatArray, float, float] | None:
    """Even times from each packet's own stamp, the usual pace, and how far a stamp is off it.

    None where stamps don't say exactly when packets begin: their distances are then neither that of their samples nor
    always the same one.
    """
    intervals, sizes = np.diff(times[firsts]), np.diff(firsts)
    period = float(np.median(intervals / sizes))
    interval = float(np.median(intervals))
    extra = intervals - sizes * period  # beyond its samples: lost packets
    exact = (_EXACT_CUT if same else _EXACT) * period
    close = np.abs(extra) <= exact
    by_samples = close.mean() >= _WHOLE and (extra[~close] > 0).all()
    late = intervals - np.maximum(np.round(intervals / interval), 1) * interval
    by_clock = float(np.quantile(np.abs(late), 0.95)) <= exact
    if not by_samples and not by_clock:
        return None
    pace = np.full(firsts.size, period)
    if not by_samples:
        own = intervals / sizes
        alike = (own >= _ALIKE[0] * period) & (own <= _ALIKE[1] * period)
        pace[:-1][alike] = own[alike]
    packet = np.repeat(np.arange(firsts.size), np.diff(np.append(firsts, times.size)))
    even = times[firsts][packet] + (np.arange(times.size) - firsts[packet]) * pace[packet]
    if same and firsts.size > 1 and sizes[0] < np.median(sizes) - 1:
        # The first stamp is older than its first sample: the samples are those before the next stamp.
        even[: firsts[1]] = times[firsts[1]] - (firsts[1] - np.arange(firsts[1])) * period
    if not (np.diff(even) > 0).all():
        return None
    off = float(np.abs(extra[close] if by_samples else late).max(initial=0.0))
    return even, period, off


def _line(at: Indices, times: FloatArray, index: Indices, pieces: int) -> FloatArray:
    """Least squares of a line that bends at the ends of pieces; it goes on straight beyond both ends."""
    knots = np.linspace(at[0], at[-1], pieces + 1)
    knots[0], knots[-1] = min(knots[0], index[0]), max(knots[-1], index[-1])
    design = np.stack([np.interp(at, knots, row) for row in np.eye(knots.size)], axis=1)
    origin = times[0]
    heights, *_ = np.linalg.lstsq(design, times - origin, rcond=None)
    return np.asarray(origin + np.interp(index, knots, heights))
