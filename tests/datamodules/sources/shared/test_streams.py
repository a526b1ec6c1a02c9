from __future__ import annotations

import numpy as np
import pytest
from helpers.made_sets import G, motion
from numpy.typing import NDArray

from datamodules.recording import ImuStream, RecordingError
from datamodules.sources.shared.streams import onto_times, refuse_other_units, with_samples


def stream(values: NDArray[np.float64], placement: str = "wrist") -> ImuStream:
    return ImuStream(np.arange(len(values)) / 50, values, placement, origin="made.csv")


def test_sensors_without_a_whole_sample_are_named() -> None:
    off = motion(50)
    off[:25, 0] = off[25:, 2] = np.nan
    kept, gone = with_samples([stream(motion(50)), stream(off, "chest")])
    assert ([s.placement for s in kept], gone) == (["wrist"], ("chest",))
    with pytest.raises(RecordingError, match=r"made\.csv: no sensor measured an acceleration"):
        with_samples([stream(off)])


@pytest.mark.parametrize(
    ("scale", "unit"),
    [(1 / G, "g"), (1000 / G, "mg, scaled as m/s^2"), (G, "m/s^2, scaled as g"), (1e-3, "g, scaled as mg")],
)
def test_a_forgotten_scale_is_named(scale: float, unit: str) -> None:
    with pytest.raises(RecordingError) as caught:
        refuse_other_units([stream(motion(200) * np.array([scale] * 3 + [1] * 3))])
    assert str(caught.value).endswith(f"(these look like {unit})")


def test_what_fits_no_other_unit_is_left_to_the_windows() -> None:
    falls = motion(200)
    falls[150:] *= 4
    nothing = np.zeros((200, 6))
    glitch = motion(2000)
    glitch[7, 4] = 1e4
    refuse_other_units(
        [stream(motion(200)), stream(falls), stream(nothing), stream(glitch), stream(np.full((9, 6), np.nan))]
    )


def test_degrees_are_told_from_radians() -> None:
    walking = motion(500)
    walking[:, 3:] = 2 * np.sin(np.arange(500) / 8)[:, None]
    refuse_other_units([stream(walking)])
    walking[:, 3:] *= 180 / np.pi
    with pytest.raises(RecordingError, match=r"reaches 114\.\d rad/s; .*these look like deg/s"):
        refuse_other_units([stream(walking)])


def test_a_gyroscope_comes_onto_the_accelerometers_times() -> None:
    gyro_times = 0.3 + np.arange(200) / 50
    gyro = np.stack([np.sin(gyro_times), gyro_times, np.ones(200)], axis=1)
    times = np.arange(0, 5, 0.02) + 0.007
    found = onto_times(times, gyro_times, gyro, 0.1)
    there = (times >= 0.3) & (times <= gyro_times[-1])
    assert (np.isfinite(found).all(axis=1) == there).all()
    # A cubic spline through a sine of 1 rad/s at 50 Hz errs by some 1e-5, most at its ends.
    np.testing.assert_allclose(found[there, 0], np.sin(times[there]), atol=5e-5)
    np.testing.assert_allclose(found[there, 1:], np.stack([times, np.ones_like(times)], 1)[there], atol=1e-9)
