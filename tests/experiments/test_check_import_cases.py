"""Inputs that once came in wrong, each with what is right, and others of their kind."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from helpers.case_files import case
from helpers.made_tables import MANIFEST, turning, write

from datamodules.build.run import build
from datamodules.recording import RecordingError
from datamodules.signal import DEGREE, G
from datamodules.sources.manifest import Manifest, ManifestParams
from datamodules.windows.settings import WindowSettings
from experiments import check_import

# Case -> exit code, what is said, what must not be said.
CASES = [
    (
        "01_never_at_rest",
        0,
        r"note: .*P01_1: the sensor never rests, so the unit can't.*\(P01_2\) it is right",
        "per_g",
    ),
    ("03_dead_axis", 1, r"PROBLEM: .*column 'ay' \(accelerometer y\) reads 0 throughout", "per_g"),
    ("03_dead_axis_gyro", 1, r"PROBLEM: .*column 'gz' \(gyroscope z\) reads 0 throughout", "per_deg_s"),
    ("04_gyro_all_zero", 1, r"PROBLEM: .*gyroscope reads 0 throughout.*leave it out of the manifest", "per_deg_s"),
    ("06_zeros_70_percent", 1, r"PROBLEM: .*70 % of the rows are all zero: lost samples\?", "would fit"),
    ("08_files_that_do_not_match", 0, r"note: 1 file below the study's folder .*WAL/JOG_P01_2\.csv", "PROBLEM"),
    ("09_label_in_file_name", 0, r"walking: 40 s in 1 interval", "PROBLEM"),
    ("10_comment_lines", 1, r"set csv\.comment: '%'", "per_g"),
    ("12_exactly_20_hz", 0, "All plausible", "PROBLEM"),
    ("12_exactly_20_hz_rate", 0, "All plausible", "PROBLEM"),
    ("13_truncated_row", 0, r"1999 samples(.|\n)*left out: line 2001, which is broken off: '19.99,'", "PROBLEM"),
    ("14_nul", 0, r"2000 samples(.|\n)*left out: 4096 zero bytes", "\0"),
    ("15_midnight", 0, r"2000 samples at 100 Hz, no gaps(.|\n)*pass midnight", "PROBLEM"),
    ("16_time_restarts", 1, r"started again.*time\.restarts: parts.*\{part\}", "repeated: first"),
    ("17_header_again", 1, r"header is there again.*started again.*time\.restarts: parts.*\{part\}", "number"),
    ("18_crlf_trailing", 0, "2000 samples at 100 Hz, no gaps", "PROBLEM"),
    ("19_excel_scientific", 1, r"as a spreadsheet shortens.*export.*rate_hz", "repeated: first"),
    ("20_missing_as_previous", 0, r"400 samples at 20 Hz(.|\n)*values change 20 times a second", "PROBLEM"),
    ("21_date_dmy", 1, r'time\.format: "%d/%m/%Y %H:%M:%S\.%f" or "%m/%d/%Y', "skip_below"),
    ("22_units_row", 1, r"csv\.skip_below_header: 1", "per_g"),
]


def check(path: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    code = check_import.main([str(path)])
    return code, "".join(capsys.readouterr())


@pytest.mark.parametrize(("name", "code", "says", "never"), CASES)
def test_a_case(name: str, code: int, says: str, never: str, capsys: pytest.CaptureFixture[str]) -> None:
    found, text = check(case(f"import/{name}") / "manifest.yaml", capsys)
    assert re.search(says, text), text
    assert (found, never in text) == (code, False), text


@pytest.mark.parametrize("name", ["03_dead_axis", "03_dead_axis_gyro"])
def test_the_build_leaves_out_what_check_import_calls_dead(name: str, tmp_path: Path) -> None:
    manifest = case(f"import/{name}") / "manifest.yaml"
    lines, remarks = check_import.run(manifest)
    dead = {r.text.split(": ")[1] for r in remarks if "the build leaves all windows of this sensor out" in r.text}
    counted = sum(int(line.split(": ")[1].split()[0]) for line in lines if line.startswith("Windows of"))
    report = build(
        "manifest", {"path": str(manifest)}, tmp_path, WindowSettings(frames=0), camera="", workers=1,
    )  # fmt: skip
    assert report.index.n_windows == counted
    flat = [e for e in report.index.exclusions if e["reason"] == "flat_line"]
    assert {e["recording"] for e in flat} == dead
    assert dead
    assert all("a dead axis" in e["detail"] for e in flat)


REMEDIES = [
    ("10_comment_lines", "csv", {"comment": "%"}, 1000),
    ("16_time_restarts", "time", {"column": "t", "unit": "s", "restarts": "parts"}, 1000),
    ("17_header_again", "time", {"column": "t", "unit": "s", "restarts": "parts"}, 1000),
    ("21_date_dmy", "time", {"column": "t", "format": "%d/%m/%Y %H:%M:%S.%f"}, 2000),
    ("22_units_row", "csv", {"skip_below_header": 1}, 2000),
]


@pytest.mark.parametrize(("name", "key", "value", "samples"), REMEDIES)
def test_the_setting_that_a_message_names_helps(
    name: str, key: str, value: dict[str, object], samples: int, tmp_path: Path
) -> None:
    folder = case(f"import/{name}")
    made = yaml.safe_load((folder / "manifest.yaml").read_text())
    entry = made["groups"]["g"]["imu"][0]
    entry[key] = value
    entry["files"] = f"{folder}/{entry['files']}"
    (tmp_path / "m.yaml").write_text(yaml.safe_dump(made))
    source = Manifest(ManifestParams(str(tmp_path / "m.yaml")))
    names = source.names()
    recordings = [source.load(name) for name in names]
    assert [r.imus[0].times.size for r in recordings] == [samples] * len(names)
    if "restarts" in value:
        assert names == ["P01_1_1", "P01_1_2"]
        assert [r.subject for r in recordings] == ["P01", "P01"]


@pytest.mark.parametrize("lag_s", [-0.3, -0.09, 0.0, 0.12, 0.6])
def test_the_lag_of_a_join_is_measured(lag_s: float, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    times, values = turning()
    rows = round(lag_s * 100)
    values[:, 3:] = np.roll(values[:, 3:], rows, axis=0)
    code, text = check(write(tmp_path, times[100:-100], values[100:-100]), capsys)
    found = re.search(r"gyroscope is ([0-9.]+) s (late|early)", text)
    if not lag_s:
        assert (code, found) == (0, None), text
        return
    assert found, text
    # Smoothing and noise leave some hundredths of a second.
    assert float(found[1]) * (1 if found[2] == "late" else -1) == pytest.approx(lag_s, abs=0.03)


@pytest.mark.parametrize(
    ("value", "many"), [(999.9, True), (-9999.0, True), (2e7, False), (1e30, False), (1e300, True)]
)
def test_values_that_no_sensor_gives(
    value: float, many: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    times, values = turning(3000)
    values[1000 : 1100 if many else 1001, 1] = value
    path = write(tmp_path, times, values)
    code, text = check(path, capsys)
    assert code == int(many), text
    assert re.search(
        rf"{'PROBLEM' if many else 'note'}: .*{100 if many else 1} of 3000 samples .*no sensor gives", text
    )
    assert ("csv.null" in text) == many


@pytest.mark.parametrize("cut", [0.0, 1.0])
def test_packets_and_whole_seconds_are_spread_evenly(cut: float, tmp_path: Path) -> None:
    times, values = turning(3000)
    index = np.arange(3000)
    stamps = np.floor(times / cut) * cut if cut else times[index // 10 * 10] + 0.001 * (index % 10)
    source = Manifest(ManifestParams(str(write(tmp_path, stamps, values))))
    stream = source.load("P1").imus[0]
    assert 1 / np.median(np.diff(stream.times)) == pytest.approx(100, rel=1e-3)
    # Whole seconds say when a second began to a sample.
    np.testing.assert_allclose(stream.times, times, atol=0.02)


def test_packets_that_are_not_regular_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    times, values = turning(3000)
    kept = np.random.default_rng(1).random(3000) < np.repeat(np.random.default_rng(2).uniform(0.2, 1, 30), 100)
    code, text = check(write(tmp_path, np.floor(times)[kept], values[kept]), capsys)
    assert code == 1
    assert "not regularly" in text
    assert "repeated: first" not in text


def test_packets_out_of_order_are_put_in_order(tmp_path: Path) -> None:
    times, values = turning(3000)
    order = np.arange(3000).reshape(-1, 25)
    order[[10, 11]] = order[[11, 10]]
    recording = Manifest(ManifestParams(str(write(tmp_path, times[order.ravel()], values[order.ravel()])))).load("P1")
    np.testing.assert_allclose(recording.imus[0].times, times, atol=1e-5)
    np.testing.assert_allclose(recording.imus[0].values, values, atol=1e-5)
    assert "50 of 3000 samples came out of order" in str(recording.metadata["import_notes"])


def test_sensors_in_files_of_their_own_are_joined_by_their_stamps(tmp_path: Path) -> None:
    times, values = turning(6000, 200.0)
    made = yaml.safe_load(MANIFEST)
    entry = made["groups"]["g"]["imu"][0]
    sensor = entry["sensors"]["wrist"]
    entries = []
    for name, part, rows in (("acc", "acceleration", slice(0, None, 2)), ("gyr", "gyroscope", slice(1, None))):
        lines = [",".join(f"{v:.6f}" for v in row) for row in np.column_stack([times, values])[rows]]
        (tmp_path / f"P1_{name}.csv").write_text("\n".join(["t,ax,ay,az,gx,gy,gz", *lines]) + "\n")
        entries.append({**entry, "files": f"{{subject}}_{name}.csv", "sensors": {"wrist": {part: sensor[part]}}})
    made["groups"]["g"] = {"imu": entries}
    (tmp_path / "m.yaml").write_text(yaml.safe_dump(made))
    (stream,) = Manifest(ManifestParams(str(tmp_path / "m.yaml"))).load("P1").imus
    np.testing.assert_allclose(stream.times, times[1:-1], atol=1e-6)  # the gyroscope's, while both measured
    np.testing.assert_allclose(stream.values[:, 3:], values[1:-1, 3:], atol=1e-5)
    # A spline between noisy samples: the noise is 0.02 m/s^2.
    assert np.abs(stream.values[:, :3] - values[1:-1, :3]).max() < 0.15


def test_rows_of_several_sensors_and_files_one_behind_the_other(tmp_path: Path) -> None:
    times, values = turning(1000)
    for chunk, rows in ((2, slice(500, 1000)), (10, slice(1000, 1000)), (1, slice(0, 500))):
        lines = []
        for t, row in zip(times[rows], values[rows], strict=True):
            lines.append("acc," + ",".join(f"{v:.6f}" for v in (t, *row[:3])))
            lines.append("gyr," + ",".join(f"{v:.6f}" for v in (t + 0.002, *row[3:])))
        if lines:
            (tmp_path / f"P1_{chunk}.csv").write_text("\n".join(["sensor,t,x,y,z", *lines]) + "\n")
    made = {
        "groups": {
            "g": {
                "imu": [
                    {
                        "files": "{subject}_{chunk:digits}.csv",
                        "concat": "chunk",
                        "rows": {"column": "sensor", "value": kind},
                        "time": {"column": "t", "unit": "s"},
                        "sensors": {"wrist": {part: {"columns": ["x", "y", "z"], "unit": unit}}},
                    }
                    for kind, part, unit in (("acc", "acceleration", "m/s^2"), ("gyr", "gyroscope", "rad/s"))
                ]
            }
        }
    }
    (tmp_path / "m.yaml").write_text(yaml.safe_dump(made))
    source = Manifest(ManifestParams(str(tmp_path / "m.yaml")))
    assert source.names() == ["P1"]
    (stream,) = source.load("P1").imus
    np.testing.assert_allclose(stream.times, times[1:], atol=1e-6)
    np.testing.assert_allclose(stream.values[:, :3], values[1:, :3], atol=1e-5)
    # Written 2 ms late; the largest change is where a movement begins at once, so the typical one is looked at.
    assert np.median(np.abs(stream.values[:, 3:] - values[1:, 3:])) < 0.01


def test_a_scale_is_never_advised_from_movement(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    times, values = turning(3000)
    rng = np.random.default_rng(3)
    values[:, 3:] += 3 * np.sin(2 * np.pi * times[:, None] + rng.uniform(0, 6, 3))
    values[:, :3] *= 1.289
    _, text = check(write(tmp_path, times, values), capsys)
    assert "never rests" in text
    assert "per_g" not in text


@pytest.mark.parametrize("unit", [DEGREE, 1.0])
def test_gyroscopes_are_still_judged(unit: float, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    times, values = turning()
    values[:, 3:] /= unit
    code, text = check(write(tmp_path, times, values), capsys)
    assert code == int(unit != 1.0), text
    assert ("look like deg/s" in text) == (unit != 1.0)


@pytest.mark.parametrize("lag_s", [0.0, 3.0, -8.0])
def test_labels_that_are_late_against_the_motion(
    lag_s: float, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    times = np.arange(0, 400, 0.02)
    edges = np.cumsum(rng.uniform(8, 25, 40))
    moving = np.searchsorted(edges, times) % 2 == 1
    values = rng.normal(0, 1, (times.size, 6)) * np.where(moving, 1.5, 0.03)[:, None] + [0, 0, G, 0, 0, 0]
    rows = [f"{a},{b},{'walking' if i % 2 == 0 else 'sitting'}" for i, (a, b) in enumerate(itertools.pairwise(edges))]
    shifted = [[float(v) + lag_s for v in row.split(",")[:2]] + [row.split(",")[2]] for row in rows]
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "P1.csv").write_text(
        "start,end,activity\n" + "\n".join(",".join(map(str, row)) for row in shifted if float(row[1]) < 400) + "\n"
    )
    manifest = MANIFEST + '    labels: {files: "labels/{subject}.csv"}\n'
    _, text = check(write(tmp_path, times, values, manifest), capsys)
    found = re.search(r"labels are ([0-9.]+) s (late|early)", text)
    if not lag_s:
        assert found is None, text
        return
    assert found, text
    assert float(found[1]) * (1 if found[2] == "late" else -1) == pytest.approx(lag_s, abs=0.3)


def test_a_sentinel_that_a_sensor_might_give(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    times, values = turning(3000)
    values[:, 3:] /= DEGREE
    values[500:520, 3:] = 999
    code, text = check(write(tmp_path, times, values, MANIFEST.replace("rad/s", "deg/s")), capsys)
    assert code == 1
    assert re.search(r"PROBLEM: .*999 deg/s in column 'gx' \(20 times\).*csv\.null", text), text


def test_an_accelerometer_that_hangs_for_a_while(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    times, values = turning(3000)
    values[1000:1900, :3] = values[1000, :3]
    code, text = check(write(tmp_path, times, values), capsys)
    assert code == 1
    assert "the accelerometer hangs for 30% of the time" in text
    # The 5 s windows that begin at 10 and 15 s are hit, as the build's own rule has it.
    assert "4 kept, 2 left out (flat_line 2)" in text


@pytest.mark.parametrize("zone", ["", "Europe/Berlin"])
def test_stamps_with_an_offset_and_labels_without(zone: str, tmp_path: Path) -> None:
    times, values = turning(3000)
    lines = [
        f"2024-05-01T10:00:{t:06.3f}+02:00," + ",".join(f"{v:.5f}" for v in row)
        for t, row in zip(times, values, strict=True)
    ]
    (tmp_path / "P1.csv").write_text("\n".join(["t,ax,ay,az,gx,gy,gz", *lines]) + "\n")
    (tmp_path / "labels").mkdir()
    row = "2024-05-01 10:00:05,2024-05-01 10:00:10,walking"
    (tmp_path / "labels" / "P1.csv").write_text(f"start,end,activity\n{row}\n")
    made = yaml.safe_load(MANIFEST.replace("unit: s}", "unit: iso8601}"))
    made["groups"]["g"]["labels"] = {
        "files": "labels/{subject}.csv", "unit": "iso8601", "clock": "imu", **({"zone": zone} if zone else {})
    }  # fmt: skip
    (tmp_path / "m.yaml").write_text(yaml.safe_dump(made))
    source = Manifest(ManifestParams(str(tmp_path / "m.yaml")))
    if not zone:
        with pytest.raises(RecordingError, match=r"no offset from UTC.*expected labels\.zone"):
            source.load("P1")
        return
    (label,) = source.load("P1").activities
    assert (label.start, label.end) == pytest.approx((5, 10), abs=1e-5)
