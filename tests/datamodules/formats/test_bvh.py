from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from datamodules.formats.bvh import read_bvh
from datamodules.recording import RecordingError

TEXT = """HIERARCHY
ROOT Hips
{
  OFFSET 1.0 2.0 3.0
  CHANNELS 6 Xposition Yposition Zposition Zrotation Yrotation Xrotation
  JOINT Left Leg {
    OFFSET 0 -4e1 0
    CHANNELS 1 Xrotation
    End Site
    {
      OFFSET 0 -42 0
    }
  }
}
MOTION
Frames: 2
Frame Time: 0.0333333
0 90 0 1 2 3 4
0 91 0 1 2 3 -5
"""


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize(
    "text",
    [TEXT, TEXT.replace("\n", "\r\n"), "\ufeff" + TEXT, TEXT.replace("Frames: 2", "Frames:\t2\n"), TEXT + "\n\n"],
    ids=["plain", "carriage returns", "byte order mark", "tab and blank line", "blank lines at the end"],
)
def test_joints_channels_and_frames(tmp_path: Path, text: str) -> None:
    found = read_bvh(write(tmp_path / "a.bvh", text))
    hips, leg = found.joints
    assert (hips.name, hips.parent, leg.name, leg.parent) == ("Hips", -1, "Left Leg", 0)
    assert hips.offset.tolist() == [1.0, 2.0, 3.0]
    assert hips.channels[3:] == ("Zrotation", "Yrotation", "Xrotation")
    assert leg.channels == ("Xrotation",)
    assert [end.tolist() for end in leg.ends] == [[0.0, -42.0, 0.0]]
    assert found.frame_time == 0.0333333
    np.testing.assert_array_equal(found.values, [[0, 90, 0, 1, 2, 3, 4], [0, 91, 0, 1, 2, 3, -5]])


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("HIERARCHY\n", "", "", "expected a part HIERARCHY"),
        ("MOTION\n", "", "", "expected a part HIERARCHY"),
        ("OFFSET 1.0 2.0 3.0", "OFFSET 1.0 2.0", "line 4", "three numbers"),
        ("OFFSET 1.0 2.0 3.0", "OFFSET 1.0 2.0 nan", "line 4", "three numbers"),
        ("CHANNELS 6", "CHANNELS 5", "line 5", "CHANNELS, their number"),
        ("Zrotation Y", "Wrotation Y", "line 5", "names of Xposition"),
        ("Zrotation Y", "Yrotation Y", "line 5", "names of Xposition"),
        ("JOINT Left Leg", "JOINT Hips", "line 6", "a name of its own"),
        ("JOINT Left Leg", "ROOT Second", "line 6", "one ROOT"),
        ("JOINT Left Leg", "LIMB Leg", "line 6", "expected ROOT, JOINT"),
        ("ROOT Hips\n{", "ROOT Hips\n", "line 4", "expected '{'"),
        ("    }\n  }\n}", "    }\n  }\n}\n}", "line 15", "no '}' without"),
        ("    }\n  }\n}", "    }\n  }\n", "", "ends inside a joint"),
        ("Frames: 2", "Frames: two", "line 16", "expected 'Frames: N'"),
        ("Frames: 2", "Frames: 3", "line 16", "3 frames are announced, and 2 are there"),
        ("Frame Time: 0.0333333", "Frame Time: 0", "line 17", "expected 0.0001 to 1 s"),
        ("Frame Time: 0.0333333", "Frame Time: 1e30", "line 17", "expected 0.0001 to 1 s"),
        ("Frame Time: 0.0333333\n", "", "line 17", "expected 'Frame Time"),
        ("3 -5", "3", "line 19", "frame 1 has 6 numbers; expected 7"),
        ("3 -5", "3 x", "line 19", "no number"),
        ("3 -5", "3 inf", "line 19", "no number"),
    ],
)
def test_a_malformed_file_is_refused_with_its_line(tmp_path: Path, old: str, new: str, line: str, message: str) -> None:
    assert old in TEXT
    path = write(tmp_path / "bad.bvh", TEXT.replace(old, new))
    with pytest.raises(RecordingError) as caught:
        read_bvh(path)
    assert str(path) in str(caught.value)
    assert line in str(caught.value)
    assert message in str(caught.value)


def test_a_file_that_is_missing_empty_or_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="there is no such file"):
        read_bvh(tmp_path / "none.bvh")
    with pytest.raises(RecordingError, match="found an empty file"):
        read_bvh(write(tmp_path / "empty.bvh", ""))
    with pytest.raises(RecordingError, match="byte 0 is no text"):
        read_bvh(write(tmp_path / "binary.bvh", "\x80\x81", "latin-1"))


def test_every_cut_of_a_file_is_refused_or_read(tmp_path: Path) -> None:
    path = tmp_path / "cut.bvh"
    for length in range(len(TEXT) - 2):
        with pytest.raises(RecordingError):
            read_bvh(write(path, TEXT[:length]))
