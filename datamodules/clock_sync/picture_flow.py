"""Flow of a moving camera's picture from one frame to the next.

A turning camera moves the whole picture; a translating camera moves near objects more than far ones. Each small picture
is divided into overlapping blocks. Phase correlation (Kuglin and Hines 1975) gives the displacement of every block, and
the height of its peak gives the trust. A robust fit over the blocks gives the motion of the whole picture. A block that
shows nothing, or another motion (a hand before the camera), gets the motion of the whole picture. The result is in
pixels, not in radians or metres: focal length, distances and the rotation between sensor and camera are unknown.
``correlation`` finds the best linear map instead.

Shape legend: B pairs of frames, S side of the image, K blocks, b side of a block.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from datamodules.recording import FloatArray

SIDE = 128  # pixels; side of the analysed pictures
_BLOCK, _STEP = 64, 32
# Peaks of unrelated noise in 64 x 64 blocks stay below this. A block's trust is the height of its peak above it.
_CHANCE_PEAK = 0.05
_MIN_BLOCKS = 3.0  # least summed trust, as a number of blocks with a peak of ``_GOOD_PEAK``
_GOOD_PEAK = 0.15
_ITERATIONS = 6
_SCALE = 0.35  # pixels; larger residuals lose weight (Cauchy)
_ASTRAY = 3.0  # pixels; a block that differs more from the whole picture's motion shows another object

GreyImages: TypeAlias = NDArray[np.float32]
ComplexArray: TypeAlias = NDArray[np.complex64]


def _corners() -> list[tuple[int, int]]:
    starts = range(0, SIDE - _BLOCK + 1, _STEP)
    return [(row, column) for row in starts for column in starts]


def _window() -> GreyImages:
    taper = np.hanning(_BLOCK + 2)[1:-1]
    return np.outer(taper, taper).astype(np.float32)


def _smoothing() -> NDArray[np.float32]:
    """Return a low-pass (b, b / 2 + 1) that keeps the frequencies a small image represents reliably."""
    rows, columns = np.meshgrid(fft.fftfreq(_BLOCK), fft.rfftfreq(_BLOCK), indexing="ij")
    return np.exp(-(rows**2 + columns**2) / (2 * 0.16**2)).astype(np.float32)


_CORNERS, _WINDOW, _SMOOTHING = _corners(), _window(), _smoothing()
CENTRES = np.array(_CORNERS, np.float64) + (_BLOCK - SIDE) / 2  # (K, 2) of row and column, from the image's middle


def _design() -> FloatArray:
    """Return (K, 2, 4): the displacement of each block's centre per unit of each parameter of ``fit_motion``."""
    design = np.zeros((len(CENTRES), 2, 4))
    design[:, 0, 0] = design[:, 1, 1] = 1.0
    design[:, 0, 2], design[:, 1, 2] = -CENTRES[:, 1], CENTRES[:, 0]
    design[:, :, 3] = CENTRES
    return design


_DESIGN = _design()


def block_spectra(images: GreyImages) -> ComplexArray:
    """Compute the spectra of all blocks.

    Args:
        images: (B, S, S) grey, S = ``SIDE``.

    Returns:
        (B, K, b, b / 2 + 1).
    """
    blocks = np.stack([images[:, r : r + _BLOCK, c : c + _BLOCK] for r, c in _CORNERS], axis=1)
    blocks = (blocks - blocks.mean(axis=(2, 3), keepdims=True)) * _WINDOW
    return np.asarray(fft.rfft2(blocks), dtype=np.complex64)


def block_shifts(before: ComplexArray, after: ComplexArray) -> tuple[FloatArray, FloatArray]:
    """Compute the displacement of each block's content.

    Args:
        before: ``block_spectra`` of the earlier frames (B, K, ...).
        after: ``block_spectra`` of the later frames.

    Returns:
        (B, K, 2) pixels down and to the right, and (B, K) the height of the correlation's peak, 0 to 1.
    """
    cross = after * before.conj()
    size = np.abs(cross)
    # A floor relative to the block's own content suppresses frequencies that hold only rounding errors.
    floor = 1e-4 * size.mean(axis=(2, 3), keepdims=True) + np.float32(1e-6)
    surface = fft.irfft2(cross / (size + floor) * _SMOOTHING, s=(_BLOCK, _BLOCK)) / _SURFACE_PEAK
    count = surface.shape[0] * surface.shape[1]
    flat = surface.reshape(count, -1)
    best = flat.argmax(axis=1)
    rows, columns = best // _BLOCK, best % _BLOCK
    pick = np.arange(count)
    cube = surface.reshape(count, _BLOCK, _BLOCK)
    height = cube[pick, rows, columns]
    row_step = _vertex(cube[pick, rows - 1, columns], height, cube[pick, (rows + 1) % _BLOCK, columns])
    column_step = _vertex(cube[pick, rows, columns - 1], height, cube[pick, rows, (columns + 1) % _BLOCK])
    shifts = np.stack([_signed(rows) + row_step, _signed(columns) + column_step], axis=1)
    peaks = np.clip(height, 0.0, 1.0).astype(np.float64)
    return shifts.reshape(*surface.shape[:2], 2), peaks.reshape(surface.shape[:2])


