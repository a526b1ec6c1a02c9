"""A manifest as a source: which files make a recording, on which clock, and what is said of mistakes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from helpers.made_data import make_video

from datamodules.build.run import build
from datamodules.recording import RecordingError
from datamodules.signal import DEGREE, G
from datamodules.sources.manifest import Manifest, ManifestError, ManifestParams
from datamodules.sources.registry import make_source
from datamodules.windows.checks import check_recording
from datamodules.windows.cut import WindowSettings, cut_windows

BASE = """
groups:
  clinic:
    imu:
      - files: imu/{subject}_{session}.csv
        time: {column: t, unit: s}
        sensors:
          wrist:
            acceleration: {columns: [ax, ay, az], unit: g, range: 8}
            gyroscope: {columns: [gx, gy, gz], unit: deg/s}
            device: band
"""


def content(**group: Any) -> dict[str, Any]:
    made: dict[str, Any] = yaml.safe_load(BASE)
    made["groups"]["clinic"].update(group)
    return made


def write_imu(path: Path, seconds: float = 4.0, start: float = 0.0, rate: float = 50.0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    n = round(seconds * rate)
    rows = np.column_stack([start + np.arange(n) / rate, *np.zeros((2, n)), np.ones(n), np.full((n, 3), 90.0)])
    lines = [",".join(map(repr, row)) for row in rows.tolist()]
    path.write_text("\n".join(["t,ax,ay,az,gx,gy,gz", *lines]) + "\n")


def open_manifest(folder: Path, made: dict[str, Any]) -> Manifest:
    (folder / "study.yaml").write_text(yaml.safe_dump(made, sort_keys=False))
    return Manifest(ManifestParams(str(folder / "study.yaml")))


@pytest.fixture
def two(tmp_path: Path) -> Path:
    """A folder with motion data of two people."""
    write_imu(tmp_path / "imu" / "P1_a.csv")
    write_imu(tmp_path / "imu" / "P2_a.csv")
    return tmp_path


def test_recordings_subjects_units_and_names(two: Path) -> None:
    source = open_manifest(two, content(population="parkinson"))
    assert source.names() == ["P1_a", "P2_a"]
    assert source.subject_of("P2_a") == "P2"
    recording = source.load("P1_a")
    check_recording(recording)
    stream = recording.imu("wrist")
    np.testing.assert_allclose(stream.values[0], [0, 0, G, *[90 * DEGREE] * 3])
    assert stream.acceleration_range == pytest.approx(8 * G)
    assert stream.angular_velocity_range is None
    assert (stream.device, recording.population, recording.source) == ("band", "parkinson", "study")
    assert recording.metadata == {"subject": "P1", "session": "a"}
    assert not recording.simulated
    with pytest.raises(RecordingError, match="no recording 'P3_a'; there are 2: P1_a to P2_a"):
        source.load("P3_a")


def test_an_experiment_takes_it_by_its_name_and_builds_shards(two: Path) -> None:
    open_manifest(two, content())
    params = {"path": str(two / "study.yaml")}
    assert make_source("manifest", params).names() == ["P1_a", "P2_a"]
    settings = WindowSettings(duration_s=1.0, stride_s=1.0, exclude="gap")
    report = build("manifest", params, two / "shards", settings, workers=1)
    assert (report.index.n_windows, report.recordings) == (8, 2)
    assert build("manifest", params, two / "shards", settings, workers=1).built == 0
    # Other units must never find the old shards.
    (two / "study.yaml").write_text((two / "study.yaml").read_text().replace("unit: g", "unit: mg"))
    with pytest.raises(ValueError, match="built with other settings: manifest was"):
        build("manifest", params, two / "shards", settings, workers=1)


def test_several_sensors_in_one_file_and_in_several(two: Path) -> None:
    write_imu(two / "ankle" / "P1_a.csv", rate=100.0)
    made = content()
    first = made["groups"]["clinic"]["imu"][0]
    accelerometer = {"acceleration": {"columns": ["gx", "gy", "gz"], "unit": "m/s^2"}}
    first["sensors"]["trunk"] = accelerometer
    made["groups"]["clinic"]["imu"].append(
        {"files": "ankle/{subject}_{session}.csv", "time": first["time"], "sensors": {"ankle": accelerometer}}
    )
    source = open_manifest(two, made)
    recording = source.load("P1_a")
    check_recording(recording)
    assert [stream.placement for stream in recording.imus] == ["wrist", "trunk", "ankle"]
    np.testing.assert_array_equal(recording.imu("trunk").values[:, :3], 90.0)
    assert np.isnan(recording.imu("trunk").values[:, 3:]).all()
    assert recording.imu("ankle").times.size == 400
    with pytest.raises(RecordingError, match=r"P2_a .*motion data is missing; expected .*ankle/P2_a\.csv.*optional"):
        source.load("P2_a")
    made["groups"]["clinic"]["imu"][1]["optional"] = True
    assert len(open_manifest(two, made).load("P2_a").imus) == 2


def test_videos_labels_and_clocks(two: Path) -> None:
    """Everything on one clock: the stamps show 100 when the video, cut 1 s late, would have begun."""
    write_imu(two / "imu" / "P1_a.csv", start=100.25)
    make_video(two / "video" / "P1_a.mp4", seconds=2)
    (two / "labels").mkdir()
    (two / "labels" / "P1_a.csv").write_text("start,end,activity\n101,102,walk\n")
    (two / "sessions.csv").write_text("subject,session,offset,zero,group\nP1,a,0.5,100,on\nP2,a,0,0,off\n")
    made = content(
        videos=[{"files": "video/{subject}_{session}.mp4", "camera": "phone", "start_s": 1, "optional": True}],
        labels={"files": "labels/{subject}_{session}.csv", "clock": "imu", "optional": True},
        details={"file": "sessions.csv"},
        zero="{zero}",
        imu_clock_offset_s="{offset}",
        population="medication {group}",
    )
    source = open_manifest(two, made)
    recording = source.load("P1_a")
    check_recording(recording)
    assert recording.imus[0].times[0] == pytest.approx(0.25)
    assert recording.imu_clock_offset_s == 0.5
    assert recording.population == "medication on"
    assert recording.metadata["group"] == "on"
    np.testing.assert_allclose(recording.video("phone").frame_times(), 1 + np.arange(50) / 25, atol=1e-6)
    # Stamp 101 is 1 s after time 0, and the IMU's clock is 0.5 s behind the video's.
    (label,) = recording.activities
    assert (label.start, label.end) == pytest.approx((1.5, 2.5))
    assert recording.labelled_on == ("wrist",)
    windows, _ = cut_windows(recording, "wrist", "phone", WindowSettings(duration_s=1.0, stride_s=1.0, exclude="gap"))
    assert [(w.start_s, w.activity) for w in windows] == [(1.0, ""), (2.0, "")]
    assert source.load("P2_a").videos == ()
    # What a video player shows needs no shift.
    made["groups"]["clinic"]["labels"]["clock"] = "video"
    (two / "labels" / "P1_a.csv").write_text("start,end,activity\n1,2,walk\n")
    recording = open_manifest(two, made).load("P1_a")
    (label,) = recording.activities
    assert (label.start, label.end) == (1, 2)
    assert recording.labelled_on == ()
    (two / "labels" / "P1_a.csv").write_text("start,end,activity\n1000,2000,walk\n")
    with pytest.raises(RecordingError, match=r"no label lies within the recording: they reach from 1000\.00"):
        open_manifest(two, made).load("P1_a")


def test_dates_begin_where_the_manifest_says(two: Path) -> None:
    path = two / "imu" / "P1_a.csv"
    stamps = [f"2024-05-01T10:00:{second:06.3f}" for second in np.arange(100) / 50]
    path.write_text("t,ax,ay,az,gx,gy,gz\n" + "".join(f"{stamp},0,0,1,0,0,0\n" for stamp in stamps))
    made = content()
    made["groups"]["clinic"]["imu"][0]["time"]["unit"] = "iso8601"
    with pytest.raises(ManifestError, match=r"groups\.clinic\.zero: stamps that are dates don't show 0"):
        open_manifest(two, made)
    for zero, first in (("first_sample", 0.0), ("2024-05-01T09:59:59Z", 1.0)):
        made["groups"]["clinic"]["zero"] = zero
        # A double near 1.7e9 has steps of 2.4e-7.
        assert open_manifest(two, made).load("P1_a").imus[0].times[0] == pytest.approx(first, abs=1e-6)
    made["groups"]["clinic"]["zero"] = "noon"
    with pytest.raises(ManifestError, match="zero: it is 'noon' for recording P1_a"):
        open_manifest(two, made).load("P1_a")


def test_a_missing_or_doubled_video_is_named(two: Path) -> None:
    made = content(videos=[{"files": "video/{subject}_{session}*.mp4", "camera": "phone"}])
    source = open_manifest(two, made)
    with pytest.raises(RecordingError, match=r"P1_a .*video of camera 'phone' is missing; expected .*P1_a\*\.mp4"):
        source.load("P1_a")
    for name in ("P1_a.mp4", "P1_a_2.mp4"):
        (two / "video").mkdir(exist_ok=True)
        (two / "video" / name).write_bytes(b"no video")
    with pytest.raises(RecordingError, match=r"matches 2 files: P1_a\.mp4, P1_a_2\.mp4; expected one"):
        source.load("P1_a")
    (two / "video" / "P1_a_2.mp4").unlink()
    with pytest.raises(RecordingError, match=r"P1_a\.mp4"):
        source.load("P1_a").videos[0].frame_times()


def test_a_video_without_an_imu_is_said(two: Path) -> None:
    (two / "video").mkdir()
    for name in ("P1_a.mp4", "P2_a.mp4", "P3_a.mp4"):
        (two / "video" / name).write_bytes(b"")
    made = content(videos=[{"files": "video/{subject}_{session}.mp4"}])
    with pytest.raises(ManifestError, match=r"1 files belong to no IMU file .*P3_a\.mp4; .*orphans: allow"):
        open_manifest(two, made).names()
    made["groups"]["clinic"]["orphans"] = "allow"
    assert open_manifest(two, made).names() == ["P1_a", "P2_a"]


def test_a_pattern_that_matches_nothing_shows_what_is_there(two: Path) -> None:
    made = content()
    made["groups"]["clinic"]["imu"][0]["files"] = "imu/{subject}.tsv"
    with pytest.raises(
        ManifestError, match=r"imu\.0\.files: no file matches 'imu/\{subject\}\.tsv'; in .*imu there is: P1"
    ):
        open_manifest(two, made).names()


def test_two_groups_and_names_that_would_collide(two: Path) -> None:
    made = content()
    made["groups"]["home"] = yaml.safe_load(BASE)["groups"]["clinic"]
    with pytest.raises(ManifestError, match=r"groups\.home\.recording: .*are both named 'P1_a'"):
        open_manifest(two, made).names()
    made["groups"]["home"]["recording"] = "home_{subject}_{session}"
    assert open_manifest(two, made).names() == ["P1_a", "P2_a", "home_P1_a", "home_P2_a"]


def test_details_must_name_each_recording_once(two: Path) -> None:
    made = content(details={"file": "d.csv"})
    for text, says in (
        ("", "nothing in it"),
        ("age\n70\n", "no column says whose row it is: found age; expected one of subject, session"),
        ("subject,age\nP1,70\n", r"d\.csv: no row for subject P2"),
        ("subject,age\nP1,70\nP1,71\nP2,60\n", r"d\.csv, line 3: there is a row for subject P1 already"),
        ("subject,age\nP1,70,5\n", r"d\.csv, line 2: 3 columns; the header has 2"),
        ("subject,age,age\n", "the column 'age' is there more than once"),
    ):
        (two / "d.csv").write_text(text)
        with pytest.raises(ManifestError, match=says):
            open_manifest(two, made).names()
    (two / "d.csv").write_text("subject,age\nP1,old\nP2,60\n")
    made["groups"]["clinic"]["imu_clock_offset_s"] = "{age}"
    source = open_manifest(two, made)
    assert source.load("P2_a").imu_clock_offset_s == 60
    with pytest.raises(ManifestError, match="imu_clock_offset_s: it is 'old' for recording P1_a; expected a number"):
        source.load("P1_a")


SENSOR = "groups.clinic.imu.0.sensors.wrist"
MISTAKES = [
    ("imu.0.tiem", {}, r"unknown key 'groups\.clinic\.imu\.0\.tiem'; did you mean 'time'\?"),
    ("imu.0.time.unit", "msec", r"time\.unit: expected one of s, ms, .*found 'msec'; did you mean 'ms'"),
    ("imu.0.sensors.wrist.acceleration.unit", "m/s2", r"acceleration\.unit: .*did you mean 'm/s\^2'"),
    ("imu.0.sensors.wrist.acceleration.unit", "lsb", r"acceleration\.per_g: raw counts need their scale"),
    ("imu.0.sensors.wrist.gyroscope.per_deg_s", 16.4, r"per_deg_s: only raw counts \(unit: lsb\) have a scale"),
    ("imu.0.sensors.wrist.acceleration.columns", ["ax"], "columns: expected three columns, for x, y, z; found 1"),
    ("imu.0.sensors.wrist.acceleration.columns", ["ax", "ay", False], r"columns\.2: expected text or a whole.*quotes"),
    ("imu.0.sensors.wrist.acceleration.columns", [0, 1, 2], r"columns\.0: columns are counted from 1; found 0"),
    ("imu.0.time", {"unit": "s"}, r"imu\.0\.time: expected either a column with its unit, or rate_hz"),
    ("imu.0.time", {"rate_hz": 1}, r"rate_hz: expected 20 to 1000 samples a second"),
    ("imu.0.csv", {"separator": "::"}, "separator: expected one character"),
    ("imu.0.csv", {"decimal": ","}, "columns and decimals are both told by ','"),
    ("imu.0.csv", {"encoding": "utf-9"}, "no encoding 'utf-9'"),
    ("imu.0.optional", True, "optional: the first entry's files say which recordings there are"),
    ("imu", [], "expected at least one entry"),
    ("imu", 3, r"groups\.clinic\.imu: expected a list, found 3"),
    ("videos", [{"camera": "a"}], r"'groups\.clinic\.videos\.0\.files' is missing; expected text"),
    ("videos", [{"files": "{subjekt}.mp4"}], r"'\{subjekt\}' is no group of the IMU files .*did you mean 'subject'"),
    ("videos", [{"files": "a"}, {"files": "b"}], "2 cameras are named 'camera'"),
    ("subject", "{patient}", r"groups\.clinic\.subject: '\{patient\}' stands for nothing"),
    ("subject", 7, r"subject: expected text, found 7 \(in quotes it would be text\)"),
    ("labels", {}, "labels: expected either 'files'"),
    ("labels", {"files": "x", "unit": "iso8601"}, "labels.clock: labels with dates"),
    ("orphans", "ignore", "orphans: expected one of error, allow"),
    ("imu_clock_offset_s", float("nan"), "imu_clock_offset_s: expected text or a number"),
]  # fmt: skip


@pytest.mark.parametrize(("key", "value", "says"), MISTAKES)
def test_a_mistake_in_a_manifest_is_named(two: Path, key: str, value: object, says: str) -> None:
    made = content()
    at = made["groups"]["clinic"]
    *path, last = key.split(".")
    for step in path:
        at = at[int(step) if step.isdigit() else step]
    at[last] = value
    with pytest.raises(ManifestError, match=says) as caught:
        open_manifest(two, made)
    assert str(caught.value).startswith(str(two / "study.yaml"))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "expected 'key: value' lines"),
        ("a: [1", "not valid YAML"),
        ("groups: {}", "groups: expected at least one group"),
        ("groups: {a: {imu: []}}\ngroups: {}", "the key 'groups' is there twice"),
        ("groups: !!python/object/apply:os.system ['touch ran']", "not valid YAML"),
        ("name: !!int ''", "not valid YAML"),
        ("a: " + "[" * 3000, "not valid YAML"),
        ("groups: &a {x: *a}", "not valid YAML: an alias of itself"),
    ],
)
def test_what_is_no_manifest(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "study.yaml"
    with pytest.raises(ManifestError, match=r"study\.yaml: the manifest can't be read: No such file"):
        Manifest(ManifestParams(str(path)))
    path.write_text(text)
    with pytest.raises(ManifestError, match=says):
        Manifest(ManifestParams(str(path)))


def test_two_names_of_one_person(two: Path) -> None:
    source = open_manifest(two, content(people={"P2": "P1"}))
    assert {source.subject_of(name) for name in source.names()} == {"P1"}
    assert source.load("P2_a").subject == "P1"
    for people in ({"P2": " "}, {"P1": "P2", "P2": "P3"}):
        with pytest.raises(ManifestError, match=r"people\.P[12]: expected the person's name"):
            open_manifest(two, content(people=people))


def test_rows_told_by_several_columns(tmp_path: Path) -> None:
    lines = ["t,place,kind,x,y,z"]
    for i in range(100):
        for place, up in (("hip", 1.0), ("arm", -1.0)):
            lines += [f"{i / 50},{place},acc,0,0,{up}", f"{i / 50},{place},gyr,0,90,{up}"]
    (tmp_path / "P1.csv").write_text("\n".join(lines) + "\n")

    def entry(place: str, part: str, optional: bool = False) -> dict[str, Any]:
        kind, unit = ("acc", "g") if part == "acceleration" else ("gyr", "deg/s")
        return {
            "files": "{subject}.csv",
            "time": {"column": "t", "unit": "s"},
            "rows": [{"column": "place", "value": place}, {"column": "kind", "value": kind}],
            "optional": optional,
            "sensors": {place: {part: {"columns": ["x", "y", "z"], "unit": unit}}},
        }

    both = [entry(place, part) for place in ("arm", "hip") for part in ("acceleration", "gyroscope")]
    arm, hip = open_manifest(tmp_path, {"groups": {"g": {"imu": both}}}).load("P1").imus
    for stream, up in ((arm, -1.0), (hip, 1.0)):
        np.testing.assert_allclose(stream.values, np.tile([0, 0, up * G, 0, 90 * DEGREE, up * DEGREE], (100, 1)))
    # A sensor that some files lack.
    foot = [entry("foot", "acceleration"), entry("foot", "gyroscope")]
    with pytest.raises(RecordingError, match=r"'foot' in column 'place' \(there are: hip, arm\).*'optional: true'"):
        open_manifest(tmp_path, {"groups": {"g": {"imu": both + foot}}}).load("P1")
    foot = [entry("foot", "acceleration", True), entry("foot", "gyroscope", True)]
    assert len(open_manifest(tmp_path, {"groups": {"g": {"imu": both + foot}}}).load("P1").imus) == 2
    wrong: tuple[Any, ...] = ([], "arm", 3)
    for rows in wrong:
        with pytest.raises(ManifestError, match=r"imu\.0\.rows: expected"):
            open_manifest(tmp_path, {"groups": {"g": {"imu": [both[0] | {"rows": rows}]}}})
