"""Facts of one sensor's samples, independent of their declared units.

Shape legend: N samples.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from datamodules.recording import FloatArray, ImuStream
from datamodules.windows.quality.calibration import Calibration, find_calibration
from datamodules.windows.quality.facts import gaps_of
from datamodules.windows.quality.interleaved import sensors_in_turn
from datamodules.windows.quality.placeholders import Placeholder, find_placeholders
from datamodules.windows.quality.possible import limits_of, without_impossible
from datamodules.windows.quality.stationary import NON_WEAR_S, non_wear, rest_windows
from datamodules.windows.quality.stuck import Stuck, find_stuck
from datamodules.windows.settings import WindowSettings
from experiments.reports.manifest.clipped import clipped_share
from experiments.reports.manifest.rest import Rest, find_rest
from experiments.reports.manifest.turning import Lag, Turning, measure_turning

_WRONG_UNIT = 0.2  # share of values that can't be
_STILL_S = 30 * 60.0  # rest that is said, though a person may have slept
_LEAST_LONELY, _NEXT_LONELY = 2, 0.7


@dataclass(frozen=True)
class MotionFacts:
    """Figures of one stream; accelerations in m/s^2 and rates in rad/s as the declared units make them.

    Attributes:
        placement: of the sensor.
        samples: N.
        first_s, last_s: on the recording's clock, before its offset.
        rate_hz: median.
        unsteady: share of steps that differ from the median by more than half of it, gaps aside.
        gaps: stretches longer than ``WindowSettings.max_gap_s`` without samples, as the build judges them.
        gap_s: their total length.
        longest_gap_s: the longest of them.
        lost: share of samples that are not there (NaN).
        alternating: accelerometer and gyroscope are there in different rows.
        rest: acceleration while the sensor rests, or at least moves slowly.
        largest: largest acceleration along an axis.
        largest_count: how many samples have exactly that value.
        largest_rate: largest angular rate along an axis; NaN without a gyroscope.
        fast_rate: angular rate (norm) that one sample in a thousand exceeds.
        turning: gyroscope against gravity; None if it can't be told.
        lag: of the gyroscope behind the accelerometer; None if it can't be told.
        impossible: samples with a value that no sensor gives; the other figures leave them out.
        impossible_values: the most frequent of these values, up to three, m/s^2 or rad/s, with their channels.
        stuck: (accelerometer, gyroscope); None without a gyroscope.
        not_worn: begin and end, seconds, of rest so long that no person was in it.
        still_s: seconds of shorter rest, of half an hour and more.
        calibration: of the acceleration by its rest; None for a recording that is short.
        lonely: channel, value and how often, of largest values that stand far from the next largest one.
        placeholders: of each sensor, values that stand for lost samples; channels from 0 to 5.
        unsigned: no acceleration along any axis is negative.
        in_turn: sensors whose rows alternate; 1 for one sensor.
        clipped: share of the samples in flat tops, of accelerometer and gyroscope.
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
    rest: Rest
    largest: float
    largest_count: int
    largest_rate: float
    fast_rate: float
    turning: Turning | None
    lag: Lag | None
    impossible: int
    impossible_values: tuple[tuple[int, float, int], ...]
    stuck: tuple[Stuck, Stuck | None]
    not_worn: tuple[tuple[float, float], ...]
    still_s: float
    calibration: Calibration | None
    lonely: tuple[tuple[int, float, int], ...]
    placeholders: tuple[Placeholder, ...] = ()
    clipped: tuple[float, float] = (0.0, 0.0)
    unsigned: bool = False
    in_turn: int = 1

    @property
    def rest_norm(self) -> float:
        """Median acceleration at rest; NaN if the sensor never rests."""
        return self.rest.norm

    @property
    def gravity(self) -> tuple[float, float, float]:
        """Share of the norm that lies along each axis while the sensor is quiet."""
        return self.rest.gravity

    @property
    def gravity_axis(self) -> str:
        """The axis nearest to the vertical, e.g. ``-y``; at rest, an accelerometer shows +g on the axis that is up."""
        axis = int(np.argmax(np.abs(self.gravity)))
        return f"{'-' if self.gravity[axis] < 0 else '+'}{'xyz'[axis]}"


