"""A file in stretches holds what it holds as a whole; what needs the whole file is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from datamodules.recording import RecordingError
from datamodules.sources.manifest.motion import read_motion
from datamodules.sources.manifest.spec import AccelerationSpec, GyroscopeSpec, ImuSpec, SensorSpec, TimeSpec
from datamodules.sources.manifest.streamed import stream_motion

SENSOR = SensorSpec(AccelerationSpec(["ax", "ay", "az"], "g"), GyroscopeSpec(["gx", "gy", "gz"], "deg/s"))
SPEC = ImuSpec("", {"wrist": SENSOR}, TimeSpec("t", "ms", repeated="first"))


def write(path: Path, times: np.ndarray) -> Path:
    values = np.random.default_rng(0).normal(size=(len(times), 6))
    header = "t,ax,ay,az,gx,gy,gz"
    np.savetxt(path, np.column_stack([times, values]), "%.9g", ",", header=header, comments="")
    return path


@pytest.mark.parametrize("rows", [100, 333, 5000])
def test_stretches_join_to_the_whole(tmp_path: Path, rows: int) -> None:
    times = 10.0 * np.arange(2000)
    times[700:] += 5000  # a gap
    times[900] = times[899]  # a stamp that is there twice
    path = write(tmp_path / "r.csv", times)
    whole = read_motion(path, SPEC)
    parts = list(stream_motion(path, SPEC, rows))
    assert len(parts) > 1 or rows == 5000
    np.testing.assert_array_equal(np.concatenate([part.times for part in parts]), whole.times)
    np.testing.assert_array_equal(np.concatenate([part.values for part in parts]), whole.values["wrist"])
    np.testing.assert_array_equal(np.concatenate([part.repeated for part in parts]), whole.repeated)


def test_a_rate_counts_on_over_stretches(tmp_path: Path) -> None:
    path = write(tmp_path / "r.csv", np.zeros(1000))
    spec = ImuSpec("", {"wrist": SENSOR}, TimeSpec(rate_hz=50))
    times = np.concatenate([part.times for part in stream_motion(path, spec, 90)])
    np.testing.assert_allclose(times, np.arange(1000) / 50)


@pytest.mark.parametrize("row", [250, 820])
def test_stamps_that_go_back_are_refused_with_their_place(tmp_path: Path, row: int) -> None:
    times = 10.0 * np.arange(1000)
    times[row:] -= 3000
    path = write(tmp_path / "r.csv", times)
    with pytest.raises(RecordingError, match=rf"line {row + 2}.*ascending stamps.*a manifest"):
        list(stream_motion(path, SPEC, 200))


def test_packets_are_spread_as_in_the_whole(tmp_path: Path) -> None:
    times = 200.0 * (np.arange(2000) // 20)  # twenty samples a packet, stamped on delivery
    path = write(tmp_path / "r.csv", times)
    whole = read_motion(path, SPEC)
    found = np.concatenate([part.times for part in stream_motion(path, SPEC, 500)])
    assert len(found) == len(whole.times)
    # Where a packet's samples lie within it is known to less than a packet.
    np.testing.assert_allclose(found - found[0], whole.times - whole.times[0], atol=0.2)
    assert (np.diff(found) > 0).all()
