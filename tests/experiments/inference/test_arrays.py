"""Arrays and frames that once came in wrong: hidden values, repeated columns, unread times, no gravity, two sensors."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest

from datamodules.recording import CHANNELS, FloatArray
from datamodules.signal import G
from datamodules.windows.settings import WindowSettings
from experiments.inference.arrays import ArrayFormat, stream_of
from experiments.inference.errors import InferenceError

RATE = 50.0
FORM = ArrayFormat(RATE, "m/s^2", "rad/s")


def motion(n: int = 3000) -> FloatArray:
    """A sensor that is upright and shaken, (n, 6) in m/s^2 and rad/s."""
    t = np.arange(n)[:, None] / RATE
    waves = np.sin(2 * np.pi * np.array([1.8, 1.1, 0.9, 0.7, 1.3, 0.4]) * t + np.arange(6))
    values = waves * [3, 4, 3, 1, 1, 1] + np.random.default_rng(0).normal(0, 0.05, (n, 6))
    return np.asarray(values + np.array([0, 0, G, 0, 0, 0]))


def taken(given: Any, form: ArrayFormat = FORM, **more: Any) -> FloatArray:
    """What the encoder would get; a warning is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return stream_of(given, form, WindowSettings(), **more).values


def frame(index: Any = None) -> pd.DataFrame:
    return pd.DataFrame(motion(), columns=list(CHANNELS), index=index)


def test_what_a_mask_hides_is_a_lost_sample() -> None:
    hidden = np.ma.masked_array(motion(), mask=False)
    hidden[100:130] = np.ma.masked
    hidden[200, 4] = np.ma.masked
    hidden.data[100:130] = 7.0  # nobody may see it
    expected = motion()
    expected[100:130], expected[200, 4] = np.nan, np.nan
    np.testing.assert_array_equal(taken(hidden), expected)
    counts = np.ma.masked_array(np.round(motion() * 1000 / G).astype(np.int16), mask=hidden.mask)
    found = taken(counts, ArrayFormat(RATE, "mg", "deg/s"))
    assert np.isnan(found).sum() == 30 * 6 + 1


def test_a_time_that_a_mask_hides_is_refused() -> None:
    times = np.ma.masked_array(np.arange(3000) / RATE, mask=np.arange(3000) == 7)
    with pytest.raises(InferenceError, match="times must ascend, in seconds, without gaps of NaN"):
        taken(motion(), ArrayFormat(None, "m/s^2", "rad/s"), times=times)


def test_columns_of_two_sensors_with_one_name_are_refused() -> None:
    one = frame()[list(CHANNELS[:3])]
    # pandas gives six columns for three names, which are no gyroscope.
    with pytest.raises(InferenceError, match="2 columns are named 'ax'; expected one"):
        taken(pd.concat([one, one + 0.1], axis=1))


def test_a_column_that_is_named_twice_is_refused() -> None:
    with pytest.raises(InferenceError, match="columns: 'ax' is there twice"):
        taken(frame(), ArrayFormat(RATE, "m/s^2", "rad/s", ["ax", "ay", "ax"]))


@pytest.mark.parametrize("kind", ["dates", "dates with a zone", "times"])
def test_an_index_of_times_is_held_against_the_rate(kind: str) -> None:
    def index(step_ms: float) -> Any:
        if kind == "times":
            return pd.to_timedelta(np.arange(3000) * step_ms, unit="ms")
        zone = "Europe/Berlin" if kind.endswith("zone") else None
        return pd.date_range("2024-10-27", periods=3000, freq=pd.Timedelta(step_ms, "ms"), tz=zone)

    np.testing.assert_array_equal(taken(frame(index(20.0))), motion())
    taken(frame(index(20.3)))  # a sensor's clock is not exact
    with pytest.raises(
        InferenceError, match=r"rate_hz=50 was given, but the times of its index are 0.01 s apart \(100 Hz"
    ):
        taken(frame(index(10.0)))
    with pytest.raises(InferenceError, match=r"the times of its index descend; .*frame\.sort_index\(\)"):
        taken(frame(index(20.0)[::-1]))


def test_an_index_of_numbers_says_nothing() -> None:
    np.testing.assert_array_equal(taken(frame(np.arange(3000)[::-1])), motion())


def test_acceleration_without_gravity_is_said_where_its_size_does_not_tell() -> None:
    linear = motion() - [0, 0, G, 0, 0, 0]
    with pytest.warns(UserWarning, match="keeps no direction, not even for a second.*is this a linear acceleration"):
        stream_of(linear, FORM, WindowSettings())
    taken(motion())  # as shaken, with gravity
    taken(linear[:500])  # a short and swift trial may look so


def test_rows_of_two_sensors_are_said() -> None:
    both = np.stack([motion(), motion()[:, [2, 1, 0, 3, 4, 5]]], axis=1).reshape(-1, 6)
    with pytest.warns(UserWarning, match="its rows jump between 2 levels, as if 2 sensors took turns"):
        stream_of(both, ArrayFormat(2 * RATE, "m/s^2", "rad/s"), WindowSettings())
