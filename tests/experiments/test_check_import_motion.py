"""Faults of motion tables: placeholders, units, gyroscopes of another recording, labels in another unit.

Each is found, or used rightly, and nothing is advised that would be wrong.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from helpers.made_tables import MANIFEST, turning, write
from numpy.typing import NDArray

from datamodules.recording import FloatArray, RecordingError
from datamodules.signal import G
from datamodules.sources.manifest import Manifest, ManifestParams
from experiments import check_import


def check(path: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    code = check_import.main([str(path)])
    return code, "".join(capsys.readouterr())


def swinging(amplitude: float, hertz: float, arm_m: float, seed: int = 1) -> tuple[FloatArray, FloatArray]:
    """An arm about the shoulder, by exact kinematics: gravity, the pull to the centre, and its speeding up."""
    times = np.arange(6000) / 100
    angle = amplitude * np.sin(2 * np.pi * hertz * times + seed) + 0.3 * np.sin(2 * np.pi * 0.37 * times)
    rate = np.gradient(angle, 0.01)
    along, across = G * np.cos(angle) + arm_m * rate**2, G * np.sin(angle) + arm_m * np.gradient(rate, 0.01)
    nothing = np.zeros_like(times)
    values = np.stack([along, across, nothing, nothing, nothing, -rate], axis=1)
    return times, values + np.random.default_rng(seed).normal(0, 1, (6000, 6)) * ([0.03] * 3 + [0.003] * 3)


@pytest.mark.parametrize(
    ("amplitude", "hertz", "arm_m"), [(1.2, 1, 0.4), (1.2, 0.5, 0.4), (0.5, 2, 0.3), (0.3, 1, 0.6), (1.5, 0.25, 0.5)]
)
def test_a_swinging_arm_is_no_wrong_scale(
    amplitude: float, hertz: float, arm_m: float, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, text = check(write(tmp_path, *swinging(amplitude, hertz, arm_m)), capsys)
    assert (code, "per_deg_s" in text, "late" in text, "early" in text) == (0, False, False, False), text


CHANGES: dict[str, tuple[Callable[[FloatArray], None], str, str]] = {}


def change(
    says: str, never: str = "would fit"
) -> Callable[[Callable[[FloatArray], None]], Callable[[FloatArray], None]]:
    def keep(make: Callable[[FloatArray], None]) -> Callable[[FloatArray], None]:
        CHANGES[make.__name__] = (make, says, never)
        return make

    return keep


def some_rows(values: FloatArray, share: float) -> NDArray[np.bool_]:
    return np.random.default_rng(1).random(len(values)) < share


@change(r"5 % of the rows have 0 in columns 'gx' and 'gy' and 'gz'.*'zeros: lost'")
def zeros_in_the_gyroscope_alone(values: FloatArray) -> None:
    values[some_rows(values, 0.05), 3:] = 0


@change(r"30 % of the rows have 0 in columns 'gx' and 'gy' and 'gz'")
def many_zeros_in_the_gyroscope_alone(values: FloatArray) -> None:
    values[some_rows(values, 0.3), 3:] = 0


@change(r"10 % of the rows have -1 in columns 'ax' and 'ay' and 'az'.*csv\.null")
def minus_one(values: FloatArray) -> None:
    values[some_rows(values, 0.1), :3] = -1


@change(r"10 % of the rows have 100 in columns 'ax'.*csv\.null")
def a_hundred(values: FloatArray) -> None:
    values[some_rows(values, 0.1), :3] = 100


@change(r"rows have 0 in column 'ay'")
def zeros_along_one_axis(values: FloatArray) -> None:
    values[some_rows(values, 0.02), 1] = 0


@change(r"the largest angular rate is there many times over.*as if clipped.*'range'")
def a_gyroscope_at_the_end_of_its_range(values: FloatArray) -> None:
    values[:, 3:] = np.clip(values[:, 3:], -0.5, 0.5)


@change(r"gyroscope does not fit how gravity turns.*of one recording")
def the_gyroscope_of_somebody_else(values: FloatArray) -> None:
    values[:, 3:] = values[::-1, [5, 3, 4]]


@change(r"gyroscope does not fit how gravity turns.*no lag up to 1\.5 s")
def a_gyroscope_two_seconds_late(values: FloatArray) -> None:
    values[:, 3:] = np.roll(values[:, 3:], 200, axis=0)


@change(r"does the sensor measure, and is it calibrated")
def an_offset_of_one_g(values: FloatArray) -> None:
    values[:, 2] += 9.81


@change(r"gravity turns as if its x y z were y x z of what was declared")
def two_axes_that_turn_alike_exchanged(values: FloatArray) -> None:
    values[:, 3:] = values[:, [4, 3, 5]]


@change(r"column 'az' \(accelerometer z\) reads 0 throughout", never="at rest the acceleration")
def a_dead_axis_says_nothing_of_the_unit(values: FloatArray) -> None:
    values[:, 2] = 0


@change(r"the gyroscope reads the same throughout", never="does not fit how gravity turns")
def a_constant_gyroscope(values: FloatArray) -> None:
    values[:, 3:] = [0.01, -0.02, 0.03]


@pytest.mark.parametrize("name", list(CHANGES))
def test_what_is_wrong_is_found(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make, says, never = CHANGES[name]
    times, values = turning()
    make(values)
    code, text = check(write(tmp_path, times, values), capsys)
    assert code == 1, text
    assert re.search(f"PROBLEM: .*{says}", text), text
    assert never not in text, text


def test_zeros_that_are_declared_lost_are_missing_in_each_sensor(tmp_path: Path) -> None:
    times, values = turning(2000)
    lost_acceleration, lost_turning = some_rows(values, 0.05), np.arange(2000) % 40 == 7
    moving = np.linalg.norm(values[:, 3:], axis=1) > 0.2
    lost_turning &= moving
    values[lost_acceleration, :3] = 0
    values[lost_turning, 3:] = 0
    path = write(tmp_path, times, values, MANIFEST.replace("unit: rad/s}", "unit: rad/s}\n            zeros: lost"))
    found = Manifest(ManifestParams(str(path))).load("P1").imus[0].values
    np.testing.assert_array_equal(np.isnan(found[:, :3]).any(axis=1), lost_acceleration)
    np.testing.assert_array_equal(np.isnan(found[:, 3:]).any(axis=1), lost_turning)


def test_coarse_sensors_and_rest_have_no_placeholders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    times, values = turning()
    values[:, :3] = np.round(values[:, :3], 1)
    values[:, 3:] = np.round(values[:, 3:], 2)  # 0 in every second of rest
    _, text = check(write(tmp_path, times, values), capsys)
    assert "lost samples" not in text


@pytest.mark.parametrize(
    ("scale", "unit", "says"),
    [
        (1000 / G, "g", "set unit: mg"),
        (256 / G, "g", "unit: lsb and per_g: 256"),
        (16384 / G, "g", "unit: lsb and per_g: 16384"),
    ],
)
def test_values_beyond_any_sensor_say_their_unit(
    scale: float, unit: str, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    times, values = turning()
    values[:, :3] *= scale
    code, text = check(write(tmp_path, times, values, MANIFEST.replace("unit: m/s^2", f"unit: {unit}")), capsys)
    assert (code, says in text, "no gyroscope" in text) == (1, True, False), text


def test_unsigned_counts_have_no_scale(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    times, values = turning()
    values[:, :3] = np.round(values[:, :3] / G * 4096 + 32768)
    made = MANIFEST.replace("unit: m/s^2", "unit: lsb, per_g: 4096")
    code, text = check(write(tmp_path, times, values, made), capsys)
    assert (code, "unsigned counts" in text, "would fit" in text) == (1, True, False), text


def test_acceleration_without_gravity_of_somebody_who_never_rests(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    times = np.arange(6000) / 100
    noise = np.random.default_rng(3).normal(0, 0.3, (6000, 6))
    waves = [3 * np.sin(8.2 * times), 2.5 * np.cos(10.7 * times), 2 * np.sin(9 * times)]
    turns = [2 * np.sin(8 * times), 1.5 * np.cos(7 * times), np.sin(5 * times)]
    code, text = check(write(tmp_path, times, np.stack(waves + turns, axis=1) + noise), capsys)
    assert (code, "without gravity" in text, "per_g" in text) == (1, True, False), text


def test_held_values_without_a_common_beat(tmp_path: Path) -> None:
    times, values = turning()
    begins = np.concatenate([[0], np.cumsum(np.random.default_rng(0).integers(4, 7, 2000))])
    held = begins[np.searchsorted(begins, np.arange(6000), "right") - 1]
    imu = Manifest(ManifestParams(str(write(tmp_path, times, values[held])))).load("P1").imus[0]
    np.testing.assert_allclose(imu.times, times[np.unique(held)], atol=1e-9)


@pytest.mark.parametrize("every", [1, 2])
def test_a_wide_table_in_which_sensors_take_turns(every: int, tmp_path: Path) -> None:
    """Each sensor by its own rows: exact at its own stamps, and between them as smooth as it turned."""
    times, values = turning(2000)

    def turn(at: FloatArray) -> FloatArray:
        return np.stack([np.sin(2 * at), np.cos(3 * at), np.sin(at)], axis=-1)

    values[:, 3:] = turn(times + 0.003)
    lines = []
    for i, (time, row) in enumerate(zip(times, values, strict=True)):
        lines.append(f"{time:.3f}," + ",".join(f"{v:.5f}" for v in row[:3]) + ",,,")
        if i % every == 0:
            lines.append(f"{time + 0.003:.3f},,,," + ",".join(f"{v:.5f}" for v in row[3:]))
    (tmp_path / "P1.csv").write_text("\n".join(["t,ax,ay,az,gx,gy,gz", *lines]) + "\n")
    (tmp_path / "m.yaml").write_text(MANIFEST)
    recording = Manifest(ManifestParams(str(tmp_path / "m.yaml"))).load("P1")
    imu = recording.imus[0]
    own = np.searchsorted(times, imu.times - 1e-6)
    np.testing.assert_allclose(imu.values[:, :3], values[own, :3], atol=2e-5)  # five decimals
    # Five decimals, and what a cubic spline leaves at the ends of samples fifty times a second.
    np.testing.assert_allclose(imu.values[:, 3:], turn(imu.times), atol=5e-4)
    assert "rows of their own" in str(recording.metadata["import_notes"])


def test_a_gyroscope_that_stops_half_way_is_said(tmp_path: Path) -> None:
    times, values = turning(2000)
    for name, part, end in (("a", values[:, :3], 2000), ("g", values[:, 3:], 1000)):
        (tmp_path / name).mkdir()
        rows = [f"{t:.2f}," + ",".join(f"{v:.5f}" for v in row) for t, row in zip(times[:end], part, strict=False)]
        (tmp_path / name / "P1.csv").write_text("\n".join(["t,x,y,z", *rows]) + "\n")
    columns = {"columns": ["x", "y", "z"]}
    entries = [
        {"files": "a/{subject}.csv", "sensors": {"wrist": {"acceleration": {**columns, "unit": "m/s^2"}}}},
        {"files": "g/{subject}.csv", "sensors": {"wrist": {"gyroscope": {**columns, "unit": "rad/s"}}}},
    ]
    made = {"groups": {"g": {"imu": [{**entry, "time": {"column": "t", "unit": "s"}} for entry in entries]}}}
    (tmp_path / "m.yaml").write_text(yaml.safe_dump(made))
    recording = Manifest(ManifestParams(str(tmp_path / "m.yaml"))).load("P1")
    assert "left out: 10.0 of the accelerometer's 20.0 s" in str(recording.metadata["import_notes"])


def stamped(seconds: FloatArray, form: str) -> list[str]:
    begin = datetime.datetime(1970, 1, 1)
    return [(begin + datetime.timedelta(seconds=float(s))).strftime(form) for s in np.atleast_1d(seconds)]


def labelled(folder: Path, stamps: list[str], labels: list[tuple[str, str, str]], time: str, declared: str) -> Path:
    _, values = turning(len(stamps))
    rows = [f"{s}," + ",".join(f"{v:.5f}" for v in row) for s, row in zip(stamps, values, strict=True)]
    (folder / "P1.csv").write_text("\n".join(["t,ax,ay,az,gx,gy,gz", *rows]) + "\n")
    (folder / "labels").mkdir(exist_ok=True)
    lines = ["start,end,activity", *[",".join(label) for label in labels]]
    (folder / "labels/P1.csv").write_text("\n".join(lines) + "\n")
    made = MANIFEST.replace("{column: t, unit: s}", time)
    (folder / "m.yaml").write_text(made + f"    labels: {{files: 'labels/{{subject}}.csv', {declared}}}\n")
    return folder / "m.yaml"


ISO = "%Y-%m-%dT%H:%M:%S.%f"
BEGIN = 1751630400.0  # noon of a summer's day


@pytest.mark.parametrize("epoch", ["imu", "labels"])
def test_stamps_since_1970_are_utc_and_labels_without_an_offset_need_a_zone(epoch: str, tmp_path: Path) -> None:
    times = np.arange(2000) / 100
    numbers, texts = [f"{BEGIN + t:.2f}" for t in times], stamped(BEGIN + 7200 + times, ISO)
    (a, b), (c, d) = (numbers[500], numbers[900]), (texts[500], texts[900])
    if epoch == "imu":
        path = labelled(
            tmp_path, numbers, [(c, d, "walking")], "{column: t, unit: s}", "unit: iso8601, clock: imu, ZONE"
        )
    else:
        path = labelled(tmp_path, texts, [(a, b, "walking")], "{column: t, unit: iso8601, ZONE}", "unit: s, clock: imu")
    made = path.read_text()
    path.write_text(made.replace(", ZONE", ""))
    with pytest.raises(RecordingError, match=r"no offset from UTC.*expected (labels|time)\.zone"):
        Manifest(ManifestParams(str(path))).load("P1")
    path.write_text(made.replace("ZONE", "zone: Europe/Berlin"))
    (interval,) = Manifest(ManifestParams(str(path))).load("P1").activities
    assert (interval.start, interval.end) == pytest.approx((5, 9), abs=1e-5)


def test_labels_that_begin_behind_midnight(tmp_path: Path) -> None:
    texts = stamped(86390 + np.arange(2000) / 100, "%H:%M:%S.%f")
    path = labelled(
        tmp_path,
        texts,
        [("00:00:02", "00:00:06", "walking")],
        "{column: t, unit: 'h:m:s'}",
        "unit: 'h:m:s', clock: imu",
    )
    (interval,) = Manifest(ManifestParams(str(path))).load("P1").activities
    assert (interval.start, interval.end) == pytest.approx((12, 16), abs=1e-6)


def test_times_of_day_beside_dates_are_refused(tmp_path: Path) -> None:
    texts = stamped(BEGIN + np.arange(2000) / 100, ISO)
    path = labelled(
        tmp_path,
        texts,
        [("12:00:02", "12:00:06", "walking")],
        "{column: t, unit: iso8601}",
        "unit: 'h:m:s', clock: imu",
    )
    with pytest.raises(RecordingError, match="times of day, those of the IMU have dates"):
        Manifest(ManifestParams(str(path))).load("P1")


@pytest.mark.parametrize(("scale", "says"), [(1 / 60, "minutes"), (1000, "milliseconds"), (100, "samples of the IMU")])
def test_labels_in_another_unit(scale: float, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stamps = [f"{i / 100:.2f}" for i in range(6000)]
    labels = [(f"{4 * k * scale:.5f}", f"{4 * (k + 1) * scale:.5f}", "ab"[k % 2]) for k in range(15)]
    code, text = check(labelled(tmp_path, stamps, labels, "{column: t, unit: s}", "unit: s"), capsys)
    assert (code, f"they seem to count {says}" in text) == (1, True), text
