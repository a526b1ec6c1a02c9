from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datamodules.labels.label_column import (
    among,
    concatenated,
    distinct,
    from_codes,
    numbered,
    positions,
    prefixed,
    repeated,
)

NAMES = st.lists(st.sampled_from(["", "a", "b", "ba", "10", "2", "\u00e9"]), max_size=12)


def columns(names: list[str]) -> list[Any]:
    """The same column as strings and as a Categorical, whose categories need not all occur."""
    known = ["unused", *dict.fromkeys(name for name in names if name)]
    codes = np.array([known.index(name) if name else -1 for name in names], np.int32)
    return [np.array(names, np.str_), from_codes(codes, known)]


@given(NAMES)
def test_strings_and_categories_say_the_same(names: list[str]) -> None:
    for column in columns(names):
        assert list(column) == names
        assert distinct(column) == sorted(set(names))
        found, which = numbered(column)
        assert found == sorted(set(names))
        assert [found[i] for i in which] == names
        assert among(column, ["a", "10", "nobody"]).tolist() == [name in ("a", "10") for name in names]
        assert (column == "a").tolist() == [name == "a" for name in names]
        assert (column != "a").tolist() == [name != "a" for name in names]


@given(NAMES, NAMES, st.data())
def test_columns_one_after_the_other_and_with_prefixes(
    first: list[str], second: list[str], data: st.DataObject
) -> None:
    for one in columns(first):
        for other in columns(second):
            assert list(concatenated([one, other])) == first + second
    prefixes = data.draw(st.lists(st.sampled_from(["x", "y/z"]), min_size=len(first), max_size=len(first)))
    for one in columns(first):
        for before in columns(prefixes):
            found = prefixed(before, one)
            assert list(found) == [f"{a}/{b}" for a, b in zip(prefixes, first, strict=True)]
            assert set(found.categories) - {""} == set(found) - {""}


def test_names_are_repeated() -> None:
    assert list(repeated(["b", "a", "b"], [2, 0, 1])) == ["b", "b", "b"]
    assert list(repeated(["b", "a"], [1, 2])) == ["b", "a", "a"]


def test_a_name_without_a_position_is_refused() -> None:
    for column in columns(["a", "b"]):
        assert positions(column, ["b", "c", "a"]).tolist() == [2, 0]
        with pytest.raises(KeyError, match="b"):
            positions(column, ["a"])


def test_more_names_than_a_byte_holds() -> None:
    names = [f"n{i}" for i in range(300)]
    column = from_codes(np.arange(300), names)
    found = prefixed(repeated(["x", "y"], [150, 150]), column)
    assert found.tolist() == [f"{'x' if i < 150 else 'y'}/n{i}" for i in range(300)]
    assert [distinct(found)[i] for i in numbered(found)[1]] == found.tolist()


def test_a_name_that_is_missing_is_refused() -> None:
    column = pd.Categorical(["a", None, "b"])
    for look in (distinct, numbered, lambda names: positions(names, ["a", "b"])):
        with pytest.raises(ValueError, match="missing entries"):
            look(column)


def test_a_million_windows_take_a_byte_each() -> None:
    column = from_codes(np.arange(1_000_000) % 7 - 1, list("abcdef"))
    assert isinstance(column, pd.Categorical)
    assert column.codes.nbytes == 1_000_000
    assert column[[0, 1]].tolist() == ["", "a"]
