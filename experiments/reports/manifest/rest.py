"""The rest of a sensor, and the readings of its accelerometer at rest.

Only at rest does an accelerometer show gravity alone, and only there can its unit be told to some percent. A swinging
arm adds several times that, as evenly as a machine, so what is merely the quietest second is no rest: the gyroscope
must read next to nothing, too.

Shape legend: B blocks of about a second, n samples a block.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from datamodules.recording import FloatArray

_MOST_BLOCKS = 2000
_QUIET_SHARE = 0.2
_STILL = 0.05  # standard deviation of an axis over the norm: no more at rest
_STILL_ALONE = 0.03  # without a gyroscope to confirm it
_RESTING, _SURELY_RESTING = 0.25, 0.1  # rad/s
_SLOW = 2.0  # rad/s: half a metre from the joint, turning adds 2 m/s^2
_SLOW_ALONE = 0.12
_FASTEST = 50.0  # rad/s: a gyroscope beyond it has another unit than declared
_LEAST_BLOCKS = 10  # of two seconds
_VANISHES = 0.15  # of the norm in movement: without gravity, next to nothing is left at rest


@dataclass(frozen=True)
class Rest:
    """Accelerations, m/s^2 as the declared unit makes them.

    Attributes:
        norm: median while the sensor rests; NaN if it never does.
        spread: standard deviation over mean of the norm within blocks of rest; gravity holds it small.
        slow: median while the sensor moves slowly, or rests; NaN if it never does.
        median: over all blocks.
        steady: median length of the mean acceleration of two seconds over ``median``: next to nothing where
            gravity was taken out, whatever the movement.
        gravity: (3,) share of the norm that lies along each axis in the quietest blocks.
    """

    norm: float
    spread: float
    slow: float
    median: float
    gravity: tuple[float, float, float]
    steady: float = 1.0


def find_rest(values: FloatArray, samples: int, fast_rate: float) -> Rest:
    """Look for rest.

    Args:
        values: (N, 6) m/s^2 and rad/s.
        samples: of a block.
        fast_rate: rad/s that one sample in a thousand exceeds; NaN without a gyroscope that measures.
    """
    nan = float("nan")
    blocks = len(values) // samples
    if blocks == 0:
        samples, blocks = len(values), 1
    chosen = np.unique(np.linspace(0, blocks - 1, min(blocks, _MOST_BLOCKS)).astype(int))
    parts = np.stack([values[b * samples : (b + 1) * samples] for b in chosen])
    zeros = (parts[:, :, :3] == 0).all(axis=2).any(axis=1)  # lost samples
    parts = parts[~np.isnan(parts[:, :, :3]).any(axis=(1, 2)) & ~zeros]
    if not len(parts):
        return Rest(nan, nan, nan, nan, (0.0, 0.0, 0.0))
    norms = np.linalg.norm(parts[:, :, :3], axis=2)
    means = np.maximum(norms.mean(axis=1), 1e-12)
    deviations = parts[:, :, :3].std(axis=1).max(axis=1)
    still = deviations / means
    if np.isfinite(fast_rate):
        rate = np.linalg.norm(parts[:, :, 3:], axis=2).mean(axis=1)
        scale = fast_rate / _FASTEST if fast_rate > _FASTEST else 1.0
        with np.errstate(invalid="ignore"):
            resting = ((still <= _STILL) & (rate <= _RESTING * scale)) | (rate <= _SURELY_RESTING * scale)
            slow = rate <= _SLOW * scale
    else:
        resting, slow = still <= _STILL_ALONE, still <= _SLOW_ALONE
    quiet = np.argsort(deviations)[: max(3, int(_QUIET_SHARE * len(parts)))]
    spreads = norms.std(axis=1) / means
    directions = parts[quiet, :, :3].mean(axis=1) / means[quiet, None]
    x, y, z = (float(v) for v in np.median(directions, axis=0))
    moving = float(np.quantile(means, 0.95))
    if not resting.any() and np.median(means[quiet]) < _VANISHES * moving and np.median(spreads[quiet]) > 0.2:
        resting = np.zeros(len(parts), bool)
        resting[quiet] = True
    # The stillest of the blocks that pass: a person who stands still sways a little.
    rests = np.flatnonzero(resting)
    rests = rests[np.argsort(deviations[rests])][: max(3, int(_QUIET_SHARE * len(parts)))]
    return Rest(
        norm=float(np.median(means[rests])) if rests.size else nan,
        spread=float(np.median(spreads[rests])) if rests.size else nan,
        slow=float(np.median(means[slow])) if slow.any() else nan,
        median=float(np.median(means)),
        gravity=(x, y, z),
        steady=_steady(values[:, :3], 2 * samples) / max(float(np.median(means)), 1e-12),
    )


def _steady(acceleration: FloatArray, samples: int) -> float:
    blocks = len(acceleration) // samples
    if blocks < _LEAST_BLOCKS:
        return float("inf")
    means = acceleration[: blocks * samples].reshape(blocks, samples, 3).mean(axis=1)
    norms = np.linalg.norm(means, axis=1)
    return float(np.median(norms[np.isfinite(norms)])) if np.isfinite(norms).any() else float("inf")
