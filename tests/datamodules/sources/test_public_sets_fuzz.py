"""Whatever a published set's file holds: a RecordingError that explains it, or numbers that stand in the file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers import made_bvh, made_sets
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datamodules.recording import RecordingError
from datamodules.sources.registry import make_source
from datamodules.windows.checks import check_recording

FEW = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
# Set -> what writes it (and returns the file that is changed), and the recording that is loaded.
SETS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "bvh": (made_bvh.write_bandai, "dataset-1_walk_normal_001"),
    "usc_had": (made_sets.write_usc_had, "Subject1_a4t2"),
    "hapt": (lambda root: made_sets.write_hapt(root) / "acc_exp10_user05.txt", "exp10_user05"),
    "hapt labels": (lambda root: made_sets.write_hapt(root) / "labels.txt", "exp01_user01"),
    "motionsense": (made_sets.write_motionsense, "dws_1_sub_1"),
    "pamap2": (made_sets.write_pamap2, "subject101_Protocol"),
    "harth": (made_sets.write_harth, "S006"),
    "realworld": (made_sets.write_realworld, "proband4_walking_2"),
    "realworld text": (made_sets.write_realworld, "proband4_walking_2"),
    "fog_star": (made_sets.write_fog_star, "subject1_session1_task1"),
    "weargait_pd": (made_sets.write_weargait_pd, "NLS002_SelfPace_matTURN"),
}
junk = st.one_of(
    st.binary(max_size=12),
    st.sampled_from([b"NaN", b"inf", b"1e999", b"-", b"\x00", b"\n", b"\r", b",", b" ", b'"', b"1_0", b"", b"9" * 30]),
)


def load(root: Path, name: str) -> list[np.ndarray]:
    """What a build does; the values of each sensor."""
    source = make_source(name.split()[0], {"root": str(root)})
    source.names()
    recording = source.load(SETS[name][1])
    check_recording(recording)
    return [stream.values for stream in recording.imus]


@pytest.fixture(scope="module", params=list(SETS))
def written(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path, Path, int]:
    name: str = request.param
    root = tmp_path_factory.mktemp(name.replace(" ", "_"))
    path = SETS[name][0](root)
    lost = sum(
        int(np.isnan(values).any(axis=1).sum()) for values in load(root, name) if np.isfinite(values).all(0).any()
    )
    return name, root, path, lost


def check_message(message: str, root: Path) -> None:
    """Whatever it says, it says of which file."""
    assert str(root) in message
    assert len(message) < 2000


def check(name: str, root: Path, path: Path, content: bytes, most_lost: int) -> None:
    """Changed so, the set is read without a loss that the change does not explain, or refused in words."""
    original = path.read_bytes()
    path.write_bytes(content)
    try:
        for values in load(root, name):
            measured = values[:, ~np.isnan(values).all(axis=0)]
            assert np.isnan(measured).any(axis=1).sum() <= most_lost
    except RecordingError as error:
        check_message(str(error), root)
    finally:
        path.write_bytes(original)


@FEW
@given(data=st.data())
def test_a_file_with_a_few_bytes_changed(written: tuple[str, Path, Path, int], data: st.DataObject) -> None:
    name, root, path, lost = written
    content = path.read_bytes()
    text = made_sets.realworld_text(made_sets.motion(60)[:, :3]).encode()
    if name == "realworld text":  # inside of the archive
        content = text
    at = data.draw(st.integers(0, len(content)))
    cut = data.draw(st.sampled_from([0, 1, 5, 100]))
    put = data.draw(junk)
    changed = content[:at] + put + content[at + cut :]
    if name == "realworld text":
        changed = made_sets.zipped({"acc_walking_2_chest.csv": changed})
    # A field may be emptied, and a whole line lost; nothing else may become missing.
    check(name, root, path, changed, lost + 2)


@FEW
@given(
    content=st.one_of(st.binary(max_size=200), st.text(max_size=100).map(lambda text: text.encode("utf-8", "ignore")))
)
def test_any_bytes_as_a_file(written: tuple[str, Path, Path, int], content: bytes) -> None:
    name, root, path, _ = written
    if name == "realworld text":
        content = made_sets.zipped({"acc_walking_2_chest.csv": content})
    check(name, root, path, content, 0)


@FEW
@given(share=st.floats(0, 1))
def test_a_file_that_ends_early(written: tuple[str, Path, Path, int], share: float) -> None:
    name, root, path, lost = written
    content = path.read_bytes()
    check(name, root, path, content[: int(share * len(content))], lost + 1)
