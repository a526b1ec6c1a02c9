"""Wrong settings are found, and the likely cause is named; right ones pass."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
from helpers.made_data import make_video

from datamodules.recording import FloatArray, ImuStream
from datamodules.signal import DEGREE, G
from datamodules.sources.manifest.spec import AccelerationSpec, GyroscopeSpec
from datamodules.sources.manifest.units import acceleration_scale
from experiments import check_import
from experiments.reports.manifest.causes import acceleration_cause, gyroscope_cause
from experiments.reports.manifest.motion_facts import measure_motion

MANIFEST = """
groups:
  clinic:
    imu:
      - files: imu/{subject}.csv
        time: {column: t, unit: ms}
        sensors:
          wrist:
            acceleration: {columns: [ax, ay, az], unit: g}
            gyroscope: {columns: [gx, gy, gz], unit: deg/s}
    videos: [{files: "video/{subject}.mp4", camera: phone, optional: true}]
    labels: {files: "labels/{subject}.csv"}
"""


def turning_sensor(seconds: float = 30.0, rate: float = 50.0, seed: int = 0) -> ImuStream:
    """A sensor that is turned about slowly and stands still every other five seconds: only gravity, by exact turns."""
    rng = np.random.default_rng(seed)
    n = round(seconds * rate)
    times = np.arange(n) / rate
    moving = (times // 5) % 2 == 1
    waves = sum(
        rng.normal(size=3) * np.sin(2 * math.pi * f * times[:, None] + rng.uniform(0, 6, 3)) for f in (0.1, 0.23, 0.4)
    )
    spin = np.asarray(waves) * moving[:, None]
    up = np.array([0.1, 0.2, 1.0]) / np.linalg.norm([0.1, 0.2, 1.0])
    ups = np.empty((n, 3))
    for i in range(n):
        ups[i] = up
        size = np.linalg.norm(spin[i])
        if size > 0:  # Rodrigues' rotation of a fixed vector as the sensor sees it: by -spin
            axis, angle = -spin[i] / size, size / rate
            up = (
                up * math.cos(angle) + np.cross(axis, up) * math.sin(angle) + axis * (axis @ up) * (1 - math.cos(angle))
            )
    values = np.concatenate([G * ups + rng.normal(scale=0.02, size=(n, 3)), spin], axis=1)
    return ImuStream(times, values, "wrist")


def write_study(folder: Path, people: tuple[str, ...] = ("P1", "P2"), start_ms: float = 0.0) -> None:
    for name in ("imu", "labels", "video"):
        (folder / name).mkdir(exist_ok=True)
    for seed, person in enumerate(people):
        stream = turning_sensor(seed=seed)
        table = np.column_stack([start_ms + stream.times * 1000, stream.values / ([G] * 3 + [DEGREE] * 3)])
        np.savetxt(folder / "imu" / f"{person}.csv", table, "%.4f", ",", header="t,ax,ay,az,gx,gy,gz", comments="")
        (folder / "labels" / f"{person}.csv").write_text("start,end,activity\n0,20,walking\n20,29,sitting\n")
    (folder / "study.yaml").write_text(MANIFEST)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    write_study(folder)
    make_video(folder / "video" / "P1.mp4", seconds=30, rate=10)
    return folder


def check(path: Path, capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, str]:
    code = check_import.main([str(path), *more])
    return code, "".join(capsys.readouterr())


def changed(good: Path, old: str, new: str) -> Path:
    assert old in MANIFEST
    path = good / "changed.yaml"
    path.write_text(MANIFEST.replace(old, new))
    return path


def test_a_good_study_is_described_drawn_and_passes(good: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = good / "windows.png"
    code, text = check(good / "study.yaml", capsys, "--draw", str(picture))
    assert code == 0, text
    for part in (
        "2 recordings of 2 subjects (P1, P2)",
        "column 't', in milliseconds",
        "acceleration x y z = 'ax' 'ay' 'az' in g; gyroscope x y z = 'gx' 'gy' 'gz' in deg/s",
        "1500 samples at 50 Hz, no gaps; at rest 9.81 m/s^2 (1 g)",
        "camera 'phone': 300 frames at 10 Hz, 0.00 to 30.00 s; 29.98 s with the IMU; decoded by decord (closed groups",
        "note: clinic: P2: without the video of camera 'phone'",
        "walking: 40 s in 2 intervals, 2 subjects",
        "All plausible.",
    ):
        assert part in text
    assert matplotlib.image.imread(picture).shape[0] > 800  # two windows


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("unit: g}", "unit: m/s^2}", r"at rest the acceleration is 1 m/s\^2.*look like g: set unit: g"),
        ("unit: g}", "unit: mg}", "look like g: set unit: g"),
        ("unit: g}", "unit: lsb, per_g: 4096}", "look like g: set unit: g"),
        ("unit: g}", "unit: g, range: 0.5}", "beyond its declared range of 0.5 g"),
        ("unit: deg/s", "unit: rad/s", "look like deg/s"),
        ("unit: deg/s", "unit: lsb, per_deg_s: 16.4", r"gravity turns 16.* times as fast as.*look like deg/s"),
        ("[gx, gy, gz]", "[gz, gx, gy]", "gyroscope's axes don't fit the accelerometer's.*y z x"),
        ("unit: ms", "unit: s", "sensor measured at 0.05 Hz.*look like ms, declared is s"),
        ("unit: ms", "unit: us", r"5e\+04 Hz.*look like ms, declared is us"),
        ("time: {column: t, unit: ms}", "time: {rate_hz: 25}", "at 50 Hz both would be equally long"),
        ('camera: phone', 'camera: phone, start_s: 25', r"camera 'phone' \(25.00 to 55.00 s\) share only 4.98 s"),
        ('{subject}.csv"}', '{subject}.csv", unit: ms}', r"cover only 0.058 s of 60 s: is labels.unit right"),
        ('video/{subject}.mp4', 'video/nobody_{subject}.mp4', ""),
    ],
)  # fmt: skip
def test_a_wrong_setting_and_its_cause(
    good: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, says: str
) -> None:
    code, text = check(changed(good, old, new), capsys)
    assert code == (1 if says else 0), text
    assert re.search(f"PROBLEM: .*({says})", text) if says else "All plausible." in text, text


def test_stamps_since_1970_need_a_zero(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_study(tmp_path, ("P1",), start_ms=1.7e12)
    make_video(tmp_path / "video" / "P1.mp4", seconds=30, rate=10)
    (tmp_path / "labels" / "P1.csv").unlink()
    path = changed(tmp_path, '    labels: {files: "labels/{subject}.csv"}\n', "")
    code, text = check(path, capsys)
    assert code == 1
    assert "the IMU's stamps count from 1970: set 'zero'" in text
    path.write_text(path.read_text() + "    zero: first_sample\n")
    assert check(path, capsys)[0] == 0


def test_what_can_not_be_read_is_a_problem_and_the_rest_is_still_checked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_study(tmp_path, ("P1", "P2"))
    (tmp_path / "imu" / "P1.csv").write_text("t,ax,ay,az,gx,gy,gz\n0,0,zero,1,0,0,0\n")
    (tmp_path / "video" / "P9.mp4").write_bytes(b"")
    (tmp_path / "labels" / "P2.csv").write_text("start,end,activity\n0,20,walking\n20,29,Walking\n")
    code, text = check(tmp_path / "study.yaml", capsys)
    assert code == 1
    assert "P1 (P1): can't be used" in text
    assert "PROBLEM: " + str(tmp_path / "imu" / "P1.csv") + ", line 2, column 'ay'" in text
    assert "P9.mp4 belongs to no IMU file; if that is right, set 'orphans: allow'" in text
    assert "the activities 'Walking', 'walking' differ in spelling only" in text
    assert "3 problems found" in text


def test_activities_that_seem_to_be_none_or_one_are_problems(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_study(tmp_path, ("P1",))
    names = ["walking", "1", "1.0", "-", "#N/A", "-9", "n/a", "-1", "10"]
    rows = [f"{3 * i},{3 * i + 3},{name}" for i, name in enumerate(names)]
    (tmp_path / "labels" / "P1.csv").write_text("\n".join(["start,end,activity", *rows]) + "\n")
    code, text = check(tmp_path / "study.yaml", capsys)
    assert code == 1
    assert "PROBLEM: clinic: the activities '1', '1.0' differ in spelling only; labels.names can make them one" in text
    said = "the activity '#N/A', '-', '-1', '-9', 'n/a' seems to stand for a missing one"
    assert said in text
    unlabelled = ', unlabelled: ["-", "#N/A", "-9", "n/a", "-1"]}'
    path = changed(
        tmp_path, 'labels: {files: "labels/{subject}.csv"}', f'labels: {{files: "labels/{{subject}}.csv"{unlabelled}'
    )
    assert said not in check(path, capsys)[1]


def test_a_manifest_that_can_not_be_used_ends_with_one_message(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, text = check(tmp_path / "away.yaml", capsys)
    assert code == 1
    assert "the manifest can't be read" in text
    assert "Traceback" not in text


@pytest.mark.parametrize(
    ("stored", "declared", "says"),
    [
        (1.0, "m/s^2", "look like g: set unit: g"),
        (1 / G, "m/s^2", "g that were divided by 9.81 once more: set unit: lsb and per_g: 0.1020"),
        (1000.0, "m/s^2", r"look like mg.*, or these look like raw counts with 1024 in one g"),
        (G, "g", r"look like m/s\^2"),
        (1000.0, "g", "look like mg"),
        (9806.65, "g", r"mm/s\^2 \(or mg times 9.81\)"),
        (G, "mg", r"look like m/s\^2"),
        (1.0, "mg", "look like g"),
        (8192.0, "g", "raw counts with 8192 in one g"),
        (G * G, "m/s^2", r"m/s\^2 that were multiplied by 9.81 once more"),
        (1.15, "g", "calibration"),
        (37.0, "m/s^2", "no unit makes 37 in the file 9.81.*37 in one g would fit"),
    ],
)  # fmt: skip
def test_what_stands_in_the_file_at_rest_says_the_unit(stored: float, declared: str, says: str) -> None:
    spec = AccelerationSpec(["x", "y", "z"], declared)
    assert re.search(says, acceleration_cause(spec, stored * acceleration_scale(spec), 0.01))


def test_norms_near_g_need_no_cause_and_noise_is_no_gravity() -> None:
    spec = AccelerationSpec(["x", "y", "z"], "g")
    for norm in (0.91 * G, G, 1.09 * G):
        assert acceleration_cause(spec, norm, 0.01) == ""
    assert "without gravity" in acceleration_cause(spec, 0.1, 0.45)
    counts = AccelerationSpec(["x", "y", "z"], "lsb", per_g=8192)
    assert "raw counts with 4096 in one g" in acceleration_cause(counts, G / 2, 0.01)


@pytest.mark.parametrize(
    ("unit", "fast", "factor", "says"),
    [
        ("deg/s", 5.0, 1.2, "^$"),
        ("deg/s", 5.0, None, "^$"),
        ("deg/s", 0.08, 1 / DEGREE, "gravity turns 57.3 times as fast.*look like rad/s"),
        ("rad/s", 300.0, DEGREE, "rates reach 300 rad/s.*look like deg/s"),
        ("rad/s", 300.0, None, "look like deg/s"),
        ("deg/s", 90.0, None, "raw counts: set unit: lsb and per_deg_s"),
        ("deg/s", 80.0, 1 / 16.4, "per_deg_s near 16.4 would fit"),
    ],
)
def test_angular_rates_that_can_not_be(unit: str, fast: float, factor: float | None, says: str) -> None:
    assert re.search(says, gyroscope_cause(GyroscopeSpec(["x", "y", "z"], unit), fast, factor))


def rotated(values: FloatArray, order: list[int]) -> FloatArray:
    return np.concatenate([values[:, :3], values[:, 3:][:, order]], axis=1)


def test_gravity_turns_as_the_gyroscope_says() -> None:
    stream = turning_sensor(60.0)
    facts = measure_motion(stream)
    assert facts.turning is not None
    # The filter and the noise leave a few percent.
    assert facts.turning.correlation > 0.95
    assert facts.turning.factor == pytest.approx(1, abs=0.05)
    assert facts.turning.other_axes == "x y z"
    swapped = measure_motion(replace(stream, values=rotated(stream.values, [1, 0, 2]))).turning
    assert swapped is not None
    assert (swapped.other_axes, swapped.other_correlation > 0.95) == ("y x z", True)
    assert swapped.correlation < 0.7
    assert facts.rest_norm == pytest.approx(G, rel=0.01)
    # Gravity's share of each axis at rest, and the axis nearest to up
    assert facts.gravity_axis[1] in "xyz"
    assert math.hypot(*facts.gravity) < 1.01


def test_gaps_lost_samples_and_rows_that_alternate() -> None:
    stream = turning_sensor(60.0)
    keep = (stream.times < 20) | (stream.times >= 23)
    values = stream.values[keep].copy()
    values[10:20] = np.nan
    facts = measure_motion(replace(stream, times=stream.times[keep], values=values))
    # The build interpolates over no stretch longer than 0.1 s, lost samples or none: 0.2 s of NaN are a gap, too.
    assert (facts.gaps, facts.samples) == (2, 2850)
    assert facts.longest_gap_s == pytest.approx(3.02)
    assert facts.lost == pytest.approx(10 / 2850)
    assert not facts.alternating
    values = stream.values.copy()
    values[::2, :3] = np.nan
    values[1::2, 3:] = np.nan
    assert measure_motion(replace(stream, values=values)).alternating
