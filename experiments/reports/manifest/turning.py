"""The gyroscope against the accelerometer: both see the sensor turn, one by its rate, the other by gravity.

For gravity's direction u in the sensor's axes, du/dt = -w x u. A wrong unit shows as a factor, axes in another order as
a better fit of another order, and two clocks as a better fit of the gyroscope moved in time.

An accelerometer also shows how the sensor is accelerated. On an arm that swings about the shoulder, that looks like
gravity turning by a part of the true angle, or by the other sign, and fits as well as a wrong scale would. Where the
norm stays that of gravity while its direction changes much, nothing but turning does it: only such *steady* samples
tell a scale.

Shape legend: n samples of a segment, L lags, K chunks of segments.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d, uniform_filter1d

from datamodules.recording import FloatArray

_SEGMENTS, _SEGMENT_S = 30, 20.0
_SMOOTH_S = 0.25  # standard deviation of the filter that leaves gravity, about
_COARSE_HZ = 10.0
_LEAST_TURN = 0.05  # rad/s
_LONGEST_HOLE_S = 0.1  # of lost samples, filled by a line
_MOST_LOST = 0.1  # of a segment
_STEADY_S = 0.5  # on either side
_STEADY, _NEAR = 0.03, 0.1  # standard deviation of the norm there, and its distance from the usual one, over that
_LEAST_STEADY_S = 5.0
_LEAST_SPREAD = 0.95  # length of the mean of steady directions; 1 if they are all the same
LARGEST_LAG_S = 1.5
_LAG_HZ = 50.0
_CHUNKS = 4  # of a segment, drawn again and again for the interval of the lag
_DRAWS = 200


@dataclass(frozen=True)
class Turning:
    """How the gyroscope fits the turning of gravity in the accelerometer: du/dt = -w x u for gravity's direction u.

    Attributes:
        correlation: of both sides; 1 is a perfect fit, 0 none.
        factor: that the angular rate must be multiplied by to fit best.
        other_axes: the signed order of axes that fits best, e.g. ``y -x z``; ``x y z`` is what was declared.
        other_correlation: with these axes.
        steady: whether all of it is of steady samples, of which there were enough.
    """

    correlation: float
    factor: float
    other_axes: str
    other_correlation: float
    steady: bool = False


@dataclass(frozen=True)
class Lag:
    """How far the gyroscope is behind the accelerometer.

    Attributes:
        seconds: by which it is late; negative if it is early.
        low, high: 95 % of draws of the segments lie between.
        correlation: of both sides with the gyroscope moved by it.
        unmoved: of both sides as they are.
    """

    seconds: float
    low: float
    high: float
    correlation: float
    unmoved: float


@dataclass(frozen=True)
class _Segment:
    """(n, 3) each: change of gravity's direction, angular rate, direction; all smoothed. (n,) which are steady."""

    turn: FloatArray
    rate: FloatArray
    direction: FloatArray
    steady: NDArray[np.bool_]


def measure_turning(times: FloatArray, values: FloatArray, step: float) -> tuple[Turning | None, Lag | None]:
    """Fit and lag; None where the sensor turns too little to tell.

    Args:
        times: (N,) seconds.
        values: (N, 6) m/s^2 and rad/s.
        step: median of the steps, seconds.
    """
    segments = _segments(times, values, step)
    if not segments:
        return None, None
    bias = np.median(np.concatenate([s.rate for s in segments]), axis=0)  # a constant bias turns nothing
    segments = [_Segment(s.turn, s.rate - bias, s.direction, s.steady) for s in segments]
    turning = _fit(segments, step)
    if turning is None:
        return None, None
    return turning, _lag(segments, step, turning.steady)


