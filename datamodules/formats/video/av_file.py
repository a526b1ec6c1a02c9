"""A video file opened with PyAV: one of its video streams, and the errors of FFmpeg as errors that name the file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import cast

import av
from av.codec.context import Flags
from av.stream import Disposition

from datamodules.formats import mp4
from datamodules.formats.video.contract import unreadable

# As ffmpeg chooses among several video streams: by the pixels of a picture, and a default stream before others.
_DEFAULT_IS_WORTH = 5_000_000
_CONTAINERS = {"mov": "MP4/MOV", "matroska": "Matroska/WebM", "mpegts": "MPEG-TS", "mpeg": "MPEG-PS", "avi": "AVI"}
_CODECS = {"h264": "H.264", "hevc": "HEVC", "libdav1d": "AV1", "mpeg2video": "MPEG-2", "mpeg4": "MPEG-4 part 2"}


class AvFile:
    """Open while it is used as a context.

    Attributes:
        path: the file.
        stream: the video that ffmpeg would show.
        codec, container: their names, for messages.
        broadcast: it is a container of broadcasts, which may be joined at any time.
        failed: numbers of the packets that could not be decoded.
        cause: why the last of them could not.
    """

    def __init__(self, path: Path) -> None:
        """Open a file.

        Raises:
            RecordingError: FFmpeg can't open it, or there is no video that it can decode.
        """
        self.path, self.cause = path, ""
        self.failed: list[int] = []
        self.codec, self.container = "video", f"a file '{path.suffix}'"
        try:
            self._container = av.open(str(path))
        except (av.FFmpegError, ValueError) as error:
            raise unreadable(path, self.codec, self.container, f"FFmpeg can't open it: {error}") from error
        name = self._container.format.name.split(",")[0]
        self.container = _CONTAINERS.get(name, self._container.format.long_name)
        self.broadcast = name in ("mpegts", "mpeg")
        streams = list(self._container.streams.video)
        if not streams:
            self._container.close()
            raise unreadable(path, self.codec, self.container, "no video track in it")
        self.stream = max(streams, key=_worth)
        if self.stream.codec_context is None:
            self._container.close()
            raise unreadable(path, "an unknown codec", self.container, "FFmpeg has no decoder for it")
        self.context = self.stream.codec_context
        self.codec = _CODECS.get(self.context.name, self.context.name.upper())
        self.context.thread_count = 1
        # Else damaged pictures are mended in silence.
        self.context.options = {"err_detect": "explode"}
        self.context.flags |= Flags.copy_opaque

    def __enter__(self) -> AvFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._container.close()

    def packets(self) -> Iterator[tuple[int, av.Packet[av.VideoStream]]]:
        """The packets of the stream in the order of the file, numbered.

        Raises:
            RecordingError: the file can't be read on.
        """
        try:
            filled = (packet for packet in self._container.demux(self.stream) if packet.size)
            # There is an empty one at the end, and where AVI repeats a picture.
            yield from enumerate(filled)
        except av.FFmpegError as error:
            raise unreadable(self.path, self.codec, self.container, f"its packets can't be read: {error}") from error

    def pictures(self, packets: Iterator[tuple[int, av.Packet[av.VideoStream]]]) -> Iterator[av.VideoFrame]:
        """Decode numbered packets, all on from a key frame; ``frame.opaque`` is the number.

        What can't be decoded gives no picture; ``failed`` then says which packets, and ``cause`` why.
        """
        self.context.flush_buffers()
        self.cause = ""
        self.failed.clear()
        for number, packet in packets:
            packet.opaque = number
            yield from self._decoded(packet)
        yield from self._decoded(None)

    def _decoded(self, packet: av.Packet[av.VideoStream] | None) -> list[av.VideoFrame]:
        try:
            return self.context.decode(packet)
        except av.FFmpegError as error:
            self.cause = f"FFmpeg says '{error.strerror}'"
            if packet is not None:
                self.failed.append(cast(int, packet.opaque))
            return []

    def delay_of_avi(self) -> int | None:
        """By how many frames the decoder is late, where the container has times of decoding alone.

        Returns:
            None where the container says when frames are shown.
        """
        return self.context.reorder_depth if self.container == "AVI" and self.codec in ("H.264", "HEVC") else None

    def stated_s(self, movie: mp4.Movie | None) -> float | None:
        """When the video must end, by the container; None if it does not say, or lists all frames up to then."""
        if movie is not None:
            track = next((track for track in movie.tracks if track.number == self.stream.id), None)
            return mp4.end_to_reach(self.path, track) if track else None
        said = re.fullmatch(r"(\d+):(\d+):([\d.]+)", self.stream.metadata.get("DURATION", ""))
        if said:
            return int(said[1]) * 3600 + int(said[2]) * 60 + float(said[3])
        if self.container == "AVI" and self.stream.duration and self.stream.time_base:
            return float(self.stream.duration * self.stream.time_base)
        return None


def _worth(stream: av.VideoStream) -> int:
    if stream.disposition & Disposition.attached_pic or stream.codec_context is None:
        return 1
    pixels = stream.codec_context.width * stream.codec_context.height
    return pixels + _DEFAULT_IS_WORTH * bool(stream.disposition & Disposition.default) + 2
