"""Frames that a file presents, known before its pictures are decoded.

libavformat applies edit lists to the packets: those that are hidden carry a mark. Only where pictures lead into the
first key frame, as after a cut, are they tried: whether they can be decoded depends on pictures that are cut off.

Shape legend: P packets in the order of the file, N presented frames in the order of their times.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from datamodules.formats.video.av_file import AvFile
from datamodules.formats.video.packets import NEVER, Packets, list_packets
from datamodules.recording import FloatArray


@dataclass(frozen=True)
class Listing:
    """The frames that are presented.

    Attributes:
        packets: all packets of the stream.
        order: (N,) the packet of each frame.
        stamps: (N,) when it is presented, in ticks.
        base: seconds a tick.
        starts: packets that decoding can start from, ascending.
        in_order: the container has no times of presentation, so frames are known by their order alone.
    """

    packets: Packets
    order: NDArray[np.int64]
    stamps: NDArray[np.int64]
    base: Fraction
    starts: NDArray[np.int64]
    in_order: bool

    def times(self) -> FloatArray:
        """When each frame is presented, (N,) seconds on the container's clock."""
        times: FloatArray = self.stamps * self.base.numerator / self.base.denominator
        return times

    def start_of(self, index: int) -> int:
        """The last packet from which a frame can be decoded."""
        if self.in_order:
            return 0
        last = int(np.searchsorted(self.starts, self.order[index], side="right"))
        # A picture that is shown before a key frame may need pictures from before that key frame.
        fit = (int(at) for at in self.starts[:last][::-1] if self.packets.pts[at] <= self.stamps[index])
        return next(fit, 0)

    def expected(self, start: int) -> Iterator[int]:
        """Frames that decoding from a packet on must give, in their order."""
        first = int(np.searchsorted(self.stamps, self.packets.pts[start])) if start else 0
        return (index for index in range(first, self.order.size) if self.order[index] >= start)


def list_frames(path: Path) -> Listing:
    """List the frames of a file.

    Raises:
        RecordingError: it can't be opened, or has no video that can be decoded.
    """
    with AvFile(path) as file:
        packets = list_packets(file)
        delay, base = file.delay_of_avi(), file.stream.time_base or Fraction(1)
    shown = ~packets.hidden
    timed = packets.pts != NEVER
    starts = np.flatnonzero(packets.anew & timed)
    if delay is not None:
        found = np.flatnonzero(shown)
        return Listing(packets, found, _grid(packets.dts[found], delay), base, starts, in_order=True)
    shown &= timed
    shown &= ~_lost_at_the_start(path, packets, shown)
    found = np.flatnonzero(shown)
    order = found[np.argsort(packets.pts[found], kind="stable")]
    return Listing(packets, order, packets.pts[order], base, starts, in_order=False)


def _lost_at_the_start(path: Path, packets: Packets, shown: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which packets come before the first picture that can be decoded, or lead into it and can't be."""
    lost = np.zeros_like(shown)
    keys = np.flatnonzero(packets.keys & (packets.pts != NEVER))
    if not keys.size:
        return lost
    first = int(keys[0])
    doubtful = shown & (packets.pts <= packets.pts[first])
    doubtful[:first] |= shown[:first]
    doubtful[first] &= not packets.anew[first]
    if not doubtful.any():
        return lost
    came = np.zeros_like(shown)
    with AvFile(path) as file:
        for frame in file.pictures(file.packets()):
            came[cast(int, frame.opaque)] = True
            if frame.pts is not None and frame.pts >= packets.pts[first]:
                lost = shown & (packets.pts <= frame.pts) & ~came
                break
        # Any other picture that can't be decoded is damaged: reading it must fail, not skip it. Broadcasts alone are
        # recorded from amid a group of pictures.
        damaged = [n for n in file.failed if packets.pts[n] >= packets.pts[first] or (n < first and not file.broadcast)]
    return np.zeros_like(lost) if damaged else lost


def _grid(decoded_at: NDArray[np.int64], delay: int) -> NDArray[np.int64]:
    """When frames are shown by ffmpeg's rule for AVI: as the frame ``delay`` later in the file is decoded."""
    steps = np.diff(decoded_at)
    step = min(int(steps[-1]), int(np.median(steps))) if steps.size else 1
    after = decoded_at[-1:] + step * np.arange(1, delay + 1)
    return np.concatenate([decoded_at, after])[delay:]