def _segments(times: FloatArray, values: FloatArray, step: float) -> list[_Segment]:
    samples = min(round(_SEGMENT_S / step), times.size)
    found = []
    # Segments that overlap would count as so many looks at the same movement.
    many = max(1, min(_SEGMENTS, times.size // samples))
    for start in np.unique(np.linspace(0, max(0, times.size - samples), many).astype(int)):
        part = slice(start, start + samples)
        if times[part][-1] - times[part][0] > 1.5 * _SEGMENT_S:
            continue
        whole = _filled(times[part], values[part])
        if whole is None:
            continue
        smooth = gaussian_filter1d(whole, _SMOOTH_S / step, axis=0)
        norm = np.linalg.norm(smooth[:, :3], axis=1)
        if len(smooth) < 4 / step or not (norm > 1e-9).all():
            continue
        direction = smooth[:, :3] / norm[:, None]
        turn = np.gradient(direction, step, axis=0)
        inner = slice(round(1 / step), -round(1 / step))
        steady = _steady(np.linalg.norm(whole[:, :3], axis=1), step)
        found.append(_Segment(turn[inner], smooth[inner, 3:], direction[inner], steady[inner]))
    return found


def _filled(times: FloatArray, values: FloatArray) -> FloatArray | None:
    """Values with short holes filled; None where they are long or many."""
    lost = np.isnan(values).any(axis=1)
    if not lost.any():
        return values
    there = np.flatnonzero(~lost)
    if lost.mean() > _MOST_LOST or there.size < 2:
        return None
    if float(np.diff(times[there]).max()) > _LONGEST_HOLE_S + float(np.median(np.diff(times))):
        return None
    return np.stack([np.interp(times, times[there], column[there]) for column in values.T], axis=1)


def _steady(norm: FloatArray, step: float) -> NDArray[np.bool_]:
    width = max(3, 2 * round(_STEADY_S / step) + 1)
    mean = uniform_filter1d(norm, width)
    deviation = np.sqrt(np.maximum(uniform_filter1d(norm**2, width) - mean**2, 0))
    usual = float(np.median(norm))
    return np.asarray((deviation <= _STEADY * usual) & (np.abs(mean - usual) <= _NEAR * usual))


def _fit(segments: list[_Segment], step: float) -> Turning | None:
    """Of the steady samples if there are enough, else of all."""
    coarse = max(1, round(1 / step / _COARSE_HZ))
    turn = np.concatenate([s.turn[::coarse] for s in segments])
    rate = np.concatenate([s.rate[::coarse] for s in segments])
    direction = np.concatenate([s.direction[::coarse] for s in segments])
    rows = np.concatenate([s.steady[::coarse] for s in segments])
    enough = rows.sum() * coarse * step >= _LEAST_STEADY_S
    if enough and np.linalg.norm(direction[rows].mean(axis=0)) < _LEAST_SPREAD:
        found = _fit_rows(turn[rows], rate[rows], direction[rows])
        if found is not None:
            return replace(found, steady=True)
    return _fit_rows(turn, rate, direction)


def _fit_rows(turn: FloatArray, rate: FloatArray, direction: FloatArray) -> Turning | None:
    size = float(np.sqrt((turn**2).sum()))
    if np.sqrt((turn**2).sum(axis=1).mean()) < _LEAST_TURN:
        return None
    best = ("x y z", -1.0)
    own = (0.0, float("nan"))
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1, -1), repeat=3):
            expected = -np.cross(rate[:, order] * signs, direction)
            power = float((expected**2).sum())
            if power <= 0:
                continue
            product = float((turn * expected).sum())
            correlation = product / (size * np.sqrt(power))
            if order == (0, 1, 2) and signs == (1, 1, 1):
                own = (correlation, product / power)
            if correlation > best[1]:
                name = " ".join(
                    f"{'-' if sign < 0 else ''}{'xyz'[axis]}" for axis, sign in zip(order, signs, strict=True)
                )
                best = (name, correlation)
    return Turning(own[0], own[1], best[0], best[1])


def _lag(segments: list[_Segment], step: float, steady: bool) -> Lag | None:
    """Of the steady samples alone, or of all."""
    coarse = max(1, round(1 / step / _LAG_HZ))
    grid = step * coarse
    most = round(LARGEST_LAG_S / grid)
    lags = np.arange(-most, most + 1)
    rows = []  # (3, L) of each chunk: product, power of the expected turn, power of the turn
    for segment in segments:
        turn, rate, direction = segment.turn[::coarse], segment.rate[::coarse], segment.direction[::coarse]
        n = len(turn) - 2 * most
        if n < 1 / grid:
            continue
        turn, direction = turn[most : most + n], direction[most : most + n]
        products, powers = np.empty((lags.size, n)), np.empty((lags.size, n))
        for i, lag in enumerate(lags):
            expected = -np.cross(rate[most + lag : most + lag + n], direction)
            products[i], powers[i] = (turn * expected).sum(axis=1), (expected**2).sum(axis=1)
        sizes = np.broadcast_to((turn**2).sum(axis=1), products.shape)
        if steady:
            rows_kept = segment.steady[::coarse][most : most + n]
            products, powers, sizes = products * rows_kept, powers * rows_kept, sizes * rows_kept
        edges = np.linspace(0, n, _CHUNKS + 1).astype(int)[:-1]
        rows.append(np.stack([np.add.reduceat(part, edges, axis=1) for part in (products, powers, sizes)]))
    if not rows:
        return None
    sums = np.concatenate(rows, axis=2)  # (3, L, K)
    counts = np.random.default_rng(0).multinomial(sums.shape[2], np.full(sums.shape[2], 1 / sums.shape[2]), _DRAWS)
    drawn = np.sort([_peak(_correlation(sums @ weights), grid, most) for weights in counts.astype(np.float64)])
    whole = _correlation(sums.sum(axis=2))
    return Lag(
        seconds=_peak(whole, grid, most),
        low=float(drawn[round(0.025 * (_DRAWS - 1))]),
        high=float(drawn[round(0.975 * (_DRAWS - 1))]),
        correlation=float(whole.max()),
        unmoved=float(whole[most]),
    )


def _correlation(sums: FloatArray) -> FloatArray:
    return np.asarray(sums[0] / np.sqrt(np.maximum(sums[1] * sums[2], 1e-30)))


def _peak(correlation: FloatArray, grid: float, most: int) -> float:
    """Of the parabola through the largest value and its neighbours, seconds."""
    at = int(np.argmax(correlation))
    shift = 0.0
    if 0 < at < correlation.size - 1:
        before, here, after = correlation[at - 1 : at + 2]
        bend = before - 2 * here + after
        shift = 0.5 * (before - after) / bend if bend < 0 else 0.0
    return float((at - most + shift) * grid)
