"""What one sensor's samples look like, whatever they were declared to be.

Shape legend: N samples, B blocks of a second, n samples at 10 Hz.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d

from datamodules.recording import FloatArray, ImuStream
from datamodules.signal import find_gaps

_MOST_BLOCKS = 2000
_QUIET_SHARE = 0.2
_SEGMENTS, _SEGMENT_S = 30, 20.0
_SMOOTH_S = 0.25  # standard deviation of the filter that leaves gravity, about
_COARSE_HZ = 10.0
GAP_S = 0.1


@dataclass(frozen=True)
class Turning:
    """How the gyroscope fits the turning of gravity in the accelerometer: du/dt = -w x u for gravity's direction u.

    Attributes:
        correlation: of both sides; 1 is a perfect fit, 0 none.
        factor: that the angular rate must be multiplied by to fit best.
        other_axes: the signed order of axes that fits best, e.g. ``y -x z``; ``x y z`` is what was declared.
        other_correlation: with these axes.
    """

    correlation: float
    factor: float
    other_axes: str
    other_correlation: float


@dataclass(frozen=True)
class MotionFacts:
    """Figures of one stream; accelerations in m/s^2 and rates in rad/s as the declared units make them.

    Attributes:
        placement: of the sensor.
        samples: N.
        first_s, last_s: on the recording's clock, before its offset.
        rate_hz: median.
        unsteady: share of steps that differ from the median by more than half of it, gaps aside.
        gaps: stretches of over 0.1 s (or three steps) without samples.
        gap_s: their total length.
        longest_gap_s: the longest of them.
        lost: share of samples that are not there (NaN).
        alternating: accelerometer and gyroscope are there in different rows.
        rest_norm: median acceleration in the quietest seconds; NaN without any.
        rest_spread: standard deviation over mean of the norm within these seconds; gravity holds it small.
        gravity: (3,) share of the norm that lies along each axis at rest.
        largest: largest acceleration along an axis.
        largest_count: how many samples have exactly that value.
        largest_rate: largest angular rate along an axis; NaN without a gyroscope.
        fast_rate: angular rate (norm) that one sample in a thousand exceeds.
        turning: gyroscope against gravity; None if it can't be told.
    """

    placement: str
    samples: int
    first_s: float
    last_s: float
    rate_hz: float
    unsteady: float
    gaps: int
    gap_s: float
    longest_gap_s: float
    lost: float
    alternating: bool
    rest_norm: float
    rest_spread: float
    gravity: tuple[float, float, float]
    largest: float
    largest_count: int
    largest_rate: float
    fast_rate: float
    turning: Turning | None

    @property
    def gravity_axis(self) -> str:
        """The axis nearest to the vertical, e.g. ``-y``; at rest, an accelerometer shows +g on the axis that is up."""
        axis = int(np.argmax(np.abs(self.gravity)))
        return f"{'-' if self.gravity[axis] < 0 else '+'}{'xyz'[axis]}"


def measure_motion(stream: ImuStream) -> MotionFacts:
    """Measure one stream, already checked by ``checks.check_imu``; needs no more memory than a second copy of it."""
    times, values = stream.times, stream.values
    steps = np.diff(times)
    step = float(np.median(steps))
    gaps = find_gaps(times, max(GAP_S, 3 * step))
    lengths = gaps[:, 1] - gaps[:, 0]
    has_gyroscope = not np.isnan(values[:, 3:]).all()
    acceleration_lost = np.isnan(values[:, :3]).any(axis=1)
    gyroscope_lost = np.isnan(values[:, 3:]).any(axis=1) if has_gyroscope else np.zeros(times.size, bool)
    lost = acceleration_lost | gyroscope_lost
    norm, spread, gravity = _at_rest(values[:, :3], max(4, round(1 / step)))
    largest = np.nanmax(np.abs(values[:, :3]), axis=0)
    axis = int(np.argmax(largest))
    stride = max(1, times.size // 1_000_000)
    rates = np.linalg.norm(values[::stride, 3:], axis=1)
    rates = rates[np.isfinite(rates)]
    return MotionFacts(
        placement=stream.placement,
        samples=times.size,
        first_s=float(times[0]),
        last_s=float(times[-1]),
        rate_hz=1 / step,
        unsteady=float(np.mean((np.abs(steps - step) > 0.5 * step) & (steps <= max(GAP_S, 3 * step)))),
        gaps=len(gaps),
        gap_s=float(lengths.sum()),
        longest_gap_s=float(lengths.max(initial=0.0)),
        lost=float(lost.mean()),
        alternating=bool(
            has_gyroscope and lost.mean() > 0.2 and (acceleration_lost ^ gyroscope_lost).mean() > 0.9 * lost.mean()
        ),
        rest_norm=norm,
        rest_spread=spread,
        gravity=gravity,
        largest=float(largest[axis]),
        largest_count=int((np.abs(values[:, axis]) == largest[axis]).sum()),
        largest_rate=float(np.nanmax(np.abs(values[:, 3:]))) if has_gyroscope else float("nan"),
        fast_rate=float(np.quantile(rates, 0.999)) if rates.size else float("nan"),
        turning=_turning(times, values, step) if has_gyroscope else None,
    )


def _at_rest(acceleration: FloatArray, samples: int) -> tuple[float, float, tuple[float, float, float]]:
    """Norm, its spread and gravity's direction in the quietest blocks of about a second."""
    blocks = len(acceleration) // samples
    if blocks == 0:
        samples, blocks = len(acceleration), 1
    chosen = np.unique(np.linspace(0, blocks - 1, min(blocks, _MOST_BLOCKS)).astype(int))
    parts = np.stack([acceleration[b * samples : (b + 1) * samples] for b in chosen])
    parts = parts[~np.isnan(parts).any(axis=(1, 2))]
    if not len(parts):
        return float("nan"), float("nan"), (0.0, 0.0, 0.0)
    norms = np.linalg.norm(parts, axis=2)
    deviations = parts.std(axis=1).max(axis=1)
    quiet = np.argsort(deviations)[: max(3, int(_QUIET_SHARE * len(parts)))]
    means = norms[quiet].mean(axis=1)
    spread = float(np.median(norms[quiet].std(axis=1) / np.maximum(means, 1e-12)))
    directions = parts[quiet].mean(axis=1) / np.maximum(means, 1e-12)[:, None]
    x, y, z = np.median(directions, axis=0)
    return float(np.median(means)), spread, (float(x), float(y), float(z))


