"""TSDF files: metadata, and the binary files that they describe."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

TOP = {
    "study_id": "made",
    "device_id": "watch",
    "subject_id": "P1",
    "endianness": "little",
    "metadata_version": "0.1",
    "start_iso8601": "2019-10-15T10:39:17.025000+00:00",
    "end_iso8601": "2019-10-15T19:47:31.826000+00:00",
}
ACCELERATION = ["acceleration_x", "acceleration_y", "acceleration_z"]
ROTATION = ["rotation_x", "rotation_y", "rotation_z"]


def described(folder: Path, name: str, values: NDArray[Any], **fields: Any) -> dict[str, Any]:
    """Write a binary file; returns its level of the metadata."""
    (folder / name).write_bytes(values.tobytes())
    kind = {"i": "int", "u": "uint", "f": "float"}[values.dtype.kind]
    rows = len(values)
    return {"file_name": name, "data_type": kind, "bits": 8 * values.dtype.itemsize, "rows": rows} | fields


def write_like_ppp(folder: Path, times_ms: NDArray[Any], raw: NDArray[np.int16], name: str = "IMU") -> Path:
    """As the Personalized Parkinson Project has it: differences of time, and 16 bits a sample in six channels."""
    differences = np.diff(times_ms, prepend=0).astype(np.float32)
    time = described(
        folder, f"{name}_time.bin", differences, channels=["time"], time_encode="difference", units=["ms"],
        scale_factors=[1],
    )  # fmt: skip
    samples = described(
        folder, f"{name}_samples.bin", raw, channels=ACCELERATION + ROTATION, units=["m/s/s"] * 3 + ["deg/s"] * 3,
        scale_factors=[0.00469378] * 3 + [0.06097561] * 3, columns=6,
    )  # fmt: skip
    path = folder / f"{name}_meta.json"
    path.write_text(json.dumps(TOP | {"datasets": [time, samples]}))
    return path
