"""Parts of a recording that are cut and scored one after the other, so that memory does not grow with its length.

Shape legend: N samples, W windows of a part.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from datamodules.recording import FloatArray, ImuStream
from datamodules.resampling import Resampling
from datamodules.signal import BoolArray, resample
from datamodules.windows.cut import Exclusion, Window, cut_at, margin_s, whole_windows
from datamodules.windows.quality.stuck import HungAxes
from datamodules.windows.settings import WindowSettings

WINDOWS = 120  # of a part: ten minutes of windows of five seconds


@dataclass(frozen=True)
class Part:
    """Consecutive windows of a recording, with the samples that they depend on.

    Attributes:
        stream: samples of the windows, and those around them that resampling needs.
        starts: (W,) of the windows, seconds.
        channel_mask: (6,) True for channels that the device has.
    """

    stream: ImuStream
    starts: FloatArray
    channel_mask: BoolArray

    def cut(
        self, settings: WindowSettings, hung: HungAxes | None = None, resampling: Resampling = resample
    ) -> tuple[list[Window], list[Exclusion]]:
        """Cut the windows; see :func:`datamodules.windows.cut.cut_at`."""
        return cut_at(self.stream, self.starts.tolist(), self.channel_mask, settings, hung=hung, resampling=resampling)


def on_a_grid(settings: WindowSettings) -> WindowSettings:
    """The settings of windows one behind the other, without frames and labels, for recordings of any length."""
    stride = max(settings.stride_s, settings.duration_s)
    return replace(settings, layout="grid", stride_s=stride, frames=0, keep_unlabelled=True)


def channels_of(values: FloatArray) -> BoolArray:
    """(6,) True for channels that the device has: those that are not all NaN."""
    return np.asarray(~np.isnan(values).all(axis=0))


def parts_of(
    stretches: Iterable[ImuStream], channel_mask: BoolArray, settings: WindowSettings, windows: int = WINDOWS
) -> Iterator[Part]:
    """Give all windows of a recording, in parts.

    The windows begin at the recording's first sample and follow each other by ``stride_s``, as
    :func:`datamodules.windows.cut.cut_windows` lays them. A recording shorter than a window is one window, centred.

    Args:
        stretches: the recording, one stretch of samples behind the other.
        channel_mask: (6,) True for channels that the device has.
        settings: of the windows, from :func:`on_a_grid`.
        windows: of a part.
    """
    margin = margin_s(settings)
    held: ImuStream | None = None
    begin, done = 0.0, 0
    for stretch in stretches:
        if held is None:
            begin = float(stretch.times[0])
        held = stretch if held is None else _joined(held, stretch)
        while True:
            starts = _starts(begin, done, done + windows, settings)
            if held.times[-1] <= starts[-1] + settings.duration_s + margin:
                break
            yield Part(_around(held, starts, settings), starts, channel_mask)
            done += windows
            held = _after(held, begin + done * settings.stride_s - margin)
    if held is None:
        return
    last = float(held.times[-1]) + 1 / settings.imu_rate_hz
    total = whole_windows(begin, last, settings)
    if total == 0:
        middle = (begin + last - settings.duration_s) / 2
        shift = round((middle - begin) * settings.imu_rate_hz) / settings.imu_rate_hz  # see ``cut_windows``
        yield Part(held, np.array([begin + shift]), channel_mask)
        return
    for first in range(done, total, windows):
        starts = _starts(begin, first, min(first + windows, total), settings)
        yield Part(_around(held, starts, settings), starts, channel_mask)


def _starts(begin: float, first: int, end: int, settings: WindowSettings) -> FloatArray:
    return np.asarray(begin + np.arange(first, end) * settings.stride_s, np.float64)


def _joined(a: ImuStream, b: ImuStream) -> ImuStream:
    return replace(
        a,
        times=np.concatenate([a.times, b.times]),
        values=np.concatenate([a.values, b.values]),
        repeated=np.concatenate([a.repeated, b.repeated]),
    )


def _around(stream: ImuStream, starts: FloatArray, settings: WindowSettings) -> ImuStream:
    """The samples that windows depend on: up to ``margin_s`` beyond them, and one more on either side."""
    margin = margin_s(settings)
    ends = [starts[0] - margin, starts[-1] + settings.duration_s + margin]
    first, last = np.searchsorted(stream.times, ends)
    rows = slice(max(0, int(first) - 1), int(last) + 1)
    return replace(stream, times=stream.times[rows], values=stream.values[rows])


def _after(stream: ImuStream, time: float) -> ImuStream:
    first = max(0, int(np.searchsorted(stream.times, time)) - 1)
    repeated = stream.repeated[stream.repeated >= time]
    return replace(stream, times=stream.times[first:], values=stream.values[first:], repeated=repeated)
