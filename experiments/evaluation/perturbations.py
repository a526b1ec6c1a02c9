"""Perturbations: one change of the tested windows at a time, in known degrees, to see how far a method can be trusted.

A method is fitted on windows as they are, and tested on changed windows. A curve over the degrees shows the cost of a
sensor worn askew, a cheaper sensor or a lost gyroscope. A perturbation is written "rotation=90". The change of a window
depends on the window's number and the perturbation alone. Along a curve only the size of the change differs: at every
level a window is turned about the same axis, and gets the same noise.

Shape legend: N windows, T samples, P samples of padding, R runs of valid samples.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from core.errors import MendableError
from datamodules.recording import STANDARD_GRAVITY
from datamodules.signal import resample

Windows = tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_]]

# White noise of a gyroscope in rad/s, for each m/s2 of noise of its accelerometer. Data sheets of inertial sensors for
# phones and watches give noise densities (LSM6DSO: 70 ug and 3.8 mdps per root Hz, BMI160: 180 and 7, ICM-20948: 230
# and 15) with ratios of 0.07 to 0.12.
GYROSCOPE_NOISE = 0.1
_REACH = 24.0  # reach of the low-pass on either side, in samples of the lower rate


class PerturbationError(MendableError, ValueError):
    """A perturbation that can't be understood or made; the message says what is expected."""


@dataclass(frozen=True)
class Kind:
    """A kind of perturbation.

    Attributes:
        title: name in reports.
        axis: title of the curve's axis, with the unit.
        clean: degree that changes nothing; None if there is no such number.
        levels: degrees that are evaluated if a kind is named without one; empty for placements, which differ between
            targets, and for wrong labels, which are no change of the tested windows: see
            :mod:`experiments.evaluation.label_noise`.
    """

    title: str
    axis: str
    clean: float | None
    levels: tuple[float, ...]


PLACEMENT = "placement"
LABEL_NOISE = "label_noise"
KINDS = {
    "rotation": Kind("sensor rotated", "rotation about a random axis, degrees", 0, (15, 30, 60, 90, 135, 180)),
    "rate": Kind("lower sampling rate", "sampling rate, Hz", None, (12.5, 25, 50, 100)),
    "noise": Kind(
        "sensor noise",
        f"white noise added, standard deviation, m/s2 (gyroscope: {GYROSCOPE_NOISE:g} times as many rad/s)",
        0,
        (0.1, 0.3, 1, 3),
    ),
    "clip": Kind("clipped range", "accelerometer range, g", None, (1.5, 2, 3, 4, 8)),
    "gyroscope": Kind("gyroscope missing", "gyroscope (0: missing)", 1, (0,)),
    PLACEMENT: Kind("sensor worn elsewhere", "placement of the tested sensor", None, ()),
    LABEL_NOISE: Kind("wrong labels", "share of the labelled windows with a wrong label", 0, ()),
}


@dataclass(frozen=True)
class Perturbation:
    """One kind in one degree; for a placement, the level is the placement's name.

    Raises:
        PerturbationError: the kind is unknown, or can't have this level.
    """

    kind: str
    level: float | str

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise PerturbationError(f"perturbation '{self}': no kind '{self.kind}'; there are: {', '.join(KINDS)}")
        if self.kind == PLACEMENT:
            good, expected = isinstance(self.level, str) and bool(self.level), "a placement's name"
        elif isinstance(self.level, str):
            good, expected = False, "a number"
        elif self.kind == LABEL_NOISE:
            good, expected = 0 <= self.level < 1, "a share of at least 0 and below 1"
        elif self.kind == "gyroscope":
            good, expected = self.level in (0, 1), "0 (missing) or 1"
        elif self.kind in ("rate", "clip"):
            good, expected = math.isfinite(self.level) and self.level > 0, "a number above 0"
        else:
            good, expected = math.isfinite(self.level) and self.level >= 0, "a number of at least 0"
        if not good:
            raise PerturbationError(f"perturbation '{self}': expected {expected}")

    def __str__(self) -> str:
        return f"{self.kind}={self.level if isinstance(self.level, str) else f'{self.level:g}'}"

    @property
    def degree(self) -> float:
        """Level of a kind that is measured in numbers."""
        assert not isinstance(self.level, str)
        return self.level

    def changes(self, rate_hz: float) -> bool:
        """Decide if windows at ``rate_hz`` can change; a rate at or above their own changes nothing."""
        if self.kind == "rate":
            return self.degree < rate_hz
        return self.level != KINDS[self.kind].clean


