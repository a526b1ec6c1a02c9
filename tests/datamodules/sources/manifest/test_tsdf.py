"""TSDF files through the manifest: every number format, times in every encoding, inheritance, hostile metadata."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.made_motion import make_track
from helpers.made_tsdf import ACCELERATION, ROTATION, TOP, described, write_like_ppp

from datamodules.build.run import build
from datamodules.formats.tsdf import read_metadata
from datamodules.recording import RecordingError
from datamodules.shards.shard_file import open_shard
from datamodules.signal import DEGREE
from datamodules.sources.manifest.motion import Motion, read_motion
from datamodules.sources.manifest.spec import (
    AccelerationSpec,
    CsvSpec,
    GyroscopeSpec,
    ImuSpec,
    SensorSpec,
    TimeSpec,
    TsdfSpec,
)
from datamodules.windows.cut import WindowSettings
from experiments.check_import import run

XYZ = ["x", "y", "z"]
SPEC = ImuSpec("x", {"wrist": SensorSpec(AccelerationSpec(list(XYZ), "m/s^2"))}, TimeSpec("time", "ms"))
PPP = SensorSpec(AccelerationSpec(list(ACCELERATION), "m/s^2"), GyroscopeSpec(list(ROTATION), "deg/s"))
START = 1571135957.025  # 2019-10-15T10:39:17.025Z


def write(folder: Path, files: list[dict[str, Any]], **top: Any) -> Path:
    path = folder / "a_meta.json"
    path.write_text(json.dumps(TOP | top | {"sensors": files}))
    return path


def write_numbers(folder: Path, samples: str, times: str = "<i4", **top: Any) -> tuple[Path, np.ndarray]:
    values = np.array([[0, 1, -2], [3, -4, 100], [5, 6, 7], [-8, 9, 10]])
    time = described(folder, "t.bin", np.array([0, 10, 20, 30], times), channels=["time"], units=["relative_ms"])
    part = described(folder, "v.bin", values.astype(samples), channels=XYZ, units=["m/s/s"] * 3)
    return write(folder, [time, part], **top), values


@pytest.mark.parametrize("kind", ["i1", "i2", "i4", "i8", "f2", "f4", "f8"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_every_format_of_numbers(tmp_path: Path, kind: str, order: str) -> None:
    endianness = "little" if order == "<" else "big"
    path, values = write_numbers(tmp_path, order + kind, order + "i4", endianness=endianness)
    motion = read_motion(path, SPEC)
    np.testing.assert_array_equal(motion.values["wrist"][:, :3], values)
    np.testing.assert_allclose(motion.times, [0, 0.01, 0.02, 0.03], rtol=1e-15)  # a unit's scale rounds the last bit
    assert motion.notes == ()


def made_ppp(folder: Path, seconds: float = 60.0) -> tuple[np.ndarray, np.ndarray]:
    """Times in ms and raw values of a moving watch at 100 Hz."""
    track = make_track(1, seconds, 100.0)
    scale = np.array([0.00469378] * 3 + [0.06097561 * DEGREE] * 3)
    raw = np.round(track / scale).astype(np.int16)
    times = np.arange(len(raw)) * 10
    write_like_ppp(folder, times, raw)
    return times, raw


def test_as_the_personalized_parkinson_project_has_it(tmp_path: Path) -> None:
    times, raw = made_ppp(tmp_path)
    spec = replace(SPEC, sensors={"wrist": PPP})
    motion = read_motion(tmp_path / "IMU_meta.json", spec)
    # float64 of the same products: a unit's scale rounds the last bits.
    np.testing.assert_allclose(motion.times, times / 1000, rtol=1e-12)
    np.testing.assert_allclose(motion.values["wrist"][:, :3], raw[:, :3] * 0.00469378, rtol=1e-12)
    np.testing.assert_allclose(motion.values["wrist"][:, 3:], raw[:, 3:] * 0.06097561 * DEGREE, rtol=1e-12)
    assert motion.notes == ()
    dated = read_motion(tmp_path / "IMU_meta.json", replace(spec, time=TimeSpec("time", "iso8601")))
    np.testing.assert_allclose(dated.times, START + times / 1000, atol=1e-6)  # a double keeps dates to 0.24 us
    assert dated.offsets == {True}


def test_a_manifest_reads_it_into_shards(tmp_path: Path) -> None:
    folder = tmp_path / "imu"
    folder.mkdir()
    _, raw = made_ppp(folder)
    manifest = tmp_path / "manifest.yaml"
    manifest.write_text(
        """
groups:
  clinic:
    subject: P1
    zero: first_sample
    imu:
      - files: imu/{name}_meta.json
        time: {column: time, unit: iso8601}
        sensors:
          right_wrist:
            acceleration: {columns: [acceleration_x, acceleration_y, acceleration_z], unit: m/s^2}
            gyroscope: {columns: [rotation_x, rotation_y, rotation_z], unit: deg/s}
