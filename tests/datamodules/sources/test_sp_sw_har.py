"""SP-SW-HAR as published: a phone and a watch, milliseconds since 1970."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers.real_data import real_data

from datamodules.recording import RecordingError
from datamodules.sources.sp_sw_har import SpSwHar, SpSwHarParams
from datamodules.windows.checks import check_recording

HEADER = "x_acc,y_acc,z_acc,x_gyro,y_gyro,z_gyro,timestamp,label"


def write(root: Path, name: str = "s01_01", delay_ms: int = 40) -> Path:
    folder = root / name[:3]
    folder.mkdir(parents=True, exist_ok=True)
    for device, late in (("sp", delay_ms), ("sw", 0)):
        lines = [
            f"0.1,0.2,9.8,{i % 7 / 100},0,0,{1657533977000 + late + 10 * i},{'SEATED' if i < 100 else 'WALKING'}"
            for i in range(300)
        ]
        (folder / f"{name}_{device}.csv").write_text("\n".join([HEADER, *lines]) + "\n")
    info = "execution_id,orientation,first_turn,second_turn\ns01_01,back_inv,l,r\n"
    (root / "executions_info.csv").write_text(info)
    return folder / f"{name}_sw.csv"


def test_both_devices_on_one_clock(tmp_path: Path) -> None:
    write(tmp_path)
    source = SpSwHar(SpSwHarParams(str(tmp_path)))
    assert source.names() == ["s01_01"]
    recording = source.load("s01_01")
    check_recording(recording)
    assert [s.placement for s in recording.imus] == ["pocket", "wrist"]
    assert recording.imus[0].times[0] == pytest.approx(0.04, abs=1e-6)
    assert [(i.activity, round(i.start, 3), round(i.end, 3)) for i in recording.activities] == [
        ("seated", 0.0, 1.0),
        ("walking", 1.0, 3.0),
    ]
    assert recording.metadata == {"phone_orientation": "back_inv", "first_turn": "l", "second_turn": "r"}


def test_what_is_no_execution_or_no_activity_is_named(tmp_path: Path) -> None:
    path = write(tmp_path)
    source = SpSwHar(SpSwHarParams(str(tmp_path)))
    with pytest.raises(RecordingError, match="is no execution of SP-SW-HAR"):
        source.load("s1_1")
    path.write_text(path.read_text().replace("WALKING", "FLYING"))
    with pytest.raises(RecordingError, match=r"s01_01_sw\.csv, line 102, column 'label': found FLYING"):
        source.load("s01_01")
    with pytest.raises(ValueError, match="no SP-SW-HAR here"):
        SpSwHar(SpSwHarParams(str(tmp_path / "away"))).names()


def test_published_executions() -> None:
    source = SpSwHar(SpSwHarParams(str(real_data("sp-sw-har"))))
    names = source.names()
    assert len(names) == 223
    assert len({source.subject_of(name) for name in names}) == 23
    for name in names[::15]:
        recording = source.load(name)
        check_recording(recording)
        for stream in recording.imus:
            # Walking with a phone in the pocket raises the median: all executions lie between 9.6 and 11.5.
            assert 9.5 < np.median(np.linalg.norm(stream.values[:, :3], axis=1)) < 11.6
            assert 1 / np.median(np.diff(stream.times)) == pytest.approx(103, abs=5)
        assert {i.activity for i in recording.activities} == {
            "seated", "standing_up", "walking", "turning", "sitting_down",
        }  # fmt: skip
