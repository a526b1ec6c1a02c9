"""Columns of names with one entry per window, e.g. recordings, subjects or activities.

A data set has few names and many windows. A column of strings takes a hundred bytes per window; a
:class:`pandas.Categorical` takes one to four. The functions here accept both kinds.

Shape legend: N windows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

# Strings (N,), or a Categorical of N: both support the same comparison, indexing and iteration.
LabelColumn = Any
UNLABELLED = ""  # activity of a window without a label


def from_codes(codes: NDArray[np.integer], names: Sequence[str]) -> pd.Categorical[str]:
    """Create a column from positions in ``names``, which must be distinct; -1 gives "" (no name)."""
    import pandas as pd  # takes half a second and 60 MB, which reading windows does not need

    shifted = np.asarray(codes + 1)
    return pd.Categorical.from_codes(shifted, categories=pd.Index(["", *names], dtype=object))


def repeated(names: Sequence[str], times: Sequence[int]) -> pd.Categorical[str]:
    """Create a column that repeats each name the given number of times."""
    found, which = numbered(names)
    return from_codes(np.repeat(which, times), found)


def distinct(column: LabelColumn) -> list[str]:
    """Return the names that occur, sorted."""
    if _is_categorical(column):
        return sorted(str(column.categories[code]) for code in _codes(column))
    return sorted({str(name) for name in column})


def among(column: LabelColumn, names: Iterable[str]) -> NDArray[np.bool_]:
    """Mark the windows that have one of ``names``, (N,) bool."""
    if _is_categorical(column):
        return np.asarray(column.isin(list(names)))
    return np.isin(column, list(names))


def numbered(column: LabelColumn) -> tuple[list[str], NDArray[np.int64]]:
    """Return the names that occur, sorted, and each window's position among these names, (N,)."""
    found = distinct(column)
    return found, positions(column, found)


def positions(column: LabelColumn, names: Sequence[str]) -> NDArray[np.int64]:
    """Return each window's position in ``names``, (N,).

    Raises:
        KeyError: a window has a name that is not in ``names``.
        ValueError: a window's entry is missing (not even "").
    """
    place = {name: i for i, name in enumerate(names)}
    if not _is_categorical(column):
        return np.array([place[str(name)] for name in column], np.int64)
    table = np.full(len(column.categories), -1, np.int64)
    for code in _codes(column):
        table[code] = place[str(column.categories[code])]
    return np.asarray(table[column.codes])


def concatenated(columns: Sequence[LabelColumn]) -> pd.Categorical[str]:
    """Concatenate columns."""
    if len(columns) == 1 and _is_categorical(columns[0]):
        found: pd.Categorical[str] = columns[0]
        return found
    parts = [numbered(column) for column in columns]
    names = sorted({name for found, _ in parts for name in found} - {""})
    place = {"": -1, **{name: i for i, name in enumerate(names)}}
    codes = [np.array([place[name] for name in found], np.int32)[inverse] for found, inverse in parts]
    return from_codes(np.concatenate([np.empty(0, np.int32), *codes]), names)


def prefixed(prefixes: LabelColumn, column: LabelColumn) -> pd.Categorical[str]:
    """Join each window's prefix and name with a slash."""
    firsts, seconds = concatenated([prefixes]), concatenated([column])
    pairs = np.multiply(firsts.codes, len(seconds.categories), dtype=np.int64) + seconds.codes
    there = np.zeros(len(firsts.categories) * len(seconds.categories), bool)
    there[pairs] = True
    found = [divmod(pair, len(seconds.categories)) for pair in np.flatnonzero(there).tolist()]
    names = [f"{firsts.categories[a]}/{seconds.categories[b]}" for a, b in found]
    return from_codes((np.cumsum(there, dtype=np.int32) - 1)[pairs], names)


def _is_categorical(column: LabelColumn) -> bool:
    return hasattr(column, "categories")


def _codes(column: pd.Categorical[str]) -> list[int]:
    """Return the codes that occur."""
    found: list[int] = np.unique(column.codes).tolist()
    if found and found[0] < 0:
        raise ValueError("a column of names has missing entries; expected '' for a window without a name")
    return found
