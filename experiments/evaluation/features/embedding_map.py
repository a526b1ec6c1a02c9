"""Embedding maps: a target's windows in an encoder's feature space, grouped by activity, subject or device.

Shape legend: N windows, P width of the features.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.neighbors import NearestNeighbors

from datamodules.labels.label_column import LabelColumn

NEIGHBOURS = 10
_COMPONENTS = 50  # van der Maaten and Hinton (2008) keep as many before t-SNE
_PERPLEXITY = 30.0
_FEWEST = 10  # windows; t-SNE needs at least so many


@dataclass(frozen=True)
class Grouping:
    """One labelling of the windows, and how well it agrees with the feature space.

    Attributes:
        labels: label of each window, (N,).
        agreement: share of a window's ``NEIGHBOURS`` nearest windows that have its label; the mean over windows.
        chance: share among random windows: sum over labels of n (n - 1) / (N (N - 1)).
    """

    labels: tuple[str, ...]
    agreement: float
    chance: float


@dataclass(frozen=True)
class EmbeddingMap:
    """Windows in a plane.

    Attributes:
        points: (N, 2), without unit; near points were near in the feature space, far points need not have been far.
        groupings: "activity", "subject", "device" -> grouping; a device's label includes its place on the body.
        layout: method that found the plane, "t-SNE" or, for very few windows, "PCA".
        windows: number of windows that these were drawn from.
    """

    points: NDArray[np.float64]
    groupings: dict[str, Grouping]
    layout: str
    windows: int


def draw_windows(windows: NDArray[np.int64], most: int, seed: int = 0) -> NDArray[np.int64]:
    """Draw at most ``most`` of these windows at random; their order is kept."""
    if len(windows) <= most:
        return windows
    return windows[np.sort(np.random.default_rng(seed).choice(len(windows), size=most, replace=False))]


def make_embedding_map(
    features: NDArray[np.floating],
    activity: LabelColumn,
    subject: LabelColumn,
    device: LabelColumn,
    placement: LabelColumn | None = None,
    drawn_from: int = 0,
) -> EmbeddingMap:
    """Standardise, keep the main components, and lay out by t-SNE (van der Maaten & Hinton 2008).

    Args:
        features: (N, P), N at least 1.
        activity: activity of each window, (N,).
        subject: subject of each window, (N,).
        device: device that measured each window, (N,).
        placement: placement of the device on the body, (N,); without it, labels name the device alone.
        drawn_from: number of windows that these were drawn from (:func:`draw_windows`); 0 if these are all.

    Raises:
        ValueError: lengths differ, there is no window, or a feature is not finite.
    """
    n = len(features)
    columns = {"activity": activity, "subject": subject, "device": device}
    if placement is not None:
        columns["placement"] = placement
    for name, column in columns.items():
        if len(column) != n:
            raise ValueError(f"{len(column)} values of {name} for {n} windows: expected one each")
    if n == 0:
        raise ValueError("a map of 0 windows: expected at least one")
    if not np.isfinite(features).all():
        raise ValueError("features have values that are not finite")
    labels = {name: [str(value) or "none" for value in column] for name, column in columns.items()}
    if placement is not None:
        pairs = zip(labels["device"], labels.pop("placement"), strict=True)
        labels["device"] = [f"{thing}, {place}" for thing, place in pairs]
    reduced = _reduced(np.asarray(features, np.float64))
    points, layout = _laid_out(reduced)
    nearest = _nearest(reduced)
    groupings = {name: _grouping(values, nearest) for name, values in labels.items()}
    return EmbeddingMap(points, groupings, layout, drawn_from or n)


def _reduced(features: NDArray[np.float64]) -> NDArray[np.float64]:
    spread = features.std(axis=0)
    told = spread > 0
    if not told.any():
        return np.zeros((len(features), 2))
    standard = (features[:, told] - features[:, told].mean(axis=0)) / spread[told]
    components = min(_COMPONENTS, *standard.shape)
    # A full decomposition depends on nothing but the features.
    return np.asarray(PCA(components, svd_solver="full").fit_transform(standard))


def _laid_out(reduced: NDArray[np.float64]) -> tuple[NDArray[np.float64], str]:
    n = len(reduced)
    if n < _FEWEST or not reduced.any():
        plane = np.zeros((n, 2))
        plane[:, : min(2, reduced.shape[1])] = reduced[:, :2]
        return plane, "PCA"
    tsne = TSNE(
        perplexity=min(_PERPLEXITY, (n - 1) / 3), init="pca" if reduced.shape[1] > 1 else "random", random_state=0
    )
    return np.asarray(tsne.fit_transform(reduced), np.float64), "t-SNE"


def _nearest(reduced: NDArray[np.float64]) -> NDArray[np.int64]:
    """Find the nearest other windows of each window, (N, k)."""
    k = min(NEIGHBOURS, len(reduced) - 1)
    if k == 0:
        return np.empty((len(reduced), 0), np.int64)
    search = NearestNeighbors(n_neighbors=k).fit(reduced)
    return np.asarray(search.kneighbors(return_distance=False), np.int64)  # without the window itself


def _grouping(labels: list[str], nearest: NDArray[np.int64]) -> Grouping:
    n = len(labels)
    if nearest.shape[1] == 0:
        return Grouping(tuple(labels), 1.0, 1.0)
    codes, counts = np.unique(labels, return_inverse=True, return_counts=True)[1:]
    agreement = float((codes[nearest] == codes[:, None]).mean())
    return Grouping(tuple(labels), agreement, float((counts * (counts - 1)).sum() / (n * (n - 1))))