_SURFACE_PEAK = float(fft.irfft2(_SMOOTHING.astype(np.complex64), s=(_BLOCK, _BLOCK)).max())


def _vertex(left: NDArray[np.float32], middle: NDArray[np.float32], right: NDArray[np.float32]) -> FloatArray:
    """Return the peak of a parabola through three neighbours, -0.5 to 0.5 from the middle one."""
    curvature = (2 * middle - left - right).astype(np.float64)
    slope = (right - left).astype(np.float64) / 2
    return np.clip(np.divide(slope, curvature, out=np.zeros_like(slope), where=curvature > 1e-9), -0.5, 0.5)


def _signed(place: NDArray[np.int64]) -> FloatArray:
    return ((place + _BLOCK // 2) % _BLOCK - _BLOCK // 2).astype(np.float64)


def fit_motion(shifts: FloatArray, peaks: FloatArray) -> FloatArray:
    """Fit the motion of the whole image on which most blocks agree.

    Args:
        shifts: (B, K, 2) from ``block_shifts``.
        peaks: (B, K).

    Returns:
        (B, 4): pixels down, pixels to the right, rotation in radians (row towards column), and relative growth. NaN if
        too few blocks can be tracked.
    """
    trust = np.clip(peaks - _CHANCE_PEAK, 0.0, None)
    # A weak prior keeps rotation and growth small unless many blocks show them, so that they do not fit noise.
    prior = np.diag([1e-9, 1e-9, 1.0, 1.0])
    motion = np.zeros((len(shifts), 4))
    weights = trust.copy()
    for iteration in range(_ITERATIONS):
        normal = np.einsum("bk,kip,kiq->bpq", weights, _DESIGN, _DESIGN) + prior
        target = np.einsum("bk,kip,bki->bp", weights, _DESIGN, shifts)
        if iteration == 0:
            # Start at the median, which is robust against almost half of the blocks.
            motion[:, :2] = _weighted_median(shifts, trust)
        else:
            motion = np.linalg.solve(normal, target[..., None])[..., 0]
        residual = shifts - np.einsum("kip,bp->bki", _DESIGN, motion)
        scale = _SCALE + (2.0 if iteration == 0 else 0.0)
        weights = trust / (1.0 + (residual**2).sum(axis=2) / scale**2)
    motion[weights.sum(axis=1) < _MIN_BLOCKS * (_GOOD_PEAK - _CHANCE_PEAK)] = np.nan
    return motion


def _weighted_median(shifts: FloatArray, weights: FloatArray) -> FloatArray:
    order = shifts.argsort(axis=1)
    ranked = np.take_along_axis(shifts, order, axis=1)
    share = np.take_along_axis(np.repeat(weights[:, :, None], 2, axis=2), order, axis=1).cumsum(axis=1)
    middle = (share < 0.5 * share[:, -1:, :]).sum(axis=1, keepdims=True)
    return np.take_along_axis(ranked, np.minimum(middle, shifts.shape[1] - 1), axis=1)[:, 0]


def trusted_flow(shifts: FloatArray, peaks: FloatArray, motion: FloatArray) -> FloatArray:
    """Replace the displacements of untrusted blocks by the motion of the whole picture.

    Args:
        shifts: (B, K, 2) from ``block_shifts``.
        peaks: (B, K).
        motion: (B, 4) from ``fit_motion``.

    Returns:
        (B, 2 K) pixels; NaN where ``motion`` is.
    """
    whole = np.einsum("kip,bp->bki", _DESIGN, motion)
    lost = (peaks < 2 * _CHANCE_PEAK) | (np.abs(shifts - whole).max(axis=2) > _ASTRAY)
    flow = np.where(lost[..., None], whole, shifts)
    flow[np.isnan(motion).any(axis=1)] = np.nan
    return flow.reshape(len(flow), -1)


def principal_parts(flow: FloatArray, parts: int = 6) -> FloatArray:
    """Project the flow onto its principal components.

    Args:
        flow: (B, 2 K), NaN where unknown.
        parts: number of components; three rotations and three translations make six.

    Returns:
        (B, parts), NaN where unknown.
    """
    known = np.isfinite(flow).all(axis=1)
    if known.sum() <= flow.shape[1]:
        return np.full((len(flow), parts), np.nan)
    centred = flow - flow[known].mean(axis=0)
    _, axes = np.linalg.eigh(centred[known].T @ centred[known])
    return np.asarray(centred @ axes[:, ::-1][:, :parts])
