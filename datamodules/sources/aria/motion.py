"""Motion sensors of Project Aria's VRS files, read in little more memory than their samples take.

Shape legend: N samples.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.bounds import parse_json
from datamodules.formats.vrs import RECORD_HEADER, RECORD_HEADER_FIELDS, Records, StreamId, VrsFile
from datamodules.recording import FloatArray, ImuStream, RecordingError
from datamodules.sources.aria.layouts import data_layout

IMU_STREAMS: dict[str, StreamId] = {"right": (1202, 1), "left": (1202, 2)}
_FIELDS = {
    "accelerometer_valid": ("Bool", 1),
    "gyroscope_valid": ("Bool", 1),
    "capture_timestamp_ns": ("int64_t", 1),
    "accelerometer": ("float", 3),
    "gyroscope": ("float", 3),
}


@dataclass(frozen=True)
class Calibration:
    """Calibration of accelerometer (m/s^2) and gyroscope (rad/s): true = inverse(matrix) (measured - bias)."""

    matrices: tuple[FloatArray, FloatArray]
    biases: tuple[FloatArray, FloatArray]

    def apply(self, values: FloatArray) -> None:
        """Correct values (N, 6) in place."""
        for part, (matrix, bias) in enumerate(zip(self.matrices, self.biases, strict=True)):
            block = values[:, 3 * part : 3 * part + 3]
            block[:] = (block - bias) @ np.linalg.inv(matrix).T


def read_calibration(vrs: VrsFile, side: str) -> Calibration:
    """Read the factory's calibration of one sensor.

    The model is ``LinearRectificationModel3d`` of projectaria_tools.

    Raises:
        RecordingError: the file has no calibration, or one in another form.
    """
    label = f"imu-{side}"
    try:
        sensors = parse_json(vrs.tags["calib_json"])["ImuCalibrations"]
        (mine,) = (sensor for sensor in sensors if sensor["Label"] == label)
        parts = (mine["Accelerometer"], mine["Gyroscope"])
        matrices = [np.array(part["Model"]["RectificationMatrix"], np.float64) for part in parts]
        biases = [np.array(part["Bias"]["Offset"], np.float64) for part in parts]
    except (KeyError, ValueError, TypeError) as error:
        raise RecordingError(
            f"{vrs.path}: its text 'calib_json' has no readable calibration of '{label}' ({error!r}); "
            "set the source's 'calibrated' to false to use uncorrected values"
        ) from error
    for matrix, bias in zip(matrices, biases, strict=True):
        good = matrix.shape == (3, 3) and bias.shape == (3,) and np.isfinite(matrix).all() and np.isfinite(bias).all()
        if not good or not 0.5 < abs(np.linalg.det(matrix)) < 2:
            raise RecordingError(
                f"{vrs.path}: the calibration of '{label}' is {matrix.tolist()}, {bias.tolist()}; expected a 3 x 3 "
                "matrix near the identity and 3 offsets"
            )
    return Calibration((matrices[0], matrices[1]), (biases[0], biases[1]))


def read_imu(
    vrs: VrsFile, records: Records, side: str, placement: str, zero_ns: int, calibration: Calibration | None
) -> ImuStream:
    """Read all samples of one sensor.

    Args:
        vrs: the file.
        records: records of the sensor's samples.
        side: "left" or "right".
        placement: place of the sensor on the body.
        zero_ns: the device's time at the recording's time 0.
        calibration: correction of the values; None keeps them as measured.

    Raises:
        RecordingError: the records differ from the file's description of them.
    """
    stream = IMU_STREAMS[side]
    first = vrs.record(int(records.offsets[0]))
    layout, rest = data_layout(vrs.path, stream, vrs.stream_tags.get(stream, {}), first.version, _FIELDS)
    if rest:
        raise RecordingError(f"{vrs.path}, stream {stream[0]}-{stream[1]}: '{rest}' in samples; expected none")
    size = RECORD_HEADER.size + layout.itemsize
    whole = np.dtype([("header", RECORD_HEADER_FIELDS), ("sample", layout)])
    n = records.offsets.size
    stamps = np.empty(n, np.int64)
    values = np.empty((n, 6))
    at = 0
    for block in vrs.blocks(records.offsets, size):
        rows = block.view(whole)[:, 0]
        _check_headers(vrs, rows["header"], stream, size, first.version, records.offsets[at : at + len(rows)])
        sample, part = rows["sample"], slice(at, at + len(rows))
        stamps[part] = sample["capture_timestamp_ns"]
        for name, columns in (("accelerometer", slice(0, 3)), ("gyroscope", slice(3, 6))):
            values[part, columns] = np.where(sample[f"{name}_valid"][:, None], sample[name], np.nan)
        at += len(rows)
    if calibration is not None:
        calibration.apply(values)
    return ImuStream(
        times=(stamps - zero_ns).astype(np.float64) * 1e-9,
        values=values,
        placement=placement,
        device=f"Project Aria, {side} IMU",
        origin=str(vrs.path),
    )


def first_stamp(vrs: VrsFile, records: Records, stream: StreamId) -> int:
    """Return the time of the first sample, ns on the device's clock."""
    record = vrs.record(int(records.offsets[0]))
    layout, _ = data_layout(vrs.path, stream, vrs.stream_tags.get(stream, {}), record.version, _FIELDS)
    if len(record.payload) < layout.itemsize:
        raise RecordingError(
            f"{vrs.path}, stream {stream[0]}-{stream[1]}: its first sample has {len(record.payload)} bytes; expected "
            f"{layout.itemsize}"
        )
    return int(np.frombuffer(record.payload, layout, 1)["capture_timestamp_ns"][0])


def _check_headers(
    vrs: VrsFile,
    headers: NDArray[np.void],
    stream: StreamId,
    size: int,
    version: int,
    offsets: NDArray[np.int64],
) -> None:
    good = (
        (headers["size"] == size)
        & (headers["version"] == version)
        & (headers["compression"] == 0)
        & (headers["type"] == stream[0])
        & (headers["instance"] == stream[1])
    )
    if not good.all():
        bad = int(np.argmin(good))
        found = ", ".join(
            f"{name} {headers[name][bad]}" for name in ("type", "instance", "size", "version", "compression")
        )
        raise RecordingError(
            f"{vrs.path}: the record at byte {offsets[bad]} has {found}; expected type {stream[0]}, instance "
            f"{stream[1]}, size {size}, version {version}, compression 0"
        )
