"""Packets of a video stream, listed without decoding them.

Shape legend: P packets in the order of the file.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datamodules.formats.video.av_file import AvFile

NEVER = np.iinfo(np.int64).min  # the time of a packet without one
_VP8_SHOWN = 0x10  # bit of a VP8 frame's first byte
_H264_PICTURES = range(1, 6)
_H264_ANEW = 5


@dataclass(frozen=True)
class Packets:
    """The packets of a video stream.

    Attributes:
        pts: (P,) when each packet's picture is shown, in ticks of the stream; ``NEVER`` if that is not said.
        dts: (P,) likewise, when it is decoded.
        keys: (P,) bool, a key frame.
        anew: (P,) bool, a key frame that decoding can start from.
        hidden: (P,) bool, decoded but not shown: edit lists say so, or the codec.
    """

    pts: NDArray[np.int64]
    dts: NDArray[np.int64]
    keys: NDArray[np.bool_]
    anew: NDArray[np.bool_]
    hidden: NDArray[np.bool_]


def list_packets(file: AvFile) -> Packets:
    """Read all packets of a file once."""
    rows = array("q")  # a day's packets as objects would take gigabytes
    vp8, h264 = file.codec == "VP8", file.codec == "H.264"
    extradata = file.context.extradata or b""
    for _, packet in file.packets():
        key = packet.is_keyframe
        hidden = packet.is_discard or (vp8 and not bytes(packet)[0] & _VP8_SHOWN)
        anew = key and (not h264 or _starts_anew(bytes(packet), extradata))
        pts, dts = (NEVER if value is None else value for value in (packet.pts, packet.dts))
        rows.extend((pts, dts, key, anew, hidden))
    columns = np.array(rows, np.int64).reshape(-1, 5).T
    return Packets(columns[0], columns[1], *(column.astype(np.bool_) for column in columns[2:]))


def _starts_anew(packet: bytes, extradata: bytes) -> bool:
    """Tell whether an H.264 key frame is an IDR picture: others may need pictures from before it."""
    kinds = (head & 31 for head in _unit_heads(packet, extradata))
    return next((kind for kind in kinds if kind in _H264_PICTURES), None) == _H264_ANEW


def _unit_heads(packet: bytes, extradata: bytes) -> Iterator[int]:
    """First byte of each unit (NAL) of a packet: with lengths as in MP4, or start codes as in TS."""
    if extradata[:1] == b"\x01" and len(extradata) > 4:
        width, at = (extradata[4] & 3) + 1, 0
        while at + width < len(packet):
            yield packet[at + width]
            at += width + int.from_bytes(packet[at : at + width], "big")
    else:
        at = packet.find(b"\0\0\1")
        while 0 <= at < len(packet) - 3:
            yield packet[at + 3]
            at = packet.find(b"\0\0\1", at + 3)
