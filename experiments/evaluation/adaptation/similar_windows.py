"""Similar windows of one person: probabilities that agree where a person's windows look alike.

People differ in how they do an activity, and repeat it much alike themselves. So each window is joined with the nearest
windows of the same person. Joined windows pull their probabilities towards each other, the more the closer they are
(Zhu, Ghahramani and Lafferty 2003, "Semi-supervised learning using Gaussian fields and harmonic functions"; here a
window's own probabilities count as well). A window that has no close one keeps its own.

Shape legend: N windows of the target, W windows to be predicted, S seen windows, P features, C classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array, diags_array
from scipy.sparse.linalg import splu

from experiments.evaluation.features.feature_table import FeatureRows, Indices
from experiments.evaluation.methods.handcrafted import CLIP
from lightning_modules.probe import Standardisation

# Both chosen on UTD-MHAD's people 1, 3, 5, 7.
NEAREST = 3  # windows that each window is joined with
PULL = 3.0  # weight of a window at distance 0; a window's own probabilities count 1

FEWEST = 3  # seen windows of a person; with fewer, nothing is joined
STRETCH = 1024  # seen windows that are compared with each other, in the order of the recordings

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Similarity:
    """What makes two windows of a person similar.

    Attributes:
        tables: tables of features, each (N, P); all count alike.
        owners: number of each window's person, (N,).
        scale: squared distance at which a pull is 1/e of the strongest; 0 joins nothing.
    """

    tables: Sequence[FeatureRows]
    owners: NDArray[np.int64]
    scale: float = 0.0

    def typical(self, windows: Indices) -> float:
        """Compute the median squared distance from these windows, of any people, to their nearest ones; 0 without."""
        found = [np.zeros(0)]
        for own in self._by_person(windows, FEWEST):
            places = _Places.of(self.tables, own)
            found += [_squares_within(places(part)).min(axis=1) for part in _stretches(own)]
        squares = np.concatenate(found)
        return float(np.median(squares)) if len(squares) else 0.0

    def alike(self, seen: Indices, labelled: Indices, labels: Indices, scores_of: Callable[[Indices], Floats]) -> float:
        """Compute the share of labelled windows whose joined windows are thought to show the same activity.

        Args:
            seen: unlabelled windows that may be looked at, ascending, (S,); labelled ones may be among them.
            labelled: windows with a label, of any people.
            labels: their activities.
            scores_of: gives probabilities of windows.
        """
        if self.scale <= 0:
            return 0.0
        right = 0
        for own in self._by_person(seen, FEWEST):
            places = _Places.of(self.tables, own)
            asked = np.flatnonzero(self.owners[labelled] == self.owners[own[0]])
            for part, _, rows in _side_by_side(own, labelled[asked]):
                if not len(rows):
                    continue
                windows = labelled[asked[rows]]
                squares = _squares(places(windows), places(part))
                squares[windows[:, None] == part] = np.inf  # a window says nothing of itself
                pulls = self._pulls(squares)
                near = np.flatnonzero(pulls.any(axis=0))
                if len(near):
                    voted = (pulls[:, near] @ scores_of(part[near])).argmax(axis=1)
                    right += int((pulls.any(axis=1) & (voted == labels[asked[rows]])).sum())
        return right / len(labelled)

    def agreed(self, seen: Indices, seen_scores: Floats, windows: Indices, scores: Floats) -> Floats:
        """Let the probabilities of similar windows agree, person by person.

        Args:
            seen: unlabelled windows that may be looked at, ascending, (S,).
            seen_scores: their probabilities, (S, C).
            windows: windows to be predicted, (W,). Those that are not among the seen ones are pulled by these, and
                pull nothing.
            scores: their probabilities, (W, C).

        Returns:
            (W, C); rows keep their sum where all of a person have the same.
        """
        if self.scale <= 0:
            return scores
        found = scores.copy()
        for known in self._by_person(seen, FEWEST):
            places = _Places.of(self.tables, known)
            their = seen_scores[np.searchsorted(seen, known)]
            own = np.flatnonzero(self.owners[windows] == self.owners[known[0]])
            for part, rows, asked in _side_by_side(known, windows[own]):
                at = own[asked]
                found[at] = self._pulled(places, part, their[rows], windows[at], scores[at])
        return found

    def _pulled(self, places: _Places, seen: Indices, seen_scores: Floats, windows: Indices, scores: Floats) -> Floats:
        at = places(seen)
        agreed = self._harmonic(at, seen_scores)
        place = np.minimum(np.searchsorted(seen, windows), len(seen) - 1)
        inside = seen[place] == windows
        found = np.empty_like(scores)
        found[inside] = agreed[place[inside]]
        if not inside.all():
            pulls = self._pulls(_squares(places(windows[~inside]), at))
            found[~inside] = (scores[~inside] + pulls @ agreed) / (1 + pulls.sum(axis=1, keepdims=True))
        return found

    def _harmonic(self, at: Floats, scores: Floats) -> Floats:
        """Solve for the probabilities at which every window balances its own scores with the pulls, (S, C)."""
        pulls = self._pulls(_squares_within(at))
        both = csc_array((pulls + pulls.T) / 2)
        system = csc_array(diags_array(1 + both.sum(axis=1)) - both)
        return np.asarray(splu(system).solve(scores))

    def _pulls(self, squares: Floats) -> Floats:
        """Weigh the nearest of each row's windows, the others 0; from squared distances (W, S) to (W, S)."""
        nearest = np.argsort(squares, axis=1, kind="stable")[:, : min(NEAREST, squares.shape[1] - 1)]
        found = np.zeros_like(squares)
        strong = PULL * np.exp(-np.take_along_axis(squares, nearest, axis=1) / self.scale)
        np.put_along_axis(found, nearest, strong, axis=1)
        return found

    def _by_person(self, windows: Indices, fewest: int) -> Iterator[Indices]:
        """Yield the windows of each person who has enough of them."""
        for person in np.unique(self.owners[windows]).tolist():
            own = windows[self.owners[windows] == person]
            if len(own) >= fewest:
                yield own