def _turning(times: FloatArray, values: FloatArray, step: float) -> Turning | None:
    samples = round(_SEGMENT_S / step)
    first = np.unique(np.linspace(0, max(0, times.size - samples), _SEGMENTS).astype(int))
    turns, rates, directions = [], [], []
    for start in first:
        part = slice(start, start + samples)
        if times[part][-1] - times[part][0] > 1.5 * _SEGMENT_S or np.isnan(values[part]).any():
            continue
        smooth = gaussian_filter1d(values[part], _SMOOTH_S / step, axis=0)
        norm = np.linalg.norm(smooth[:, :3], axis=1)
        if len(smooth) < 4 / step or not (norm > 1e-9).all():
            continue
        direction = smooth[:, :3] / norm[:, None]
        turn = np.gradient(direction, step, axis=0)
        inner = slice(round(1 / step), -round(1 / step), max(1, round(1 / step / _COARSE_HZ)))
        turns.append(turn[inner])
        rates.append(smooth[inner, 3:])
        directions.append(direction[inner])
    if not turns:
        return None
    turn, rate, direction = np.concatenate(turns), np.concatenate(rates), np.concatenate(directions)
    rate = rate - np.median(rate, axis=0)  # a constant bias turns nothing
    size = float(np.sqrt((turn**2).sum()))
    if np.sqrt((turn**2).sum(axis=1).mean()) < 0.05:  # rad/s: it hardly turns
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
