"""Gain and offset of an accelerometer, found where it rests: gravity is 1 g, whichever way the sensor lies.

The means of stationary windows would lie on a sphere of 1 g if the device were right (van Hees et al. 2014). Gain and
offset of each axis are those that bring them nearest to it. A sensor that rested in few orientations tells neither.

Shape legend: P stationary windows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from datamodules.recording import FloatArray, ImuStream
from datamodules.signal import G
from datamodules.windows.quality.stationary import WINDOW_S, RestWindows

LEAST_WINDOWS = 50
SPREAD_G = 0.3  # of every axis, to both sides
GOOD_G = 0.01  # mean distance from the sphere that is left
_MOST_GAIN, _MOST_OFFSET_G = 0.2, 0.3  # more is another unit, not a device that is a little off
_ITERATIONS, _CONVERGED = 100, 1e-9
_ROBUST = 1.5 * 1.4826  # median distances within which a window counts in full


@dataclass(frozen=True)
class Calibration:
    """What was found; ``gain`` times a value plus ``offset`` is the calibrated value.

    Attributes:
        windows: P.
        gain: of each axis.
        offset: of each axis, g.
        before: mean distance of the windows from 1 g, g; NaN without any.
        after: the same with gain and offset.
        refused: why neither can be told; empty where they can.
    """

    windows: int
    gain: tuple[float, float, float] = (1.0, 1.0, 1.0)
    offset: tuple[float, float, float] = (0.0, 0.0, 0.0)
    before: float = float("nan")
    after: float = float("nan")
    refused: str = ""

    def describe(self) -> str:
        """In words, for people."""
        if self.refused:
            return self.refused
        gain = ", ".join(f"{value:.4f}" for value in self.gain)
        offset = ", ".join(f"{1000 * value:.1f}" for value in self.offset)
        return (
            f"gain {gain}, offset {offset} mg; {self.windows} windows of rest are {1000 * self.before:.1f} mg from 1 g "
            f"before, {1000 * self.after:.1f} mg after"
        )


def find_calibration(windows: RestWindows) -> Calibration:
    """Find gain and offset, or why they can't be told."""
    points = windows.means[windows.still]
    points = points[np.linalg.norm(points, axis=1) > 0.1]  # zeros are lost samples
    if len(points) < LEAST_WINDOWS:
        return Calibration(
            len(points),
            refused=f"{len(points)} windows of rest, {WINDOW_S:g} s each; expected at least {LEAST_WINDOWS}",
        )
    before = float(np.abs(np.linalg.norm(points, axis=1) - 1).mean())
    low, high = points.min(axis=0), points.max(axis=0)
    narrow = np.flatnonzero((low > -SPREAD_G) | (high < SPREAD_G))
    if narrow.size:
        axis = int(narrow[0])
        return Calibration(
            len(points),
            before=before,
            refused=(
                f"the sensor rested in too few orientations: {'xyz'[axis]} from {low[axis]:.2f} to {high[axis]:.2f} g; "
                f"expected every axis beyond -{SPREAD_G:g} and {SPREAD_G:g} g"
            ),
        )
    gain, offset = _fit(points)
    after = float(np.abs(np.linalg.norm(gain * points + offset, axis=1) - 1).mean())
    refused = ""
    if not (after < GOOD_G and after <= before):
        refused = (
            f"gain and offset bring the rest to no less than {1000 * after:.1f} mg from 1 g; expected "
            f"{1000 * GOOD_G:.0f} mg"
        )
    elif np.abs(gain - 1).max() > _MOST_GAIN or np.abs(offset).max() > _MOST_OFFSET_G:
        refused = f"a gain of {gain[np.argmax(np.abs(gain - 1))]:.3g} is no calibration: is the unit right?"
    x, y, z = gain.tolist()
    a, b, c = offset.tolist()
    return Calibration(len(points), (x, y, z), (a, b, c), before, after, refused)


def _fit(points: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Gauss-Newton steps on the distances from the sphere; windows that are far off count for less."""
    gain, offset = np.ones(3), np.zeros(3)
    for _ in range(_ITERATIONS):
        placed = gain * points + offset
        norms = np.linalg.norm(placed, axis=1)
        distances = norms - 1
        width = max(_ROBUST * float(np.median(np.abs(distances))), 1e-9)
        weights = np.sqrt(np.minimum(1.0, width / np.maximum(np.abs(distances), 1e-12)))
        directions = placed / norms[:, None]
        slopes = np.hstack([directions * points, directions]) * weights[:, None]
        step = np.linalg.lstsq(slopes, -distances * weights, rcond=None)[0]
        gain, offset = gain + step[:3], offset + step[3:]
        if np.abs(step).max() < _CONVERGED:
            break
    return gain, offset


def calibrated(stream: ImuStream, calibration: Calibration) -> ImuStream:
    """The stream with gain and offset applied; the device's range shrinks to where the first axis of it saturates."""
    if calibration.refused:
        return stream
    gain, offset = np.array(calibration.gain), G * np.array(calibration.offset)
    values = stream.values.copy()
    values[:, :3] *= gain
    values[:, :3] += offset
    limit = stream.acceleration_range
    if limit is not None:
        limit = float((gain * limit - np.abs(offset)).min())
    return replace(stream, values=values, acceleration_range=limit)
