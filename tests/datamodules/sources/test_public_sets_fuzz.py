"""Whatever a published set's file holds: a RecordingError that explains it, or numbers that stand in the file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers import made_sets
from helpers.published_sets import SETS, load
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datamodules.recording import RecordingError

FEW = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
junk = st.one_of(
    st.binary(max_size=12),
    st.sampled_from([b"NaN", b"inf", b"1e999", b"-", b"\x00", b"\n", b"\r", b",", b" ", b'"', b"1_0", b"", b"9" * 30]),
)


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
