"""docs/guides/manifests.md: each manifest reads files in the publisher's layout, to the value."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from datamodules.build.run import build
from datamodules.recording import FloatArray, Recording, RecordingError
from datamodules.shards.reader import ShardSet
from datamodules.signal import DEGREE, G
from datamodules.sources.manifest import Manifest, ManifestParams
from datamodules.windows.cut import WindowSettings
from experiments import check_import

Array = NDArray[Any]

ROOT = Path(__file__).resolve().parents[4]
PAGE = (ROOT / "docs" / "guides" / "manifests.md").read_text(encoding="utf-8")
MANIFESTS = dict(re.findall(r"```yaml\n# (\S+)/manifest\.yaml\n(.*?)```", PAGE, re.DOTALL))


def moved(times: Array, axis: int = 0) -> FloatArray:
    """(N, 6) in m/s^2 and rad/s: turned about x, y or z and back again, with gravity; nearly still in between."""
    t = times - times[0]
    bump = np.exp(-((t - 7) ** 2))
    angle, rate = 0.3 + bump, -2 * (t - 7) * bump
    # No axis of a real sensor stands still.
    values = np.stack([0.02 * np.sin((1 + i / 7) * t + i) for i in range(6)], axis=1)
    # What is fixed in the world turns the other way as the sensor sees it.
    values[:, (axis + 1) % 3] += G * np.sin(angle)
    values[:, (axis + 2) % 3] += G * np.cos(angle)
    values[:, 3 + axis] += rate
    return values


def scaled(values: FloatArray) -> FloatArray:
    """In g and deg/s."""
    return values / np.array([G] * 3 + [DEGREE] * 3)


def rows_of(*columns: Array, separator: str = ",") -> list[str]:
    """Lines of a table; whole numbers as such, others to nine decimals."""
    table = np.column_stack(columns)
    return [separator.join(f"{v:.0f}" if v == round(v) else f"{v:.9f}" for v in row) for row in table]


def write(path: Path, lines: Sequence[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


def write_manifest(folder: Path, name: str) -> Path:
    path = folder / "manifest.yaml"
    path.write_text(MANIFESTS[name])
    return path


def load(manifest: Path, name: str) -> Recording:
    return Manifest(ManifestParams(str(manifest))).load(name)


def spans(recording: Recording) -> list[tuple[float, float, str]]:
    return [(round(i.start, 3), round(i.end, 3), i.activity) for i in recording.activities]


def check_shards(
    manifest: Path, placement: str, rate_hz: float, axes: dict[str, int], atol: float = 1e-5
) -> dict[str, list[str]]:
    """Build shards, and compare each sample with what was written; returns each recording's labels.

    Args:
        manifest: the study.
        placement: of the sensor.
        rate_hz: of the windows; the files' own, so that nothing is interpolated.
        axes: recording -> the axis about which its sensor was turned.
        atol: float32 resolves 1e-6 at 10 m/s^2, and files have nine decimals.
    """
    settings = WindowSettings(duration_s=3.0, stride_s=3.0, imu_rate_hz=rate_hz, frames=0)
    folder = manifest.parent / f"shards_{placement}"
    build("manifest", {"path": str(manifest)}, folder, settings, placement, None, workers=1)
    shards = ShardSet.open(folder)
    imu, samples, channels = shards.imu(np.arange(len(shards)))
    labels: dict[str, list[str]] = {}
    for name, axis in axes.items():
        mine = np.flatnonzero(shards.table["recording"] == name)
        labels[name] = [str(shards.table["activity"][i]) for i in mine]
        begin = load(manifest, name).imu(placement).times[0]
        for window in mine:
            at = shards.start_s[window] + np.arange(settings.samples) / rate_hz
            # ``moved`` counts from the first of the times that it gets.
            expected = moved(np.concatenate([[begin], at]), axis)[1:]
            assert samples[window].all()
            assert channels[window].all()
            np.testing.assert_allclose(imu[window], expected, atol=atol)
    return labels


@pytest.mark.parametrize("name", MANIFESTS)
def test_every_manifest_is_short(name: str) -> None:
    assert len(MANIFESTS[name].splitlines()) < 30


def test_mobiact(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    header = "timestamp,rel_time,acc_x,acc_y,acc_z,gyro_x,gyro_y,gyro_z,azimuth,pitch,roll,label"
    times: FloatArray = np.arange(2400, dtype=np.float64) * 0.005
    falls = {"BSC_1_1": 0, "WAL_2_1": 1}
    for name, axis in falls.items():
        code = name[:3]
        at = 1_862_310_000_000 + np.arange(2400) * 5_000_000
        lines = rows_of(at, times, moved(times, axis), np.tile([12.5, -3.25, 80.0], (2400, 1)))
        labels = ["STD" if t < 3 else code if t < 6 or code == "WAL" else "LYI" for t in times]
        rows = [f"{line},{label}" for line, label in zip(lines, labels, strict=True)]
        write(tmp_path / "Annotated Data" / code / f"{name}_annotated.csv", [header, *rows])
    manifest = write_manifest(tmp_path, "MobiAct_Dataset_v2.0")
    assert check_import.main([str(manifest)]) == 0, capsys.readouterr().out
    fall = load(manifest, "BSC_1_1")
    assert fall.subject == "1"
    np.testing.assert_allclose(fall.imu("pocket").values, moved(times, 0), atol=1e-8)
    np.testing.assert_allclose(fall.imu("pocket").times, times, atol=1e-9)
    assert spans(fall) == [(0.0, 3.0, "standing"), (3.0, 6.0, "fall"), (6.0, 12.0, "lying")]
    assert check_shards(manifest, "pocket", 200.0, falls) == {
        "BSC_1_1": ["standing", "fall", "lying", "lying"],
        "WAL_2_1": ["standing", "walking", "walking", "walking"],
    }


def mobifall_lines(kind: str, times: Array, values: Array) -> list[str]:
    about = {
        "acc": ["#Acceleration force along the x y z axes (including gravity).", "#timestamp(ns),x,y,z(m/s^2)"],
        "gyro": ["#Rate of rotation around the x y z axes (Angular velocity).", "#timestamp(ns),x,y,z(rad/s)"],
    }
    person = [
        "#Datetime: 03/07/2013 14:17:59", "#" * 42, "#Activity: 2 - WAL - Walking - 5m", "#Subject ID: 10",
        "#First Name: sub10", "#Last Name: sub10", "#Age: 26", "#Height(cm): 170", "#Weight(kg): 90", "#Gender: Female",
        "#" * 42, "", "", "@DATA",
    ]  # fmt: skip
    stamps = 3_478_899_859_000 + np.round(times * 1e6) * 1000
    return [*about[kind], *person, *rows_of(stamps, values, separator=", ")]


def test_mobifall(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trials = {"10_ADL_WAL_1": 0, "31_FALLS_BSC_2": 2}
    times: FloatArray = np.arange(2401, dtype=np.float64) * 0.005
    for name, axis in trials.items():
        subject, kind, code, trial = name.split("_")
        folder = tmp_path / f"sub{subject}" / kind / code
        values = moved(times, axis)
        write(folder / f"{code}_acc_{subject}_{trial}.txt", mobifall_lines("acc", times[::2], values[::2, :3]))
        write(folder / f"{code}_gyro_{subject}_{trial}.txt", mobifall_lines("gyro", times, values[:, 3:]))
        write(folder / f"{code}_ori_{subject}_{trial}.txt", mobifall_lines("gyro", times, values[:, 3:]))
    (tmp_path / "Readme.txt").write_text("MobiFall\n")
    manifest = write_manifest(tmp_path, "MobiFall_Dataset_v2.0")
    assert check_import.main([str(manifest)]) == 0, capsys.readouterr().out
    walk = load(manifest, "10_ADL_WAL_1")
    assert walk.subject == "10"
    (stream,) = walk.imus
    np.testing.assert_allclose(stream.times, times, atol=1e-8)
    np.testing.assert_allclose(stream.values[::2], moved(times, 0)[::2], atol=1e-8)  # where both were measured
    # Between two samples of the accelerometer lies a spline: of this movement, 1e-5 m/s^2 off.
    assert check_shards(manifest, "pocket", 200.0, trials, atol=1e-4) == {
        "10_ADL_WAL_1": ["walking"] * 4,
        "31_FALLS_BSC_2": ["fall_trial"] * 4,
    }


def umafall_lines(places: dict[int, int], samples: int = 240) -> list[str]:
    """Lines of a trial, sensor behind sensor, as they are published; ``places``: sensor -> axis of its turning."""
    header = [
        "% Universidad de Malaga - ETSI de Telecomunicacion (Spain)", "% Type of Movement: ADL", "%",
        "%f8:95:c7:f3:ba:82; 0; RIGHTPOCKET; lge-LG-H815-5.1", "%C4:BE:84:70:64:8A; 1; CHEST; SensorTag",
        "%C4:BE:84:71:A5:02; 2; WAIST; SensorTag", "%C4:BE:84:70:0E:80; 3; WRIST; SensorTag",
        "%B0:B4:48:B8:77:03; 4; ANKLE; SensorTag", "", "% Sensor_Type:", "% Accelerometer = 0", "% Gyroscope = 1",
        "% Magnetometer = 2", "", "% TimeStamp; Sample No; X-Axis; Y-Axis; Z-Axis; Sensor Type; Sensor ID",
    ]  # fmt: skip
    phone = np.arange(11)  # the phone's first stamps are the same
    lines = [f"102;{n};-0.13874964;0.88687217;0.33102873;0;0" for n in phone]
    count = np.arange(samples)
    times = 160 + 50 * count
    for sensor, axis in places.items():
        values = scaled(moved(times / 1000, axis))
        for kind, part in ((0, values[:, :3]), (1, values[:, 3:]), (2, values[:, :3] * 40)):
            ends = np.tile([kind, sensor], (samples, 1))
            lines += rows_of(times, count, part, ends, separator=";")
    return [*header, *lines]


@pytest.mark.slow
def test_umafall(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    worn = {"chest": (1, 1), "waist": (2, 0), "wrist": (3, 2), "ankle": (4, 0)}
    everywhere = dict(worn.values())
    some = {1: 1, 2: 0}  # in some trials, sensors are missing
    write(tmp_path / "UMAFall_Subject_01_ADL_Walking_1_2016-06-13_20-27-49.csv", umafall_lines(everywhere))
    write(tmp_path / "UMAFall_Subject_02_Fall_lateralFall_3_2016-06-13_20-50-52.csv", umafall_lines(some))
    write(tmp_path / "UMAFall_Subject_02_ADL_LyingDown_OnABed_1_2016-06-13_20-32-16.csv", umafall_lines(everywhere))
    manifest = write_manifest(tmp_path, "UMAFall_Dataset")
    assert check_import.main([str(manifest)]) == 0, capsys.readouterr().out
    walk, fall = "01_ADL_Walking_1_2016-06-13_20-27-49", "02_Fall_lateralFall_3_2016-06-13_20-50-52"
    lying = "02_ADL_LyingDown_OnABed_1_2016-06-13_20-32-16"
    assert "only rows with '3' in column no. 7 and '1' in column no. 6" in capsys.readouterr().out
    assert [stream.placement for stream in load(manifest, walk).imus] == ["waist", "chest", "wrist", "ankle"]
    assert [stream.placement for stream in load(manifest, fall).imus] == ["waist", "chest"]
    assert {load(manifest, name).subject for name in (fall, lying)} == {"02"}
    expected = {walk: ["walking"] * 4, fall: ["fall_trial"] * 4, lying: ["lying_down"] * 4}
    for placement, (sensor, axis) in worn.items():
        names = [name for name in expected if sensor in some or name != fall]
        found = check_shards(manifest, placement, 20.0, dict.fromkeys(names, axis))
        assert found == {name: expected[name] for name in names}


def test_umafall_without_the_waist_is_left_out_in_words(tmp_path: Path) -> None:
    write(tmp_path / "UMAFall_Subject_03_ADL_Jogging_1_2016-06-13_20-40-29.csv", umafall_lines({1: 0}))
    manifest = write_manifest(tmp_path, "UMAFall_Dataset")
    with pytest.raises(RecordingError, match=r"no row has '2' in column '7' \(there are: 0, 1\) and '0' in column '6'"):
        load(manifest, "03_ADL_Jogging_1_2016-06-13_20-40-29")


def test_openpack(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    header = "unixtime,acc_x,acc_y,acc_z,gyro_x,gyro_y,gyro_z,quat_w,quat_x,quat_y,quat_z"
    count = 434  # 13 s
    begin_ms = 1_634_178_335_000  # 2021-10-14 11:25:35+09:00
    times = begin_ms + 30 * np.arange(count)
    quaternions = np.tile([0.5312, -0.6406, -0.2343, 0.5], (count, 1))
    for subject, session, devices in (("U0105", "S0100", 4), ("U0202", "S0500", 2)):
        for device in range(1, devices + 1):
            values = scaled(moved(times / 1000, device % 3))
            path = tmp_path / subject / "atr" / f"atr0{device}" / f"{session}.csv"
            write(path, [header, *rows_of(times, values, quaternions)])
        rows = [
            f"6e4b,{subject},{session},1,100,Picking,2021-10-14 11:25:35+09:00,"
            '2021-10-14 11:25:41.500000+09:00,"[1, 2]"',
            f"9a01,{subject},{session},1,8100,Null,2021-10-14 11:25:41.500000+09:00,2021-10-14 11:25:44+09:00,[]",
            f"77c2,{subject},{session},1,1000,Fill out Order,2021-10-14 11:25:44+09:00,"
            "2021-10-14 11:25:48.437000+09:00,[]",
        ]
        path = tmp_path / subject / "annotation" / "openpack-operations" / f"{session}.csv"
        write(path, ["uuid,user,session,box,id,operation,start,end,actions", *rows])
    manifest = write_manifest(tmp_path, "openpack/v1.0.0")
    assert check_import.main([str(manifest)]) == 0, capsys.readouterr().out
    said = capsys.readouterr().out
    assert "'U0202' is another name of 'U0105'\n" in said
    assert "'U0203' is another name of 'U0108'; no recording is of either\n" in said
    first, second = load(manifest, "U0105_S0100"), load(manifest, "U0202_S0500")
    assert first.subject == second.subject == "U0105"
    assert [s.placement for s in first.imus] == ["right_wrist", "left_wrist", "right_upper_arm", "left_upper_arm"]
    assert [s.placement for s in second.imus] == ["right_wrist", "left_wrist"]
    assert spans(first) == [(0.0, 6.5, "picking"), (9.0, 13.437, "fill_out_order")]
    labels = ["picking", "picking", "", "fill_out_order"]
    both = {"U0105_S0100": 1, "U0202_S0500": 1}
    assert check_shards(manifest, "right_wrist", 100 / 3, both) == dict.fromkeys(both, labels)
    assert check_shards(manifest, "left_upper_arm", 100 / 3, {"U0105_S0100": 1}) == {"U0105_S0100": labels}
