"""Motion in arrays and pandas frames, checked and brought to the units of a recording.

Shape legend: N samples.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from core.suggestions import did_you_mean
from datamodules.recording import CHANNELS, FloatArray, ImuStream
from datamodules.signal import G, median_acceleration
from datamodules.sources.manifest.spec import ACCELERATION_UNITS, GYROSCOPE_UNITS, AccelerationSpec, GyroscopeSpec
from datamodules.sources.manifest.units import FASTEST_HZ, SLOWEST_HZ, acceleration_scale, gyroscope_scale
from datamodules.windows.quality.interleaved import sensors_in_turn
from datamodules.windows.settings import WindowSettings
from experiments.inference.errors import InferenceError

_COUNTS = "lsb"  # of a logger: their size is not known here
_LOOKED_AT = 200_000  # samples that a median is taken of
_NEAR = 0.3  # a median norm within this share of one g is one g
_BLOCK, _BLOCKS = 100, 200  # samples that are about a second, and how many such blocks are looked at
_STEADY = 0.7  # the mean's share of the median size: near 1 with gravity, below a half without it
_RATE_OFF = 0.05  # share by which an index of times may differ from the rate
_NO_GRAVITY = 0.45  # the same share, below which there is no gravity; the least of 785 real recordings is 0.59
_LONG = 2000  # samples that tell it: a short and swift trial may look so
_FASTEST_TURN = 35.0  # rad/s, the 2000 deg/s of the usual sensors


@dataclass(frozen=True)
class ArrayFormat:
    """What the numbers of an array mean.

    Attributes:
        rate_hz: samples a second; None where times are given.
        acceleration_unit: ``m/s^2``, ``g`` or ``mg``.
        gyroscope_unit: ``rad/s`` or ``deg/s``.
        columns: of a pandas frame: three of the acceleration, then three of the gyroscope if there is one. Empty takes
            ``ax ay az`` and, where they are there, ``gx gy gz``.
    """

    rate_hz: float | None
    acceleration_unit: str
    gyroscope_unit: str
    columns: Sequence[str] = ()

    def check(self) -> None:
        """Refuse unknown units and impossible rates.

        Raises:
            InferenceError: the message names the argument, and says what is expected.
        """
        for name, unit, units in (
            ("acceleration_unit", self.acceleration_unit, ACCELERATION_UNITS),
            ("gyroscope_unit", self.gyroscope_unit, GYROSCOPE_UNITS),
        ):
            known = [u for u in units if u != _COUNTS]
            if unit not in known:
                raise InferenceError(
                    f"{name}: expected one of {', '.join(known)}; found {unit!r}{did_you_mean(unit, known)}"
                )
        if self.rate_hz is not None and not SLOWEST_HZ <= self.rate_hz <= FASTEST_HZ:
            raise InferenceError(
                f"rate_hz: expected the samples a second, {SLOWEST_HZ:g} to {FASTEST_HZ:g}; found {self.rate_hz!r}"
            )
        if len(self.columns) not in (0, 3, 6):
            raise InferenceError(f"columns: expected 3 or 6 names; found {len(self.columns)}")
        for column in self.columns:
            if list(self.columns).count(column) > 1:
                raise InferenceError(f"columns: '{column}' is there twice; expected a column of its own for each axis")


def stream_of(
    motion: Any, form: ArrayFormat, settings: WindowSettings, times: ArrayLike | None = None, name: str = "the array"
) -> ImuStream:
    """Check one recording, and bring it to m/s^2 and rad/s.

    Args:
        motion: (N, 3) acceleration, or (N, 6) acceleration and angular velocity; an array, nested lists or a pandas
            frame. NaN is a lost sample; three columns of NaN are a gyroscope that the device lacks.
        form: what the numbers mean.
        settings: of the encoder's windows, for what is plausible.
        times: (N,) seconds, ascending; None counts from 0 at ``form.rate_hz``.
        name: of the recording, for messages.

    Raises:
        InferenceError: shape, rate, times or units can't be right; the message says what to do.
    """
    form.check()
    raw = _numbers(motion, form, name)
    stamps = _times(len(raw), form, times, name)
    if (apart := float(np.median(np.diff(stamps)))) > settings.max_gap_s + 1e-9:
        raise InferenceError(
            f"{name}: its samples are {apart:.3g} s apart, and the encoder's windows bridge at most"
            f" {settings.max_gap_s:g} s; expected at least {1 / settings.max_gap_s:g} Hz"
        )
    values = np.full((len(raw), 6), np.nan)
    acceleration = AccelerationSpec(["x", "y", "z"], form.acceleration_unit)
    gyroscope = GyroscopeSpec(["x", "y", "z"], form.gyroscope_unit)
    values[:, :3] = raw[:, :3] * acceleration_scale(acceleration)
    if raw.shape[1] == 6:
        values[:, 3:] = raw[:, 3:] * gyroscope_scale(gyroscope)
    if doubt := check_units(values, acceleration, gyroscope, settings, name):
        warnings.warn(doubt, stacklevel=2)
    return ImuStream(stamps, values, "any", origin=name)


def check_units(
    values: FloatArray,
    acceleration: AccelerationSpec,
    gyroscope: GyroscopeSpec | None,
    settings: WindowSettings,
    name: str,
    advice: str = "set {sensor}_unit='{unit}'",
) -> str:
    """Refuse an acceleration without gravity's size, and an angular velocity that no sensor gives.

    Args:
        values: (N, 6) m/s^2 and rad/s, by the declared units.
        acceleration: as declared.
        gyroscope: as declared; None where there is none.
        settings: of the windows: ``min_norm_g`` and ``max_norm_g`` are the limits of the build's rule, too.
        name: of the recording, for messages.
        advice: how the caller declares another unit.

    Returns:
        Doubts, for people: rows of several sensors, no gravity, the unit of the angular velocity; empty if there are
        none.

    Raises:
        InferenceError: the message says which unit the numbers look like.
    """
    some = values[:: max(1, len(values) // _LOOKED_AT)]
    norm = median_acceleration(some)
    if not np.isfinite(norm):
        raise InferenceError(f"{name}: no finite sample of acceleration; expected some")
    if not settings.min_norm_g * G <= norm <= settings.max_norm_g * G:
        plain = norm / acceleration_scale(acceleration)
        sizes = {unit: G / acceleration_scale(AccelerationSpec(["x", "y", "z"], unit)) for unit in ("m/s^2", "g", "mg")}
        like = next((unit for unit, size in sizes.items() if abs(plain / size - 1) <= _NEAR), "")
        like = like if _has_gravity(values) else ""
        hint = (
            f"these look like {like}: {advice.format(sensor='acceleration', unit=like)}"
            if like
            else "expected about 1 g; gravity must be in, so use the sensor's raw acceleration, not a linear one"
        )
        declared = f"{acceleration.unit} was declared"
        if acceleration.unit == _COUNTS:
            declared = f"{_COUNTS} with {acceleration.per_g:g} in one g was declared"
        raise InferenceError(f"{name}: the acceleration's median size is {plain:.3g} where {declared}; {hint}")
    doubts = []
    if (sensors := sensors_in_turn(values)) > 1:
        doubts.append(
            f"{name}: its rows jump between {sensors} levels, as if {sensors} sensors took turns; expected the rows of"
            " one sensor"
        )
    elif len(values) >= _LONG and _gravity_share(values) < _NO_GRAVITY:
        doubts.append(
            f"{name}: the acceleration keeps no direction, not even for a second; expected gravity in it: is this a"
            " linear acceleration, or filtered? Use the sensor's raw one"
        )
    if turn := _doubt_of_turning(some, gyroscope, name, advice):
        doubts.append(turn)
    return "; ".join(doubts)


def _doubt_of_turning(some: FloatArray, gyroscope: GyroscopeSpec | None, name: str, advice: str) -> str:
    turning = np.abs(some[:, 3:][np.isfinite(some[:, 3:])])
    if gyroscope is None or not turning.size:
        return ""
    fast = float(np.quantile(turning, 0.99))
    if gyroscope.unit == "rad/s" and fast > _FASTEST_TURN:
        raise InferenceError(
            f"{name}: 1 % of the angular velocity is above {fast:.3g} rad/s, and sensors end at {_FASTEST_TURN:g};"
            f" these look like deg/s: {advice.format(sensor='gyroscope', unit='deg/s')}"
        )
    moving = float(np.nanstd(np.linalg.norm(some[:, :3], axis=1)))
    if gyroscope.unit == "deg/s" and moving > 0.1 * G and 0 < fast < np.radians(5):
        return (
            f"{name}: it moves ({moving:.2g} m/s^2), but 99 % of the angular velocity is below {np.degrees(fast):.2g}"
            f" deg/s; if these are rad/s, {advice.format(sensor='gyroscope', unit='rad/s')}"
        )
    return ""


def _has_gravity(values: FloatArray) -> bool:
    return _gravity_share(values) > _STEADY


def _gravity_share(values: FloatArray) -> float:
    """How much of the acceleration keeps its direction for about a second, as gravity does; infinite if unknown.

    Without gravity, its mean over a second is far smaller than its median size.
    """
    length = min(_BLOCK, len(values))
    firsts = np.linspace(0, len(values) - length, _BLOCKS).astype(np.int64)
    blocks = values[firsts[:, None] + np.arange(length), :3]
    means = np.linalg.norm(blocks.mean(axis=1), axis=1)
    sizes = np.median(np.linalg.norm(blocks, axis=2), axis=1)
    good = np.isfinite(means)
    return float(np.median(means[good] / np.maximum(sizes[good], 1e-12))) if good.any() else float("inf")


def _numbers(motion: Any, form: ArrayFormat, name: str) -> FloatArray:
    """(N, 3) or (N, 6) in the declared units."""
    if hasattr(motion, "columns") and hasattr(motion, "to_numpy"):
        motion = _of_frame(motion, form, name)
    try:
        found = _plain(motion)
    except (TypeError, ValueError) as error:
        raise InferenceError(f"{name}: expected numbers of shape (samples, 3 or 6): {error}") from error
    if found.ndim != 2 or found.shape[1] not in (3, 6):
        turned = found.ndim == 2 and found.shape[0] in (3, 6)
        hint = ": transpose it, array.T" if turned else ""
        if found.ndim == 3:
            hint = ": pass a list of recordings, list(array)"
        raise InferenceError(f"{name}: its shape is {found.shape}; expected (samples, 3) or (samples, 6){hint}")
    if len(found) < 2:
        raise InferenceError(f"{name}: {len(found)} samples; expected at least 2")
    return found


def _plain(numbers: Any) -> FloatArray:
    """As float64; what a masked array hides is a lost sample, whatever number lies below the mask."""
    if isinstance(numbers, np.ma.MaskedArray):
        return np.asarray(np.ma.filled(numbers.astype(np.float64), np.nan))
    return np.asarray(numbers, np.float64)


def _of_frame(frame: Any, form: ArrayFormat, name: str) -> FloatArray:
    _check_index(frame.index, form, name)
    names = [str(column) for column in frame.columns]
    wanted = list(form.columns)
    if not wanted:
        wanted = [*CHANNELS[:3], *(CHANNELS[3:] if set(CHANNELS[3:]) & set(names) else ())]
    for column in wanted:
        if column not in names:
            raise InferenceError(
                f"{name}: no column '{column}'{did_you_mean(column, names)} (there are: {', '.join(names)}); name them"
                " with columns=[...]"
            )
        if names.count(column) > 1:
            raise InferenceError(
                f"{name}: {names.count(column)} columns are named '{column}'; expected one (two sensors side by side?)"
            )
    try:
        return np.asarray(frame[wanted].to_numpy(), np.float64)
    except (TypeError, ValueError) as error:
        raise InferenceError(f"{name}, columns {', '.join(wanted)}: expected numbers: {error}") from error


def _check_index(index: Any, form: ArrayFormat, name: str) -> None:
    """Hold an index of times, which is not read, against the rate that was given."""
    if getattr(getattr(index, "dtype", None), "kind", "") not in "mM" or form.rate_hz is None or len(index) < 2:
        return
    seconds = np.asarray((index - index[0]) / np.timedelta64(1, "s"), np.float64)
    if (np.diff(seconds) < 0).any():
        raise InferenceError(f"{name}: the times of its index descend; expected ascending ones, frame.sort_index()")
    step = float(np.median(np.diff(seconds)))
    if abs(step * form.rate_hz - 1) > _RATE_OFF:
        raise InferenceError(
            f"{name}: rate_hz={form.rate_hz:g} was given, but the times of its index are {step:.4g} s apart"
            f"{f' ({1 / step:.4g} Hz)' if step > 0 else ''}; expected that rate, or times=... in seconds"
        )


def _times(samples: int, form: ArrayFormat, times: ArrayLike | None, name: str) -> FloatArray:
    if times is None:
        if form.rate_hz is None:
            raise InferenceError("rate_hz: expected the samples a second, or times=... in seconds; found neither")
        return np.arange(samples) / form.rate_hz
    if form.rate_hz is not None:
        raise InferenceError("rate_hz and times were both given; expected one of them")
    found = _plain(times)
    if found.shape != (samples,):
        raise InferenceError(f"{name}: times have shape {found.shape}; expected ({samples},), one a sample")
    if not np.isfinite(found).all() or (np.diff(found) <= 0).any():
        raise InferenceError(f"{name}: times must ascend, in seconds, without gaps of NaN")
    rate = 1 / float(np.median(np.diff(found)))
    if not SLOWEST_HZ <= rate <= FASTEST_HZ:
        raise InferenceError(f"{name}: by its times it has {rate:.4g} Hz; expected seconds, and 20 to 1000 Hz")
    return found
