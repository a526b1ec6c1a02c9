from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from datamodules.formats.frame_fit import fitted


def ramp(height: int, width: int) -> NDArray[np.uint8]:
    """Brighter to the right."""
    return np.broadcast_to(np.linspace(0, 255, width).astype(np.uint8)[None, :, None], (height, width, 3)).copy()


@pytest.mark.parametrize("fit", ["crop", "pad", "squash"])
@pytest.mark.parametrize("size", [(20, 40), (40, 20), (7, 13), (1, 1), (90, 33)])
def test_the_shape_is_exact(fit: str, size: tuple[int, int]) -> None:
    frame = fitted(ramp(31, 57), *size, fit)
    assert frame.shape == (*size, 3)
    assert frame.dtype == np.uint8


@pytest.mark.parametrize("fit", ["crop", "pad", "squash"])
def test_the_same_size_is_left_alone(fit: str) -> None:
    np.testing.assert_array_equal(fitted(ramp(10, 20), 10, 20, fit), ramp(10, 20))


def test_what_is_cut_added_and_squashed() -> None:
    frame = ramp(20, 40)
    crop = fitted(frame, 20, 20, "crop")[0, :, 0].astype(int)
    np.testing.assert_array_equal(crop, frame[0, 10:30, 0])
    pad = fitted(frame, 40, 40, "pad")
    assert pad[:10].max() == pad[30:].max() == 0
    np.testing.assert_array_equal(pad[10:30], frame)
    squash = fitted(frame, 20, 20, "squash")[0, :, 0].astype(int)
    # Each pixel is about the mean of the two that it stands for; antialiasing looks a little further.
    np.testing.assert_allclose(squash, frame[0, :, 0].reshape(20, 2).mean(axis=1), atol=4)
    assert np.diff(squash).min() > 0


def test_a_turned_view_is_taken() -> None:
    frame = np.rot90(ramp(20, 20), -1)
    assert np.diff(fitted(frame, 10, 10, "crop")[:, 0, 0].astype(int)).min() > 0
