"""Several sets of shards as one: numbers, columns, and that each window stays what it was."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from helpers.fake_shards import FakeShards
from helpers.made_shards import make_shards
from hypothesis import given
from hypothesis import strategies as st

from datamodules.shards.concat import ConcatShards
from datamodules.shards.layout import ShardError
from datamodules.shards.reader import ShardSet


def join(**parts: FakeShards) -> ConcatShards:
    return ConcatShards(list(parts.items()))  # type: ignore[arg-type]


def equal(found: Any, expected: Any) -> bool:
    return all(np.array_equal(a, b) and a.dtype == b.dtype for a, b in zip(found, expected, strict=True))


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> list[ShardSet]:
    """Three sets on the disk, of several shards each."""
    sizes = ([5, 3], [2], [4, 1, 6])
    return [ShardSet.open(make_shards(tmp_path_factory.mktemp(f"set{i}"), s)) for i, s in enumerate(sizes)]


@pytest.fixture(autouse=True)
def sources(sets: list[ShardSet]) -> None:
    for shards in sets:
        shards.index.build["source"] = "made"


def test_windows_are_numbered_through(sets: list[ShardSet]) -> None:
    joined = ConcatShards([("a", sets[0]), ("b", sets[1]), ("c", sets[2])])
    assert joined.n_windows == 8 + 2 + 11
    assert joined.table["dataset"].tolist() == ["a"] * 8 + ["b"] * 2 + ["c"] * 11
    assert all(len(column) == 21 for column in joined.table.values())
    for name in ("activity", "placement", "device", "start_s"):
        assert joined.table[name].tolist() == [value for part in sets for value in part.table[name].tolist()]
    assert joined.simulated
    assert all(str(part.directory) in joined.directory for part in sets)


@given(asked=st.lists(st.integers(0, 20), max_size=40))
def test_windows_of_any_order_with_repeats_are_those_of_their_sets(sets: list[ShardSet], asked: list[int]) -> None:
    joined = ConcatShards([("a", sets[0]), ("b", sets[1]), ("c", sets[2])])
    own = [(part, i) for part in sets for i in range(part.n_windows)]
    found = joined.imu(np.array(asked, np.int64))
    assert [len(array) for array in found] == [len(asked)] * 3
    for position, window in enumerate(asked):
        part, i = own[window]
        expected = part.imu(np.array([i]))
        assert equal([array[position : position + 1] for array in found], expected)


def test_one_set_alone_is_itself(sets: list[ShardSet]) -> None:
    joined = ConcatShards([("only", sets[2])])
    asked = np.array([7, 0, 7, 10])
    assert equal(joined.imu(asked), sets[2].imu(asked))
    assert set(sets[2].table) | {"dataset", "source", "person"} == set(joined.table)
    assert joined.table["subject"].tolist() == sets[2].table["subject"].tolist()


@pytest.mark.parametrize("names", [["a"], ["a", "b", "c"]])
def test_a_gyroscope_that_is_taken_leaves_the_rest_as_it_was(sets: list[ShardSet], names: list[str]) -> None:
    parts = list(zip(names, sets, strict=False))
    asked = np.arange(sum(shards.n_windows for _, shards in parts))
    whole, without = ConcatShards(parts), ConcatShards(parts, gyroscope=False)
    (values, samples, channels), (rest, same_samples, left) = whole.imu(asked), without.imu(asked)
    assert channels[:, 3:].any()
    assert not left[:, 3:].any()
    assert not rest[..., 3:].any()
    assert equal([rest[..., :3], same_samples, left[:, :3]], [values[..., :3], samples, channels[:, :3]])
    assert equal(whole.imu(asked), (values, samples, channels))  # the shards are as they were
    assert whole.fingerprint != without.fingerprint


@pytest.mark.parametrize("asked", [[-1], [21], [0, 21], [5, -3]])
def test_numbers_that_are_not_there_are_refused(sets: list[ShardSet], asked: list[int]) -> None:
    with pytest.raises(IndexError):
        ConcatShards([("a", sets[0]), ("b", sets[1]), ("c", sets[2])]).imu(np.array(asked))
    with pytest.raises(IndexError):
        ConcatShards([("c", sets[2])]).imu(np.array(asked))


def test_two_sets_of_one_source_have_the_same_people() -> None:
    joined = join(chest=FakeShards(("1", "2")), head=FakeShards(("2", "3"), seed=1))
    assert sorted(set(joined.table["person"])) == ["fake/1", "fake/2", "fake/3"]
    assert sorted(set(joined.table["subject"])) == ["1", "2", "3"]
    assert set(joined.table["recording"]) == set(FakeShards(("1", "2")).table["recording"])


def test_people_of_two_sources_are_told_apart_by_every_name() -> None:
    joined = join(a=FakeShards(("1", "2"), source="x"), b=FakeShards(("2", "3"), seed=1, source="y"))
    expected = ["x/1", "x/2", "y/2", "y/3"]
    assert sorted(set(joined.table["person"])) == sorted(set(joined.table["subject"])) == expected
    assert joined.table["recording"][[0, -1]].tolist() == ["x/r0", "y/r47"]
    assert len(set(joined.table["recording"])) == joined.n_windows


def test_long_names_are_not_cut() -> None:
    """Columns of strings have a width, which differs from set to set."""
    joined = join(a=FakeShards(("1",)), b=FakeShards(("somebody with a long name",), seed=1, source="elsewhere"))
    assert joined.table["subject"][-1] == "elsewhere/somebody with a long name"


def test_the_fingerprint_is_of_content_and_order() -> None:
    one, other = FakeShards(), FakeShards(seed=1)
    prints = {
        join(a=one).fingerprint, join(a=other).fingerprint, join(a=one, b=other).fingerprint,
        join(a=other, b=one).fingerprint,
    }  # fmt: skip
    assert len(prints) == 4
    assert join(a=FakeShards(), b=FakeShards(seed=1)).fingerprint in prints


def test_one_simulated_set_makes_all_of_it_simulated() -> None:
    assert not join(a=FakeShards(), b=FakeShards(seed=1)).simulated
    assert join(a=FakeShards(), b=FakeShards(seed=1, simulated=True)).simulated


@pytest.mark.parametrize(
    ("change", "found"),
    [({"imu_rate_hz": 50.0}, "100 samples at 50 Hz"), ({"duration_s": 1.0}, "25 samples at 25 Hz")],
)
def test_windows_of_another_rate_or_length_are_refused(change: dict[str, float], found: str) -> None:
    other = FakeShards(seed=1)
    other.settings = dataclasses.replace(other.settings, **change)  # type: ignore[arg-type]
    with pytest.raises(ShardError, match=f"'second' has windows of {found}, 'first' of 50 at 25 Hz"):
        join(first=FakeShards(), second=other)
