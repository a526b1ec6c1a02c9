"""What is done to tested windows to see how far a method can be trusted: one change at a time, in known degrees.

A method is fitted on windows as they are and then tested on changed ones, so that a curve over the degrees shows
what a sensor worn askew, a cheaper sensor or a lost gyroscope costs. A perturbation is written "rotation=90"; a
window's changes depend on its own number and the perturbation alone. Along a curve only their size changes: a window is
turned about the same axis, and gets the same noise, at every level.

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

# White noise of a gyroscope in rad/s, for each m/s2 of its accelerometer's. The noise densities that data sheets of
# inertial sensors for phones and watches give (LSM6DSO: 70 ug and 3.8 mdps per root Hz, BMI160: 180 and 7,
# ICM-20948: 230 and 15) have ratios of 0.07 to 0.12.
GYROSCOPE_NOISE = 0.1
_REACH = 24.0  # of the low-pass to either side, in samples of the lower rate


class PerturbationError(MendableError, ValueError):
    """A perturbation that can't be understood or made; the message says what is expected."""


@dataclass(frozen=True)
class Kind:
    """A way in which windows can be changed.

    Attributes:
        title: how reports call it.
        axis: of its curve, with the unit.
        clean: the degree that changes nothing; None where there is no such number.
        levels: degrees that are evaluated where a kind is named without one; none for placements, which each target
            has its own of.
    """

    title: str
    axis: str
    clean: float | None
    levels: tuple[float, ...]


PLACEMENT = "placement"
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
}


@dataclass(frozen=True)
class Perturbation:
    """One kind in one degree; the level of a change of placement is the placement's name.

    Raises:
        PerturbationError: an unknown kind, or a level that the kind can't have.
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
        """The level of a kind that is measured in numbers."""
        assert not isinstance(self.level, str)
        return self.level

    def changes(self, rate_hz: float) -> bool:
        """Whether windows at ``rate_hz`` can come out changed; a rate at or above theirs is no change."""
        if self.kind == "rate":
            return self.degree < rate_hz
        return self.level != KINDS[self.kind].clean


def parse_perturbation(text: str) -> Perturbation:
    """The inverse of ``str(perturbation)``.

    Raises:
        PerturbationError: an unknown kind, no number, or one that the kind can't have.
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
    """Windows as they would be under a perturbation.

    - ``rotation``: both sensors turned by the same angle, about an axis that is uniform on the sphere. A sensor that
      lacks an axis is turned as if that had measured nothing.
    - ``rate``: low-passed, sampled at the level's rate, and brought back to ``rate_hz``, by the code that cuts
      windows (:func:`datamodules.signal.resample`), the spline's images included. Each run of valid samples stands for
      itself, continued beyond its ends by its own image, so that nothing of a gap or of padding gets in.
    - ``noise``: white and Gaussian; an accelerometer's has the level as its standard deviation, a gyroscope's
      ``GYROSCOPE_NOISE`` times that.
    - ``clip``: each axis of the accelerometer ends at +-level g.
    - ``gyroscope``: at 0 the gyroscope's channels are absent.

    Another placement's windows are read where it measured them (``evaluation.placements``), not made here.

    Args:
        perturbation: what is done.
        numbers: each window's number in its data set, (N,); random changes depend on it.
        imu: (N, T, 6) m/s^2 and rad/s, zero where invalid.
        sample_mask: (N, T) False where nothing was measured.
        channel_mask: (N, 6) False for channels that the device lacks.
        rate_hz: samples a second.

    Returns:
        New arrays, of the same shapes and types, zero where invalid. A window's values do not depend on the others.
        A perturbation that changes nothing (``Perturbation.changes``) gives the same bits.

    Raises:
        ValueError: the arrays' shapes do not belong together, or the perturbation is another placement.
    """
    if perturbation.kind == PLACEMENT:
        raise ValueError(f"perturbation '{perturbation}' can't be made of windows of another placement")
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
    """One for each window; the level has no part in it."""
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
    windows, starts = np.nonzero(edges == 1)  # row by row, as the ends are
    ends = np.nonzero(edges == -1)[1]
    # Some hundred runs at a time, for the memory's sake.
    for first in range(0, len(windows), 256):
        w, start, end = (part[first : first + 256] for part in (windows, starts, ends))
        # One product for each run, so that its rounding can't depend on the other windows.
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
    """Runs of valid samples, mirrored about their end points over and over, (R, T + 2 P, 6).

    Mirrored in time and in value, as ``signal.resample`` does, so that a straight line goes on as a straight line.
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
    """Down to ``level`` and back is linear: the matrix (T, T + 2 P) that does it."""
    padding = math.ceil(_REACH * rate_hz / level)
    times = np.arange(-padding, samples + padding) / rate_hz
    at = np.arange(samples) / rate_hz
    # The sensor measured before the window and after it; a spline feels its end for a few samples.
    low = np.arange(-8, math.ceil(at[-1] * level) + 9) / level
    low = low[(low >= times[0]) & (low <= times[-1])]
    measured, _ = resample(times, np.eye(times.size), low, level, max_gap_s=math.inf)
    operator, _ = resample(low, measured, at, rate_hz, max_gap_s=math.inf)
    operator.setflags(write=False)
    return np.asarray(operator, dtype=np.float64)
