"""Camera of a VRS file, whose JPEGs lie between the records of other sensors.

Shape legend: N frames, H height, W width.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from datamodules.formats.frame_fit import fitted
from datamodules.formats.video import FITS
from datamodules.formats.vrs import Records, StreamId, VrsFile
from datamodules.recording import FloatArray, FrameArray, RecordingError
from datamodules.sources.aria.layouts import data_layout

CAMERA_STREAMS: dict[str, StreamId] = {"rgb": (214, 1), "slam_left": (1201, 1), "slam_right": (1201, 2)}
_FIELDS = {"capture_timestamp_ns": ("int64_t", 1)}
_CLOCK_SLACK_S = 1e-6


class VrsCamera:
    """The frames of one camera as a :class:`datamodules.recording.VideoStream`.

    Frame times come from the index. For Project Aria they are the device's times of the middle of the exposure
    (https://facebookresearch.github.io/projectaria_tools, "Timestamps in Aria VRS Files"). Reading a frame compares
    its time in the index with its own stamp.
    """

    def __init__(
        self, vrs: VrsFile, records: Records, camera: str, zero_ns: int, fit: str = "crop", upright: bool = True
    ) -> None:
        """Create the stream; this decodes no frame.

        Args:
            vrs: the file.
            records: records of the camera's frames.
            camera: a key of ``CAMERA_STREAMS``.
            zero_ns: the device's time at the recording's time 0.
            fit: as in ``formats.video.VideoFile``.
            upright: rotate frames by 90 degrees clockwise: the cameras are mounted sideways.

        Raises:
            RecordingError: the times of the frames don't ascend.
        """
        if fit not in FITS:
            raise ValueError(f"fit is '{fit}'; expected one of {', '.join(FITS)}")
        self._vrs, self._records, self._camera, self._zero_ns = vrs, records, camera, zero_ns
        self._fit, self._upright = fit, upright
        # Subtract in ns: after days of operation, the device's times would lose digits in seconds.
        self._times: FloatArray = (np.round(records.times * 1e9) - zero_ns).astype(np.float64) * 1e-9
        if (np.diff(self._times) <= 0).any():
            bad = int(np.argmax(np.diff(self._times) <= 0))
            raise RecordingError(
                f"{self.origin}: the times of frames {bad} and {bad + 1} do not ascend ({self._times[bad]:.6f} and "
                f"{self._times[bad + 1]:.6f} s)"
            )

    @property
    def camera(self) -> str:
        """Name of the camera."""
        return self._camera

    @property
    def origin(self) -> str:
        """The file and the camera's stream in it."""
        stream = CAMERA_STREAMS[self._camera]
        return f"{self._vrs.path}, stream {stream[0]}-{stream[1]}"

    def frame_times(self) -> FloatArray:
        """Return the times of all frames, (N,) seconds on the recording's clock."""
        return self._times

    def read(self, indices: NDArray[np.int64], height: int, width: int) -> Iterator[FrameArray]:
        """Yield the frames of these strictly ascending indices, (height, width, 3) uint8 RGB.

        Raises:
            RecordingError: a frame can't be decoded, or its stamp differs from the index.
        """
        n = self._times.size
        if indices.size and (indices[0] < 0 or indices[-1] >= n or (np.diff(indices) <= 0).any()):
            raise ValueError(f"{self.origin}: indices must ascend within 0 to {n - 1}")
        for index in indices.tolist():
            frame = self._decode(index, height, width)
            if self._upright:
                frame = np.rot90(frame, -1)
            yield fitted(frame, height, width, self._fit)

    def _decode(self, index: int, height: int, width: int) -> FrameArray:
        where = f"{self.origin}, frame {index}"
        stream = CAMERA_STREAMS[self._camera]
        record = self._vrs.record(int(self._records.offsets[index]))
        layout, content = data_layout(
            self._vrs.path, stream, self._vrs.stream_tags.get(stream, {}), record.version, _FIELDS
        )
        if content != "image/jpg":
            raise RecordingError(f"{where}: its content is '{content}'; expected 'image/jpg'")
        if len(record.payload) <= layout.itemsize:
            raise RecordingError(f"{where}: {len(record.payload)} bytes; expected a JPEG behind {layout.itemsize}")
        stamp = int(np.frombuffer(record.payload, layout, 1)["capture_timestamp_ns"][0])
        own = (stamp - self._zero_ns) * 1e-9
        if abs(own - self._times[index]) > _CLOCK_SLACK_S:
            raise RecordingError(
                f"{where}: its own stamp is {own:.6f} s, its time in the index {self._times[index]:.6f} s; "
                "expected the same"
            )
        # Let the decoder skip detail that the target has no pixels for, down to this size.
        least = (width, height) if self._upright else (height, width)
        try:
            image: FrameArray = simplejpeg.decode_jpeg(
                record.payload[layout.itemsize :], "RGB", min_height=2 * least[0], min_width=2 * least[1]
            )
        except ValueError as error:
            raise RecordingError(f"{where}: not a readable JPEG: {error}") from error
        return image
