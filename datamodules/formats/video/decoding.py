"""One pass of PyAV over a file: each picture is proven to be the one that must come."""

from __future__ import annotations

from collections.abc import Iterator

import av

from datamodules.formats.video.av_file import AvFile
from datamodules.formats.video.contract import unreadable
from datamodules.formats.video.listing import Listing
from datamodules.recording import RecordingError


class Pass:
    """A pass; packets between the frames that are asked for are read, but not decoded."""

    def __init__(self, file: AvFile, listing: Listing) -> None:
        self._file, self._listing = file, listing
        self._packets = file.packets()
        self._fed = -1  # the last packet that was decoded
        self._frames: Iterator[tuple[int, av.VideoFrame]] = iter(())

    def frame(self, index: int) -> av.VideoFrame:
        """One frame; each call asks for a later one.

        Raises:
            RecordingError: the decoder gives another picture, a damaged one, or none.
        """
        start = self._listing.start_of(index)
        if start > self._fed:
            self._frames = self._from(start)
        for i, frame in self._frames:
            if i == index:
                return frame
        raise self.fault(index, self._file.cause or "the file ends before it")

    def fault(self, index: int, cause: str) -> RecordingError:
        """The error of one frame."""
        file, times = self._file, self._listing.times()
        what = f"frame {index} of {times.size} ({times[index]:.2f} s) can't be decoded: {cause}"
        return unreadable(file.path, file.codec, file.container, what)

    def _from(self, start: int) -> Iterator[tuple[int, av.VideoFrame]]:
        """Decode from a packet on; the frames, with their indices."""
        listing = self._listing
        expected = listing.expected(start)
        first = listing.packets.pts[start] if start else listing.stamps[0]
        index = next(expected, None)
        for frame in self._file.pictures(self._feed(start)):
            if index is None:
                return
            stamp = int(listing.stamps[index])
            if not listing.in_order and frame.pts != stamp:
                if frame.pts is not None and frame.pts < first:
                    continue  # it leads into the key frame that decoding started from
                came = "without a time" if frame.pts is None else f"of {float(frame.pts * listing.base):.3f} s"
                raise self.fault(index, self._file.cause or f"FFmpeg gives the picture {came} instead")
            if frame.is_corrupt or (listing.in_order and self._file.cause):
                raise self.fault(index, self._file.cause or "its data are damaged")
            yield index, frame
            index = next(expected, None)

    def _feed(self, start: int) -> Iterator[tuple[int, av.Packet[av.VideoStream]]]:
        for number, packet in self._packets:
            if number >= start:
                self._fed = number
                yield number, packet