def parse_perturbation(text: str) -> Perturbation:
    """Parse the output of ``str(perturbation)``.

    Raises:
        PerturbationError: the kind is unknown, or the level is no number, or a number that the kind can't have.
    """
    kind, _, level = text.partition("=")
    if kind not in KINDS:
        raise PerturbationError(f"perturbation '{text}': no kind '{kind}'; there are: {', '.join(KINDS)}")
    if kind == PLACEMENT:
        return Perturbation(kind, level)
    try:
        number = float(level)
    except ValueError:
        raise PerturbationError(
            f"perturbation '{text}': expected a number after '=', as in '{kind}={KINDS[kind].levels[0]:g}'"
        ) from None
    return Perturbation(kind, number)


def apply(
    perturbation: Perturbation,
    numbers: NDArray[np.int64],
    imu: NDArray[np.float32],
    sample_mask: NDArray[np.bool_],
    channel_mask: NDArray[np.bool_],
    rate_hz: float,
) -> Windows:
    """Apply a perturbation to windows.

    - ``rotation``: both sensors are turned by the same angle, about an axis that is uniform on the sphere. A channel
      that a sensor lacks counts as zero.
    - ``rate``: windows are low-passed, sampled at the level's rate, and brought back to ``rate_hz``. This is done by
      the code that cuts windows (:func:`datamodules.signal.resample`), so the spline's images are included. Each run
      of valid samples is treated alone and mirrored beyond its ends, so that no gap and no padding has an influence.
    - ``noise``: white Gaussian noise is added. The level is the standard deviation at the accelerometer; the
      gyroscope gets ``GYROSCOPE_NOISE`` times as much.
    - ``clip``: each axis of the accelerometer is clipped at +-level g.
    - ``gyroscope``: at 0 the gyroscope's channels are absent.

    Windows of another placement are not made here but read (``evaluation.placements``).

    Args:
        perturbation: change to apply.
        numbers: number of each window in its data set, (N,); random changes depend on it.
        imu: (N, T, 6) m/s^2 and rad/s, zero where invalid.
        sample_mask: (N, T) False where nothing was measured.
        channel_mask: (N, 6) False for channels that the device lacks.
        rate_hz: samples per second.

    Returns:
        New arrays of the same shapes and types, zero where invalid. No window depends on the others.
        A perturbation that changes nothing (``Perturbation.changes``) gives the same bits.

    Raises:
        ValueError: the arrays' shapes do not belong together, or the perturbation is another placement.
    """
    if perturbation.kind == PLACEMENT:
        raise ValueError(f"perturbation '{perturbation}': windows of another placement are read, not made")
    n, t = sample_mask.shape
    if imu.shape != (n, t, 6) or channel_mask.shape != (n, 6) or numbers.shape != (n,):
        raise ValueError(
            f"numbers {numbers.shape}, imu {imu.shape}, sample_mask {sample_mask.shape}, channel_mask"
            f" {channel_mask.shape}; expected (N,), (N, T, 6), (N, T) and (N, 6)"
        )
    samples, channels = sample_mask.copy(), channel_mask.copy()
    if not perturbation.changes(rate_hz) or imu.size == 0:
        return imu.copy(), samples, channels
    changed: NDArray[np.floating]
    if perturbation.kind == "rotation":
        changed = _rotated(imu, numbers, perturbation.degree)
    elif perturbation.kind == "rate":
        changed = _at_rate(imu, sample_mask, rate_hz, perturbation.degree)
    elif perturbation.kind == "noise":
        changed = _noisy(imu, numbers, perturbation.degree)
    elif perturbation.kind == "clip":
        limit = np.float32(perturbation.degree * STANDARD_GRAVITY)
        changed = np.concatenate([np.clip(imu[..., :3], -limit, limit), imu[..., 3:]], axis=2)
    else:
        channels[:, 3:] = False
        changed = imu
    valid = samples[:, :, None] & channels[:, None, :]
    return np.where(valid, changed, 0).astype(np.float32), samples, channels