@dataclass(frozen=True)
class _Places:
    """Where a person's windows lie: features in units of the person's own deviation, each table's of length 1."""

    tables: Sequence[FeatureRows]
    own: Sequence[Standardisation]

    @classmethod
    def of(cls, tables: Sequence[FeatureRows], windows: Indices) -> _Places:
        return cls(tables, [replace(Standardisation.over(rows.blocks(windows)), clip=CLIP) for rows in tables])

    def __call__(self, windows: Indices) -> Floats:
        found = []
        for rows, own in zip(self.tables, self.own, strict=True):
            table = own(rows[windows])
            found.append(table / np.maximum(np.linalg.norm(table, axis=1, keepdims=True), 1e-12))
        return np.concatenate(found, axis=1)


def _squares(rows: Floats, others: Floats) -> Floats:
    """Compute squared distances, (W, P) and (S, P) -> (W, S)."""
    found = (rows**2).sum(axis=1)[:, None] + (others**2).sum(axis=1) - 2 * rows @ others.T
    return np.asarray(np.maximum(found, 0.0))


def _squares_within(rows: Floats) -> Floats:
    """Compute squared distances of different windows, (S, P) -> (S, S); a window is far from itself."""
    found = _squares(rows, rows)
    np.fill_diagonal(found, np.inf)
    return found


def _stretches(windows: Indices) -> list[Indices]:
    return np.array_split(windows, -(-len(windows) // STRETCH))


def _side_by_side(seen: Indices, windows: Indices) -> Iterator[tuple[Indices, Indices, Indices]]:
    """Yield a stretch of seen windows, its rows among them, and the rows of ``windows`` that belong to it."""
    parts = _stretches(seen)
    belongs = np.searchsorted([part[0] for part in parts[1:]], windows, side="right")
    start = 0
    for number, part in enumerate(parts):
        yield part, np.arange(start, start + len(part)), np.flatnonzero(belongs == number)
        start += len(part)
