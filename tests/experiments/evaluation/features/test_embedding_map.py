"""Maps of features whose neighbours are known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from experiments.evaluation.features.embedding_map import NEIGHBOURS, draw_windows, make_embedding_map


def clusters(groups: int, each: int, width: int = 16) -> tuple[NDArray[np.float64], list[str]]:
    rng = np.random.default_rng(0)
    names = [f"activity {i}" for i in range(groups) for _ in range(each)]
    centres = np.repeat(rng.normal(0, 20, (groups, width)), each, axis=0)
    return centres + rng.normal(0, 1, centres.shape), names


def test_what_orders_the_features_is_told_from_what_does_not() -> None:
    features, activity = clusters(4, 30)
    subject = [f"p{i % 3}" for i in range(120)]
    found = make_embedding_map(features, activity, subject, ["watch"] * 120, ["wrist"] * 120)
    assert found.layout == "t-SNE"
    assert found.points.shape == (120, 2)
    assert found.groupings["activity"].agreement == 1.0
    assert found.groupings["activity"].chance == pytest.approx(29 / 119)
    # Nothing of the person is in them: 0.328 by chance, its standard error about 0.014 over 1200 neighbours.
    assert found.groupings["subject"].agreement == pytest.approx(found.groupings["subject"].chance, abs=0.06)
    device = found.groupings["device"]
    assert set(device.labels) == {"watch, wrist"}
    assert (device.agreement, device.chance) == (1.0, 1.0)


def test_near_windows_stay_near_in_the_plane() -> None:
    features, activity = clusters(3, 20)
    points = make_embedding_map(features, activity, activity, activity).points
    distances = np.linalg.norm(points[:, None] - points[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    assert [activity[i] for i in distances.argmin(axis=1)] == activity


def test_the_same_map_each_time_and_labels_stay_with_their_windows() -> None:
    features, activity = clusters(3, 40)
    drawn = draw_windows(np.arange(120), 50)
    assert (np.diff(drawn) > 0).all()
    assert draw_windows(np.arange(120), 50).tolist() == drawn.tolist() != draw_windows(np.arange(120), 50, 1).tolist()
    assert draw_windows(np.arange(5, 55), 50).tolist() == list(range(5, 55))
    features, activity = features[drawn], [activity[i] for i in drawn]
    first, again = (make_embedding_map(features, activity, activity, activity, drawn_from=120) for _ in range(2))
    assert first.points.tobytes() == again.points.tobytes()
    assert first.groupings == again.groupings
    assert (len(first.points), first.windows) == (50, 120)
    assert first.groupings["activity"].agreement == 1.0  # a wrong order of labels would lower it
    assert make_embedding_map(features, activity, activity, activity).windows == 50


@settings(max_examples=25, deadline=None)
@given(n=st.integers(1, 14), width=st.integers(1, 5), constant=st.booleans())
def test_few_windows_and_features_that_say_nothing(n: int, width: int, constant: bool) -> None:
    rng = np.random.default_rng(n)
    features = np.ones((n, width)) if constant else rng.normal(size=(n, width))
    found = make_embedding_map(features, ["a"] * n, [str(i) for i in range(n)], ["d"] * n)
    assert found.points.shape == (n, 2)
    assert np.isfinite(found.points).all()
    assert found.groupings["activity"].agreement == 1.0
    if n > 1:
        assert found.groupings["subject"].agreement == 0.0
    if n < NEIGHBOURS or constant:
        assert found.layout == "PCA"


def test_what_is_refused() -> None:
    features = np.zeros((3, 2))
    with pytest.raises(ValueError, match="2 values of subject for 3 windows"):
        make_embedding_map(features, "abc", "ab", "abc")
    with pytest.raises(ValueError, match="a map of 0 windows"):
        make_embedding_map(features[:0], [], [], [])
    with pytest.raises(ValueError, match="not finite"):
        make_embedding_map(np.array([[np.nan], [1.0]]), "ab", "ab", "ab")


def test_a_window_without_a_label_is_called_so() -> None:
    found = make_embedding_map(np.arange(4.0)[:, None], ["", "a", "", "a"], "wxyz", "dddd")
    assert found.groupings["activity"].labels == ("none", "a", "none", "a")