def _generators(kind: str, numbers: NDArray[np.int64]) -> list[np.random.Generator]:
    """Make a generator for each window; it does not depend on the level."""
    return [np.random.default_rng((zlib.crc32(kind.encode()), int(number))) for number in numbers]


def _rotated(imu: NDArray[np.float32], numbers: NDArray[np.int64], degrees: float) -> NDArray[np.float64]:
    axes = np.stack([generator.normal(size=3) for generator in _generators("rotation", numbers)])
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    matrices = Rotation.from_rotvec(axes * np.radians(degrees)).as_matrix()
    sensors = imu.reshape(*imu.shape[:2], 2, 3).astype(np.float64)
    return np.asarray(np.einsum("nij,ntsj->ntsi", matrices, sensors).reshape(imu.shape))


def _noisy(imu: NDArray[np.float32], numbers: NDArray[np.int64], level: float) -> NDArray[np.float64]:
    noise = np.stack([generator.standard_normal(imu.shape[1:]) for generator in _generators("noise", numbers)])
    return imu + level * np.repeat([1.0, GYROSCOPE_NOISE], 3) * noise


def _at_rate(
    imu: NDArray[np.float32], sample_mask: NDArray[np.bool_], rate_hz: float, level: float
) -> NDArray[np.float64]:
    result = np.zeros(imu.shape)
    t = sample_mask.shape[1]
    operator = _resampling_operator(t, rate_hz, level)
    padding = (operator.shape[1] - t) // 2
    edges = np.diff(np.pad(sample_mask, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    windows, starts = np.nonzero(edges == 1)  # in the same order as the ends
    ends = np.nonzero(edges == -1)[1]
    # A few hundred runs at a time, to limit memory.
    for first in range(0, len(windows), 256):
        w, start, end = (part[first : first + 256] for part in (windows, starts, ends))
        # One product per run, so that its rounding does not depend on other windows.
        smooth = np.matmul(operator, _mirrored(imu, w, start, end, padding))  # (R, T, 6)
        position = np.arange(t)
        run, at = np.nonzero((position >= start[:, None]) & (position < end[:, None]))
        result[w[run], at] = smooth[run, at]
    return result


def _mirrored(
    imu: NDArray[np.float32],
    windows: NDArray[np.intp],
    starts: NDArray[np.intp],
    ends: NDArray[np.intp],
    padding: int,
) -> NDArray[np.float64]:
    """Mirror runs of valid samples about their end points, again and again, (R, T + 2 P, 6).

    Time and value are both mirrored, as by ``signal.resample``, so that a straight line continues as a straight line.
    """
    last = (ends - starts - 1)[:, None]
    period = np.maximum(2 * last, 1)
    cycle, phase = np.divmod(np.arange(-padding, imu.shape[1] + padding) - starts[:, None], period)
    turned = phase > last
    values = imu[windows[:, None], starts[:, None] + np.where(turned, period - phase, phase)].astype(np.float64)
    begin = imu[windows, starts][:, None].astype(np.float64)
    end = imu[windows, ends - 1][:, None].astype(np.float64)
    values = np.where(turned[..., None], 2 * end - values, values)
    return np.asarray(values + 2 * cycle[..., None] * (end - begin), dtype=np.float64)


@lru_cache(maxsize=16)
def _resampling_operator(samples: int, rate_hz: float, level: float) -> NDArray[np.float64]:
    """Compute the matrix (T, T + 2 P) of resampling to ``level`` and back, which is linear."""
    padding = math.ceil(_REACH * rate_hz / level)
    times = np.arange(-padding, samples + padding) / rate_hz
    at = np.arange(samples) / rate_hz
    # The slow samples extend beyond the window: a spline is disturbed for a few samples near its ends.
    low = np.arange(-8, math.ceil(at[-1] * level) + 9) / level
    low = low[(low >= times[0]) & (low <= times[-1])]
    measured, _ = resample(times, np.eye(times.size), low, level, max_gap_s=math.inf)
    operator, _ = resample(low, measured, at, rate_hz, max_gap_s=math.inf)
    operator.setflags(write=False)
    return np.asarray(operator, dtype=np.float64)
