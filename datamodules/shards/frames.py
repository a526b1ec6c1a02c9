"""Decoding of one stored frame: a JPEG, or plain pixels if ``WindowSettings.jpeg_quality`` is 0."""

from __future__ import annotations

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from datamodules.shards.layout import ShardError


def read_frame(data: NDArray[np.uint8], out: NDArray[np.uint8], raw: bool, where: str) -> None:
    """Decode a frame into ``out`` (H, W, 3) uint8.

    Args:
        data: stored bytes of the frame.
        out: contiguous.
        raw: True if the bytes are plain pixels, False if they are a JPEG.
        where: file, window and frame, for the messages of errors.

    Raises:
        ShardError: the JPEG can't be decoded, or the frame has another size.
    """
    height, width = out.shape[:2]
    if raw:
        if data.size != out.size:
            raise ShardError(f"{where}: {data.size} bytes; expected {height} x {width} x 3 of plain pixels")
        out.reshape(-1)[:] = data
        return
    jpeg = data.tobytes()
    try:
        found = simplejpeg.decode_jpeg_header(jpeg)[:2]
        if found == (height, width):
            simplejpeg.decode_jpeg(jpeg, "RGB", buffer=out)
    except ValueError as error:
        raise ShardError(f"{where}: not a readable JPEG: {error}") from error
    if found != (height, width):
        raise ShardError(f"{where}: {found[0]} x {found[1]} pixels; expected {height} x {width}")
