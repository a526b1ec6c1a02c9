from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datamodules.sources.manifest.errors import ManifestError
from datamodules.sources.manifest.patterns import Pattern, check_template, fill_template


def make(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("")


def groups(text: str, folder: Path) -> list[dict[str, str]]:
    return [found.groups for found in Pattern(text, folder, "key").find()]


def test_groups_in_folders_and_names(tmp_path: Path) -> None:
    make(tmp_path, "imu/P1/s1_wrist.csv", "imu/P1/s2_wrist.csv", "imu/P2/s1_wrist.csv", "imu/P2/notes.txt", "imu/x.csv")
    assert groups("imu/{subject}/{session}_wrist.csv", tmp_path) == [
        {"subject": "P1", "session": "s1"},
        {"subject": "P1", "session": "s2"},
        {"subject": "P2", "session": "s1"},
    ]
    assert groups("imu/*.csv", tmp_path) == [{}]
    assert groups(f"{tmp_path}/imu/{{name}}.csv", Path("elsewhere")) == [{"name": "x"}]
    assert groups("imu/P1/../P2/{s:alnum}_*.csv", tmp_path) == [{"s": "s1"}]
    assert groups("away/{s}.csv", tmp_path) == []


def test_the_same_group_twice_is_the_same_text(tmp_path: Path) -> None:
    make(tmp_path, "P1/P1_a.csv", "P1/P2_a.csv", "P2/P2_b.csv")
    assert groups("{subject}/{subject}_{part}.csv", tmp_path) == [
        {"subject": "P1", "part": "a"},
        {"subject": "P2", "part": "b"},
    ]


def test_two_ways_to_read_a_name_are_an_error(tmp_path: Path) -> None:
    make(tmp_path, "P_01_2.csv")
    with pytest.raises(ManifestError, match=r"key: 'P_01_2.csv' can be read in two ways.*subject=P.*subject=P_01"):
        groups("{subject}_{session}.csv", tmp_path)
    assert groups("{subject}_{session:alnum}.csv", tmp_path) == [{"subject": "P_01", "session": "2"}]
    assert groups("{a:letters}_{b:digits}_{c:digits}.csv", tmp_path) == [{"a": "P", "b": "01", "c": "2"}]
    assert groups("{a:digits}_*.csv", tmp_path) == []


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "expected the pattern of a file"),
        ("imu/", "expected the pattern of a file"),
        ("**/x.csv", r"'\*\*' is not understood"),
        ("a\\b.csv", "separated by '/'"),
        ("{a}{b}.csv", "nothing separates"),
        ("*{b}.csv", "nothing separates"),
        ("{a b}.csv", "can't name a group"),
        ("{a:word}.csv", "expected one of alnum, digits, letters"),
        ("{a.csv", "a brace is not closed"),
    ],
)
def test_a_bad_pattern_is_named(text: str, says: str) -> None:
    with pytest.raises(ManifestError, match=says):
        Pattern(text, Path(), "key")


def test_a_filled_pattern_finds_the_file_of_a_recording(tmp_path: Path) -> None:
    make(tmp_path, "v/P1_s1_cam.mp4", "v/P1_s2_cam.mp4", "v/a{b}.mp4")
    filled = Pattern("v/{subject}_{session}_*.mp4", tmp_path, "key").fill({"subject": "P1", "session": "s2"})
    assert [found.path.name for found in filled.find()] == ["P1_s2_cam.mp4"]
    # What a group stands for is text, never again a pattern.
    odd = Pattern("v/{subject}.mp4", tmp_path, "key").fill({"subject": "a{b}"})
    assert [found.path.name for found in odd.find()] == ["a{b}.mp4"]
    assert Pattern("v/{subject}.mp4", tmp_path, "key").fill({"subject": "*"}).find() == []


word = st.text("abAB01", min_size=1, max_size=6)


@settings(deadline=None)
@given(subject=word, session=word)
def test_what_was_put_in_comes_out(tmp_path_factory: pytest.TempPathFactory, subject: str, session: str) -> None:
    folder = tmp_path_factory.mktemp("patterns")
    make(folder, f"{subject}/{session}_{subject}.csv")
    pattern = Pattern("{subject}/{session}_{subject}.csv", folder, "key")
    (found,) = pattern.find()
    assert found.groups == {"subject": subject, "session": session}
    assert [f.path for f in pattern.fill(found.groups).find()] == [found.path]


def test_templates() -> None:
    assert fill_template("{site}-{patient}", {"site": "A", "patient": "{site}"}) == "A-{site}"
    check_template("{site}", ["site"], "key")
    with pytest.raises(ManifestError, match=r"key: '\{sit\}' stands for nothing; did you mean 'site'"):
        check_template("{sit}", ["site"], "key")
