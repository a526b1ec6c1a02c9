"""Stamps of one recording: made to ascend at an even pace where it is clear how, and refused where it is not.

Shape legend: N samples.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datamodules.recording import FloatArray, RecordingError
from datamodules.sources.manifest import units
from datamodules.sources.manifest.spec import TimeSpec
from datamodules.sources.manifest.stamps.order import DAY_S, HOUR_S, put_in_order
from datamodules.sources.manifest.stamps.spread import Packets, spread

_LONGEST_GAP_S = 7 * 86400.0  # a stamp further away than a week is no part of the same recording
_FEW_REPEATED = 0.05  # more of them are no slip, and to drop them would drop what was measured
_MANY_STARTS, _SHORTEST_START = 50, 100  # starts of a logger within a file; samples of one
_SMALL = 50  # samples of which a share says little


@dataclass
class Stamps:
    """Stamps in order.

    Attributes:
        times: (N,) seconds; strictly ascending within a part but for repeats.
        order: (N,) which sample of the file each is; None for all in their order.
        parts: (begin, end) of each start of the logger.
        notes: what was done, in words.
    """

    times: FloatArray
    order: NDArray[np.int64] | None
    parts: list[tuple[int, int]]
    notes: list[str]


def split_stamps(
    times: FloatArray, spec: TimeSpec, restarts: list[int], place: Callable[[int], str], mend: bool = False
) -> Stamps:
    """Put stamps in order, and find where the logger was started again.

    Args:
        times: (N,) seconds, as they stand in the file; changed in place.
        spec: how they are written.
        restarts: samples before which the file's header is there again.
        place: file and line of a sample.
        mend: put right single stamps that are far off, and files with the newest sample first.

    Raises:
        RecordingError: they go back, and the manifest doesn't say what is to be done.
    """
    text = units.text_of(spec) if units.is_text(spec) else None
    tick = 0.0 if text is not None else units.SECONDS[spec.unit]
    parts, notes = [], []
    order: NDArray[np.int64] | None = None
    bounds = [0, *[row for row in restarts if 0 < row < times.size], times.size]
    # A clock that goes on behind a new header may pass midnight there.
    for begin, end in itertools.pairwise(bounds):
        found = put_in_order(times[begin:end], tick, text is not None and not text.dated, spec.zone, mend)
        if found.order is not None:
            times[begin:end] = found.times
            order = np.arange(times.size) if order is None else order
            order[begin:end] = begin + found.order
        if found.restarts and spec.restarts == "error":
            raise _backwards(times, begin + found.restarts[0] - 1, len(found.restarts), spec, place)
        notes += found.notes
        edges = [begin, *[begin + row for row in found.restarts], end]
        parts += list(itertools.pairwise(edges))
    if len(bounds) > 2 and spec.restarts == "error":
        raise RecordingError(
            f"{place(bounds[1])}: the header is there again above this row, {len(bounds) - 2} times in all: the logger "
            "was started again and wrote on into the same file; set time.restarts: parts, which makes a recording of "
            "each start, with {part} (1, 2, ...) for its name"
        )
    return Stamps(times, order, parts, notes)


def _backwards(times: FloatArray, i: int, many: int, spec: TimeSpec, place: Callable[[int], str]) -> RecordingError:
    a, b = times[i], times[i + 1]
    hint = (
        "; if the logger was started again there, set time.restarts: parts, which makes a recording of each start, "
        "with {part} (1, 2, ...) for its name"
    )
    if many > _MANY_STARTS or (many > 1 and (many + 1) * _SHORTEST_START > times.size):
        hint = "; they go back too often for starts of a logger: are the rows sorted"
        hint += ", and fractions written with their zeros (0.050, not 0.50)?" if units.is_text(spec) else "?"
    elif units.is_text(spec) and abs(b - a + DAY_S / 2) < HOUR_S / 4:
        hint = (
            "; twelve hours back is a clock of twelve hours: export 24 hours, or AM and PM with them and '%I' and '%p' "
            "in time.format"
        )
    elif units.is_text(spec) and abs(b - a + HOUR_S) < HOUR_S / 4:
        dates = "" if units.text_of(spec).dated else "export the stamps with their dates, and "
        hint = f"; one hour back is the end of daylight saving: {dates}set time.zone, e.g. Europe/Berlin{hint}"
    return RecordingError(
        f"{place(i + 1)}, column '{spec.column}' (time): {b:.9g} s follows {a:.9g} s (so at {many} of {times.size} "
        f"samples); expected ascending stamps{hint}"
    )


def check_pace(
    times: FloatArray, spec: TimeSpec, place: Callable[[int], str]
) -> tuple[FloatArray, NDArray[np.bool_] | None, list[str]]:
    """One recording's stamps at an even pace.

    Args:
        times: (N,) seconds, not descending.
        spec: how they are written.
        place: file and line of a sample.

    Returns:
        The times, which samples to keep (None for all), and what was done, in words.

    Raises:
        RecordingError: they are no times at which a sensor measures.
    """
    where = place(0).rpartition(", ")[0]
    if times.size < 2:
        raise RecordingError(f"{where}: {times.size} samples; expected at least 2")
    steps = np.diff(times)
    rising = steps > 0
    if lost := _lost_digits(times, rising, spec):
        raise RecordingError(f"{where}: {lost}")
    if not rising.any():
        raise RecordingError(f"{where}: all {times.size} samples have one time; expected ascending stamps")
    notes: list[str] = []
    if (packets := spread(times)) is not None:
        if packets.times is not None and units.SLOWEST_HZ <= packets.rate_hz <= units.FASTEST_HZ:
            notes.append(_spread_note(packets))
            times, steps = packets.times, np.diff(packets.times)
            rising = steps > 0
        elif packets.same or packets.size > 1.5:
            _refuse_packets(packets, times, rising, spec, where)
    if not rising.all():
        _check_repeats(times, rising, spec, place, where)
    longest = int(np.argmax(steps))
    longest_s = float(steps[longest])
    # In place: the steps are not needed any more, and a copy of a day's would be the largest thing here.
    rate = 1 / float(np.median(steps if rising.all() else steps[rising], overwrite_input=True))
    if not units.SLOWEST_HZ <= rate <= units.FASTEST_HZ:
        likely = units.likely_time_unit(rate, spec.unit)
        hint = f" (these look like {likely}, declared is {spec.unit})" if likely else ""
        raise RecordingError(
            f"{where}: by its stamps in {spec.unit} the sensor measured at {rate:.4g} Hz; expected 20 to 1000 Hz{hint}"
        )
    if longest_s > _LONGEST_GAP_S:
        raise RecordingError(
            f"{place(longest + 1)}: {longest_s / 86400:.1f} days after the sample before; "
            "expected one recording (is that stamp right?)"
        )
    if units.is_text(spec):
        notes += _odd_gap(longest_s, spec, place(longest + 1)) if longest_s > HOUR_S / 2 else []
    return times, None if rising.all() else np.concatenate([[True], rising]), notes


def _odd_gap(seconds: float, spec: TimeSpec, where: str) -> list[str]:
    """What a gap of exactly one hour, half a day or a day may come from."""
    if abs(seconds - HOUR_S) < 5 and not spec.zone:
        cause = "the begin of daylight saving, set time.zone"
        cause += "" if units.text_of(spec).dated else " and export the stamps with their dates"
        return [f"a gap of one hour before {where}: where that is {cause}"]
    if abs(seconds - DAY_S / 2) < 5 or abs(seconds - DAY_S) < 5:
        hours = "twelve hours" if seconds < 0.75 * DAY_S else "one day"
        return [
            f"a gap of {hours} before {where}: was AM or PM lost, or the date counted on at noon? (see time.format)"
        ]
    return []


def _spread_note(packets: Packets) -> str:
    how = "stamps are the same for" if packets.same else "stamps come in packets of"
    if packets.size < 1.5:
        return (
            f"some stamps are there twice, as if given on delivery: spread evenly, {packets.rate_hz:.4g} Hz (at most "
            f"{packets.worst_s:.2g} s from a sample's stamp)"
        )
    late = f"; if a packet was stamped when it came, all times are {packets.interval_s:.3g} s late" * (not packets.same)
    return (
        f"{how} {packets.size:g} samples at a time, every {packets.interval_s:.3g} s: spread evenly, "
        f"{packets.rate_hz:.4g} Hz (at most {packets.worst_s:.2g} s from a packet's stamp{late})"
    )


def _refuse_packets(packets: Packets, times: FloatArray, rising: NDArray[np.bool_], spec: TimeSpec, where: str) -> None:
    repeated = int((~rising).sum())
    few = repeated <= _FEW_REPEATED * times.size or times.size < _SMALL
    if packets.same and few:
        return
    raise RecordingError(
        f"{where}: {'one stamp stands for' if packets.same else 'stamps come in packets of'} {packets.size:.3g} samples"
        f" at a time, every {packets.interval_s:.3g} s, and not regularly ({packets.worst_s:.2g} s off an even spread)"
        ": when each sample was taken can't be told; expected a stamp for every sample (export them with more "
        "decimals, or the sensor's own clock), or rate_hz if samples were never lost"
    )


def _check_repeats(
    times: FloatArray, rising: NDArray[np.bool_], spec: TimeSpec, place: Callable[[int], str], where: str
) -> None:
    repeated = int((~rising).sum())
    few = repeated <= _FEW_REPEATED * times.size or times.size < _SMALL
    if spec.repeated == "first" and (few or repeated <= 0.5 * times.size):
        return
    i = int(np.argmin(rising))
    hint = " (time.repeated: first keeps the first of samples with one stamp)" if few else _coarse_hint(times, rising)
    raise RecordingError(
        f"{place(i + 1)}, column '{spec.column}' (time): {times[i]:.9g} s is there twice (so at {repeated} of "
        f"{times.size} samples); expected ascending stamps{hint}"
    )


def _coarse_hint(times: FloatArray, rising: NDArray[np.bool_]) -> str:
    distinct = times[np.concatenate([[True], rising])]
    step = float(np.median(np.diff(distinct)))
    if distinct.size > 0.5 * times.size:
        lost = 1 - distinct.size / times.size
        return f" (time.repeated: first would keep the first of samples with one stamp, and lose {lost:.0%} of them)"
    return (
        f"; stamps {step:.3g} s apart are too coarse for {times.size / distinct.size:.3g} samples each: export them "
        "with more decimals, or give rate_hz if the rate is known and no sample was lost"
    )


def _lost_digits(times: FloatArray, rising: NDArray[np.bool_], spec: TimeSpec) -> str:
    """What is wrong with stamps that were shortened, by a spreadsheet or to 32 bits; "" if they were not."""
    if units.is_text(spec) or times.size < 20:
        return ""
    repeated = int((~rising).sum())
    if repeated <= 0.5 * times.size:
        return ""
    ticks = times[np.concatenate([[True], rising])] / units.SECONDS[spec.unit]
    largest = float(np.abs(ticks).max())
    if largest < 1e6:
        return ""
    shown = np.array([float(f"{tick:.5e}") for tick in ticks[:1000]])
    short = bool(np.allclose(shown, ticks[:1000], rtol=1e-12))
    single = bool((ticks.astype(np.float32).astype(np.float64) == np.round(ticks, 6)).all()) and largest > 2**24
    # Whole seconds are no loss of digits: they are told from the distance of the stamps.
    if not (short or single) or (ticks.size > 2 and float(np.median(np.diff(ticks))) <= 1.5):
        return ""
    cause = "6 digits, as a spreadsheet shortens long numbers (1.76442E+12)" if short else "32 bits"
    return (
        f"only {ticks.size} different stamps for {times.size} samples: they were cut to {cause}, and when a sample was "
        "taken is lost; export the stamps again as text or with all their digits, or give rate_hz instead of the column"
    )