"""
    )
    lines, remarks = run(manifest)
    assert any("6000 samples at 100 Hz" in line for line in lines)
    assert not [remark.text for remark in remarks if "match no pattern" in remark.text or "metadata" in remark.text]
    settings = WindowSettings(frames=0, imu_rate_hz=100.0)
    report = build("manifest", {"path": str(manifest)}, tmp_path / "shards", settings, camera="", workers=1)
    assert report.index.n_windows == 12
    (entry,) = report.index.shards
    stored = open_shard(tmp_path / "shards" / entry.file).array("imu").reshape(-1, 6)
    expected = raw * np.array([0.00469378] * 3 + [0.06097561 * DEGREE] * 3)
    np.testing.assert_allclose(stored, expected, rtol=1e-4, atol=1e-3)  # the shard's float32, resampled by dates


@pytest.mark.parametrize(
    ("unit", "encode", "stored"),
    [
        ("difference_ms", None, [5, 10, 10, 20]),
        ("ms", "difference", [5, 10, 10, 20]),
        ("relative_ms", None, [5, 15, 25, 45]),
        ("time_relative_ms", None, [5, 15, 25, 45]),
        ("absolute_ms", None, [1571135957030, 1571135957040, 1571135957050, 1571135957070]),
        ("relative_s", None, [0.005, 0.015, 0.025, 0.045]),
        ("us", "relative", [5000, 15000, 25000, 45000]),
    ],
)
def test_times_in_every_encoding(tmp_path: Path, unit: str, encode: str | None, stored: list[float]) -> None:
    said = {} if encode is None else {"time_encode": encode}
    time = described(tmp_path, "t.bin", np.array(stored, np.float64), channels=["time"], units=[unit], **said)
    values = described(tmp_path, "v.bin", np.eye(4, 3, dtype=np.float32), channels=XYZ, units=["m/s^2"] * 3)
    path = write(tmp_path, [time, values])
    motion = read_motion(path, replace(SPEC, time=TimeSpec("time", "iso8601")))
    np.testing.assert_allclose(motion.times - START, [0.005, 0.015, 0.025, 0.045], atol=1e-6)  # see above
    if unit.endswith("ms") and "absolute" not in unit:
        np.testing.assert_allclose(read_motion(path, SPEC).times, [0.005, 0.015, 0.025, 0.045], rtol=1e-12)


def test_differences_add_up_over_batches(tmp_path: Path) -> None:
    n = 200_001  # three batches and a bit
    time = described(tmp_path, "t.bin", np.full(n, 10, "<i1"), channels=["time"], units=["difference_ms"])
    values = described(tmp_path, "v.bin", make_track(0, n / 100, 100.0)[:, :3], channels=XYZ, units=["m/s^2"] * 3)
    motion = read_motion(write(tmp_path, [time, values]), SPEC)
    np.testing.assert_allclose(motion.times, 0.01 * np.arange(1, n + 1), rtol=1e-12)


def test_what_nothing_says_is_asked_for(tmp_path: Path) -> None:
    time = described(tmp_path, "t.bin", np.arange(4.0) * 10, channels=["time"], units=["ms"])
    values = described(tmp_path, "v.bin", np.ones((4, 3)), channels=XYZ, units=["g"] * 3, scale_factors=[0.5] * 3)
    path = write(tmp_path, [time, values])
    dated = replace(SPEC, time=TimeSpec("time", "iso8601"))
    with pytest.raises(RecordingError, match=r"channel 'x' .* scale factor of 0.5.* set tsdf.scale_factors"):
        read_motion(path, SPEC)
    with pytest.raises(RecordingError, match=r"nothing says what channel 'time' counts from.*tsdf.time"):
        read_motion(path, replace(dated, tsdf=TsdfSpec("apply")))
    for choice, expected in (("apply", 0.5), ("ignore", 1.0)):
        motion = read_motion(path, replace(dated, tsdf=TsdfSpec(choice, "relative")))
        np.testing.assert_array_equal(motion.values["wrist"][:, :3], expected)
        assert motion.times[1] == pytest.approx(START + 0.01, abs=1e-6)
    # The metadata say g, the manifest m/s^2: the manifest is taken, and both are said.
    assert [note for note in motion.notes if "'x'" in note and "in g by" in note and "m/s^2 by the manifest" in note]


def test_levels_inherit_and_sensors_keep_their_own_rows(tmp_path: Path) -> None:
    fast, slow = make_track(1, 2.0, 100.0)[:, :3], make_track(2, 2.0, 50.0)[:, :3]
    levels = []
    for name, values, step in (("t1", fast, 10), ("t2", slow, 20)):
        time = described(tmp_path, f"time_{name}.bin", np.arange(len(values)) * step, channels=["time"], units=["ms"])
        part = described(tmp_path, f"{name}.bin", values, channels=XYZ, units=["m/s/s"] * 3)
        for entry in (time, part):
            del entry["rows"], entry["bits"]
        levels.append({"rows": len(values), "bits": 64, "sensors": [time, part]})
    path = write(tmp_path, levels)
    assert [file.rows for file in read_metadata(path)] == [200, 200, 100, 100]
    columns: list[str | int] = [f"t2.bin:{axis}" for axis in XYZ]
    sensor = SensorSpec(AccelerationSpec(columns, "m/s^2"))
    spec = ImuSpec("x", {"wrist": sensor}, TimeSpec("time_t2.bin:time", "ms"))
    np.testing.assert_array_equal(read_motion(path, spec).values["wrist"][:, :3], slow)
    with pytest.raises(RecordingError, match=r"no column 'time'.*time_t1.bin:time, t1.bin:x"):
        read_motion(path, SPEC)
    with pytest.raises(RecordingError, match=r"time_t1.bin has 200 rows, t2.bin 100.*an entry for each clock"):
        read_motion(path, replace(spec, time=TimeSpec("time_t1.bin:time", "ms")))


def test_names_of_its_forerunner(tmp_path: Path) -> None:
    path, values = write_numbers(tmp_path, "<i2")
    content = json.loads(path.read_text())
    content["start_datetime_iso8601"] = content.pop("start_iso8601")
    for entry in content["sensors"]:
        entry["quantities"], entry["datatype"] = entry.pop("channels"), entry.pop("data_type")
    content["sensors"][0] |= {"quantities": "time", "units": "ms"}
    path.write_text(json.dumps(content))
    np.testing.assert_array_equal(read_motion(path, SPEC).values["wrist"][:, :3], values)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"file_name": "../v.bin"}, "file_name is '../v.bin'; expected the name of a file in the same folder"),
        ({"file_name": "/etc/passwd"}, "file_name is '/etc/passwd'"),
        ({"file_name": ".."}, "file_name"),
        ({"file_name": "C:v.bin"}, "file_name"),
        ({"file_name": 7}, "file_name"),
        ({"file_name": "gone.bin"}, "gone.bin: not there, though a_meta.json names it"),
        ({"rows": 10**15}, "rows"),
        ({"rows": 2**40}, "24 bytes; expected 6597069766656"),
        ({"rows": 3}, "24 bytes; expected 18"),
        ({"rows": 5}, "24 bytes; expected 30"),
        ({"rows": -1}, "rows"),
        ({"rows": "4"}, "rows"),
        ({"bits": 12}, "bits of file 'v.bin' is '12'; expected one of 8, 16, 32, 64 for int"),
        ({"data_type": "object"}, "data_type"),
        ({"data_type": "float", "bits": 8}, "bits"),
        ({"endianness": "middle"}, "endianness"),
        ({"endianness": "not applicable"}, "endianness"),
        ({"channels": []}, "channels"),
        ({"channels": ["x", "y"]}, "units of file 'v.bin'"),
        ({"columns": 4}, "columns"),
        ({"scale_factors": [1, 1]}, "scale_factors"),
        ({"scale_factors": [1, 1, float("inf")]}, "scale_factors"),
        ({"metadata_version": "2.0"}, "metadata_version"),
        ({"time_encode": "sideways"}, "time_encode"),
    ],
)
def test_metadata_that_lie_are_refused_before_anything_is_read(
    tmp_path: Path, change: dict[str, Any], says: str
) -> None:
    path, _ = write_numbers(tmp_path, "<i2")
    content = json.loads(path.read_text())
    content["sensors"][1] |= change
    path.write_text(json.dumps(content))
    with pytest.raises(RecordingError) as error:
        read_motion(path, SPEC)
    assert says in str(error.value)
    assert str(path.parent) in str(error.value)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "no JSON"),
        (b"[1]", "found a list"),
        (b"{}", "no 'file_name'"),
        (b"\xff\xfe{}", "no JSON"),
        (b'{"a":' * 50_000, "no JSON"),
        (b'{"a": ' * 30 + b'{"file_name": "v.bin"}' + b"}" * 30, "20 levels"),
        (b" " * (5 << 20), "bytes; expected TSDF metadata"),
    ],
)
def test_other_json_is_refused(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "a_meta.json"
    path.write_bytes(content)
    with pytest.raises(RecordingError, match=says):
        read_motion(path, SPEC)


def test_a_rate_needs_no_file_of_times(tmp_path: Path) -> None:
    values = make_track(0, 2.0, 100.0)[:, :3]
    path = write(tmp_path, [described(tmp_path, "v.bin", values, channels=XYZ, units=["m/s^2"] * 3)])
    motion: Motion = read_motion(path, replace(SPEC, time=TimeSpec(rate_hz=100.0), csv=CsvSpec()))
    np.testing.assert_array_equal(motion.values["wrist"][:, :3], values)
    assert motion.times[1] == 0.01