def measure_motion(stream: ImuStream, settings: WindowSettings | None = None) -> MotionFacts:
    """Measure one stream, already checked by ``checks.check_imu``; needs no more memory than two copies of it.

    Args:
        stream: of one sensor.
        settings: what the build takes for a gap and a standstill; None for its defaults.
    """
    settings = settings or WindowSettings()
    raw = stream
    stream, impossible = without_impossible(stream)
    # Where most values can't be, the unit is wrong: what they say of it is asked of them all.
    whole = raw.values if impossible.size > _WRONG_UNIT * raw.times.size and np.isfinite(raw.values).any() else None
    times, values = stream.times, stream.values
    steps = np.diff(times)
    step = float(np.median(steps))
    gaps = gaps_of(stream, settings.max_gap_s)
    lengths = gaps[:, 1] - gaps[:, 0]
    has_gyroscope = not np.isnan(raw.values[:, 3:]).all()
    acceleration_lost = np.isnan(values[:, :3]).any(axis=1)
    gyroscope_lost = np.isnan(values[:, 3:]).any(axis=1) if has_gyroscope else np.zeros(times.size, bool)
    lost = acceleration_lost | gyroscope_lost
    stuck = find_stuck(times, values[:, :3], settings.standstill_s)
    stuck_gyroscope = find_stuck(times, values[:, 3:], settings.standstill_s) if has_gyroscope else None
    largest = np.max(np.abs(values[:, :3]), axis=0, initial=0.0, where=~np.isnan(values[:, :3]))
    axis = int(np.argmax(largest))
    stride = max(1, times.size // 1_000_000)
    rates = np.linalg.norm(values[::stride, 3:], axis=1)
    rates = rates[np.isfinite(rates)]
    turned = values[:, 3:]
    turns = has_gyroscope and stuck_gyroscope is not None and stuck_gyroscope.zero_rows < 1
    turning, lag = measure_turning(times, values if whole is None else whole, step) if turns else (None, None)
    if whole is not None:
        rates = np.linalg.norm(whole[::stride, 3:], axis=1)
        rates = rates[np.isfinite(rates)]
    windows = rest_windows(times, values[:, :3])
    episodes = non_wear(windows)
    fast = float(np.quantile(rates, 0.999)) if rates.size else float("nan")
    return MotionFacts(
        placement=stream.placement,
        samples=times.size,
        first_s=float(times[0]),
        last_s=float(times[-1]),
        rate_hz=1 / step,
        unsteady=float(np.mean((np.abs(steps - step) > 0.5 * step) & (steps <= max(settings.max_gap_s, 3 * step)))),
        gaps=len(gaps),
        gap_s=float(lengths.sum()),
        longest_gap_s=float(lengths.max(initial=0.0)),
        lost=float(np.isnan(raw.values[:, : 6 if has_gyroscope else 3]).any(axis=1).mean()),
        alternating=bool(
            has_gyroscope and lost.mean() > 0.2 and (acceleration_lost ^ gyroscope_lost).mean() > 0.9 * lost.mean()
        ),
        rest=find_rest(values if whole is None else whole, max(4, round(1 / step)), fast if turns else float("nan")),
        largest=float(largest[axis]),
        largest_count=int((np.abs(values[:, axis]) == largest[axis]).sum()),
        largest_rate=float(np.nanmax(np.abs(turned))) if has_gyroscope and np.isfinite(turned).any() else float("nan"),
        fast_rate=fast,
        turning=turning,
        lag=lag,
        impossible=int(impossible.size),
        impossible_values=_most_frequent(raw.values[impossible], limits_of(raw)),
        stuck=(stuck, stuck_gyroscope),
        not_worn=tuple(episodes),
        still_s=sum(end - begin for begin, end in non_wear(windows, _STILL_S)) - sum(e - b for b, e in episodes),
        calibration=find_calibration(windows) if times[-1] - times[0] > NON_WEAR_S else None,
        lonely=_lonely(values),
        placeholders=_placeholders(values, has_gyroscope),
        in_turn=sensors_in_turn(raw.values),
        unsigned=bool(np.nanmin(raw.values[:, :3]) >= 0),
        clipped=(clipped_share(values[:, :3]), clipped_share(values[:, 3:]) if has_gyroscope else 0.0),
    )


def _placeholders(values: FloatArray, has_gyroscope: bool) -> tuple[Placeholder, ...]:
    found = find_placeholders(values[:, :3])
    if has_gyroscope:
        gyroscope = find_placeholders(values[:, 3:])
        found += [replace(p, channels=tuple(channel + 3 for channel in p.channels)) for p in gyroscope]
    return tuple(found)


def _most_frequent(values: FloatArray, limits: FloatArray) -> tuple[tuple[int, float, int], ...]:
    """Channel, value and how many, of up to three values beyond the limits."""
    found: list[tuple[int, float, int]] = []
    for channel in range(6):
        beyond = values[np.abs(values[:, channel]) > limits[channel], channel]
        kinds, counts = np.unique(beyond, return_counts=True)
        found += [(channel, float(kind), int(count)) for kind, count in zip(kinds, counts, strict=True)]
    return tuple(sorted(found, key=lambda entry: -entry[2])[:3])


def _lonely(values: FloatArray) -> tuple[tuple[int, float, int], ...]:
    """Largest magnitudes that come again and again, to the bit, while nothing else comes near."""
    found = []
    for channel, column in enumerate(values.T):
        sizes = np.abs(column[np.isfinite(column)])
        if not sizes.size:
            continue
        top = float(sizes.max())
        others = sizes[sizes < top]
        count = sizes.size - others.size
        if count >= _LEAST_LONELY and others.size and float(others.max()) < _NEXT_LONELY * top:
            found.append((channel, float(column[np.nanargmax(np.abs(column))]), int(count)))
    return tuple(found)
