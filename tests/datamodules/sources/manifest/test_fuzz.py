"""Whatever a manifest or a table holds: a RecordingError that explains it, or numbers that stand in the file."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from datamodules.recording import RecordingError
from datamodules.sources.manifest import Manifest, ManifestParams
from datamodules.sources.manifest.labels import read_intervals
from datamodules.sources.manifest.motion import read_motion
from datamodules.sources.manifest.spec import (
    DEFAULT_NULLS,
    AccelerationSpec,
    CsvSpec,
    ImuSpec,
    LabelsSpec,
    SensorSpec,
    TimeSpec,
)

WHOLE: dict[str, Any] = {
    "name": "fuzzed",
    "groups": {
        "a": {
            "imu": [
                {
                    "files": "imu/{subject}_{session}.csv",
                    "time": {"column": "t", "unit": "s", "repeated": "first"},
                    "csv": {"separator": ",", "null": ["", "x"], "skip_lines": 0},
                    "sensors": {"wrist": {"acceleration": {"columns": ["ax", 3, "az"], "unit": "lsb", "per_g": 2.0}}},
                }
            ],
            "videos": [{"files": "{subject}.mp4", "optional": True, "start_s": "{session}"}],
            "labels": {"files": "imu/{subject}_{session}.txt", "names": {"1": "walk"}, "clock": "imu"},
            "details": {"file": "details.csv"},
            "zero": "{zero}",
            "population": "{population}",
        }
    },
}
FEW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

leaves = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.dates(), st.binary(max_size=4),
    st.sampled_from([10**400, -1, 0, "{", "{subject}", "*", "**/*", "../..", "\0", "iso8601", "h:m:s", "lsb", ","]),
)  # fmt: skip
anything = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)


@pytest.fixture
def study(tmp_path: Path) -> Path:
    (tmp_path / "imu").mkdir()
    (tmp_path / "imu" / "P1_2.csv").write_text("t,ax,ay,az\n0,0,0,1\n0.01,0,0,1\n0.02,0,x,1\n0.02,0,0,1\n")
    (tmp_path / "imu" / "P1_2.txt").write_text("start,end,activity\n0,0.02,1\n")
    (tmp_path / "details.csv").write_text("subject,zero,population\nP1,0,old\n")
    return tmp_path


def paths_of(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path for key, inner in steps for path in [(*at, key), *paths_of(inner, (*at, key))]]


def try_all(path: Path) -> list[str]:
    """What a build does; returns the messages of what it could not do."""
    try:
        source = Manifest(ManifestParams(str(path)))
        names = source.names()
        source.fingerprint()
    except RecordingError as error:
        return [str(error)]
    messages = []
    for name in names:
        try:
            (stream,) = source.load(name).imus
            assert np.isfinite(stream.times).all()
            assert np.isnan(stream.values[:, :3]).sum() <= 1  # the one x in the file
        except RecordingError as error:
            messages.append(str(error))
    return messages


def check_message(error: RecordingError, path: Path) -> None:
    """Whatever it says, it says of which file."""
    assert str(error).startswith(str(path))
    assert len(str(error)) < 2000


def test_the_whole_manifest_is_good(study: Path) -> None:
    (study / "m.yaml").write_text(yaml.safe_dump(WHOLE))
    assert try_all(study / "m.yaml") == []


@FEW
@given(st.sampled_from(paths_of(WHOLE)), anything, st.sampled_from(["replace", "delete", "rename"]))
def test_a_manifest_with_one_thing_changed(study: Path, path: tuple[Any, ...], value: Any, how: str) -> None:
    changed = copy.deepcopy(WHOLE)
    at: Any = changed
    for step in path[:-1]:
        at = at[step]
    if how == "replace":
        at[path[-1]] = value
    else:
        old = at.pop(path[-1])
        if how == "rename" and isinstance(at, dict):
            at[str(value)[:20]] = old
    (study / "m.yaml").write_text(yaml.safe_dump(changed, allow_unicode=True), encoding="utf-8")
    assert all("m.yaml" in text or str(study) in text or "recording" in text for text in try_all(study / "m.yaml"))


@FEW
@given(st.one_of(st.binary(max_size=200), st.text(max_size=200).map(lambda text: text.encode("utf-8", "ignore"))))
@example(b"groups: !!timestamp x")
@example(b"? [a]\n: b")
@example(b"<<: [1]")
@example(b"2024-13-45: 1")
def test_any_bytes_as_a_manifest(study: Path, content: bytes) -> None:
    (study / "m.yaml").write_bytes(content)
    assert "m.yaml" in try_all(study / "m.yaml")[0]


SPEC = ImuSpec("x", {"wrist": SensorSpec(AccelerationSpec([2, 3, 4], "m/s^2"))}, TimeSpec(1, "s"), csv=CsvSpec())
cells = st.one_of(
    st.floats(-1e4, 1e4).map(repr), st.integers(-99, 99).map(str), st.sampled_from([*DEFAULT_NULLS, "1e999", "-", '"']),
    st.text(max_size=4),
)  # fmt: skip
rows = st.lists(st.lists(cells, min_size=3, max_size=3), min_size=2, max_size=12)


@FEW
@given(rows, st.sampled_from(["\n", "\r\n", "\n\n"]))
@example([["0.0", "0.0", "0.0"], ["0.0", "0.0", '"']], "\n")
@example([["0.0", "0.0", "0.0"], ["0.0", "0.0", '"0.5']], "\n")
def test_a_table_is_read_as_it_stands_or_refused(study: Path, table: list[list[str]], end: str) -> None:
    """No NaN but where the file says so, and every number as Python reads it."""
    lines = ["t,x,y,z", *(",".join([f"{i / 100:.2f}", *row]) for i, row in enumerate(table))]
    path = study / "fuzz.csv"
    path.write_bytes(end.join(lines).encode("utf-8", "surrogatepass"))
    try:
        motion = read_motion(path, SPEC)
        values = motion.values["wrist"][:, :3]
    except RecordingError as error:
        check_message(error, path)
        return
    # A last row that is broken off is left out, and said; here the file has no line end behind it.
    left_out = sum("broken off" in note for note in motion.notes)
    assert left_out <= 1
    assert values.shape == (len(table) - left_out, 3)
    for row, found in zip(table, values, strict=not left_out):
        for text, number in zip(row, found, strict=True):
            if np.isnan(number):
                assert text in DEFAULT_NULLS or text.strip().lower().lstrip("+-") == "nan"
            else:
                assert float(text) == number


@FEW
@given(st.binary(max_size=300), st.sampled_from(["a.csv", "a.tsv", "a.parquet", "a.npy"]), st.booleans())
@example(b"\x93NUMPY\x01\x00\x10\x00" + b"(" * 16, "a.npy", True)
@example(
    b"\x93NUMPY\x01\x00\x76\x00{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999, 4), }\n", "a.npy", True
)
@example(b"t,x,y,z\n" + b'"' * 200, "a.csv", True)
def test_any_bytes_as_a_table(study: Path, content: bytes, name: str, header: bool) -> None:
    path = study / name
    path.write_bytes(content)
    spec = ImuSpec("x", SPEC.sensors, SPEC.time, csv=CsvSpec(header=header))
    try:
        assert np.isfinite(read_motion(path, spec).times).all()
    except RecordingError as error:
        check_message(error, path)


@settings(FEW, max_examples=100)
@given(st.data(), st.sampled_from(["a.parquet", "a.npy"]))
def test_a_damaged_file_is_refused_or_read_whole(study: Path, data: st.DataObject, name: str) -> None:
    path = study / name
    table = np.column_stack([np.arange(40) / 50, np.ones((40, 3))])
    if name == "a.npy":
        np.save(path, table)
    else:
        pd.DataFrame(table, columns=list("txyz")).to_parquet(path)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(len(content) // 2, len(content)))])
    try:
        motion = read_motion(path, SPEC)
    except RecordingError as error:
        check_message(error, path)
    else:
        assert motion.times.size >= 2
        assert np.isfinite(motion.times).all()


@FEW
@given(st.lists(st.lists(cells, min_size=3, max_size=3), max_size=6), st.sampled_from(["s", "iso8601", "h:m:s"]))
def test_labels_are_read_as_they_stand_or_refused(study: Path, table: list[list[str]], unit: str) -> None:
    path = study / "labels.csv"
    path.write_text("\n".join(["start,end,activity", *(",".join(row) for row in table)]), encoding="utf-8")
    try:
        intervals = read_intervals(path, LabelsSpec(files="x", unit=unit))
    except RecordingError as error:
        check_message(error, path)
    else:
        assert len(intervals) == len(table)
        assert all(i.end > i.start and i.activity for i in intervals)
