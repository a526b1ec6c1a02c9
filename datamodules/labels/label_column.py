"""Columns of names, one a window: of recordings, subjects, activities.

As strings such a column takes a hundred bytes a window, as a :class:`pandas.Categorical` one to four: a data set has
few names and many windows. The functions here take either, so that a table can also be a few arrays of strings.

Shape legend: N windows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

# Strings (N,), or a Categorical of N: compared, indexed and iterated over in the same way.
LabelColumn = Any
UNLABELLED = ""  # the activity of a window that none labels


def from_codes(codes: NDArray[np.integer], names: Sequence[str]) -> pd.Categorical[str]:
    """The column whose windows have these positions in ``names``, which differ; -1 is "" (no name)."""
    import pandas as pd  # half a second and 60 MB, which reading windows can do without

    shifted = np.asarray(codes + 1)
    return pd.Categorical.from_codes(shifted, categories=pd.Index(["", *names], dtype=object))


def repeated(names: Sequence[str], times: Sequence[int]) -> pd.Categorical[str]:
    """The column in which each name stands so many times."""
    found, which = numbered(names)
    return from_codes(np.repeat(which, times), found)


def distinct(column: LabelColumn) -> list[str]:
    """The names that occur, sorted."""
    if _is_categorical(column):
        return sorted(str(column.categories[code]) for code in _codes(column))
    return sorted({str(name) for name in column})


def among(column: LabelColumn, names: Iterable[str]) -> NDArray[np.bool_]:
    """Which windows have one of ``names``, (N,)."""
    if _is_categorical(column):
        return np.asarray(column.isin(list(names)))
    return np.isin(column, list(names))


def numbered(column: LabelColumn) -> tuple[list[str], NDArray[np.int64]]:
    """The names that occur, sorted, and each window's position among them, (N,)."""
    found = distinct(column)
    return found, positions(column, found)


def positions(column: LabelColumn, names: Sequence[str]) -> NDArray[np.int64]:
    """Each window's position in ``names``, (N,).

    Raises:
        KeyError: a window has another name.
        ValueError: a window has none, not even "".
    """
    place = {name: i for i, name in enumerate(names)}
    if not _is_categorical(column):
        return np.array([place[str(name)] for name in column], np.int64)
    table = np.full(len(column.categories), -1, np.int64)
    for code in _codes(column):
        table[code] = place[str(column.categories[code])]
    return np.asarray(table[column.codes])


def concatenated(columns: Sequence[LabelColumn]) -> pd.Categorical[str]:
    """One column after the other."""
    if len(columns) == 1 and _is_categorical(columns[0]):
        found: pd.Categorical[str] = columns[0]
        return found
    parts = [numbered(column) for column in columns]
    names = sorted({name for found, _ in parts for name in found} - {""})
    place = {"": -1, **{name: i for i, name in enumerate(names)}}
    codes = [np.array([place[name] for name in found], np.int32)[inverse] for found, inverse in parts]
    return from_codes(np.concatenate([np.empty(0, np.int32), *codes]), names)


def prefixed(prefixes: LabelColumn, column: LabelColumn) -> pd.Categorical[str]:
    """Of each window its prefix, a slash and its name."""
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
    """Those that occur."""
    found: list[int] = np.unique(column.codes).tolist()
    if found and found[0] < 0:
        raise ValueError("a column of names lacks some of them; where there is none, it has to be ''")
    return found
