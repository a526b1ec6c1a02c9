"""Features of several sets read as one: each window's own, and the statistics of all of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers.made_features import encode

from datamodules.build.run import build
from datamodules.features.build import ViewSettings, build_features
from datamodules.features.cache import FeatureCache
from datamodules.features.meta import FeatureCacheError
from datamodules.features.mixed import MixedFeatures
from datamodules.shards.mixed import MixedShards
from datamodules.shards.reader import ShardSet
from datamodules.windows.cut import WindowSettings


def made(directory: Path, first: int, camera: str | None, session_s: int) -> ShardSet:
    params: dict[str, object] = {
        "subjects": 1,
        "sessions_per_subject": 1,
        "session_s": session_s,
        "first_subject": first,
    }
    settings = WindowSettings(duration_s=4.0, stride_s=2.0, frames=3, frame_size=16)
    params |= {"placements": ["head"], "cameras": ["head"], "frame_rate_hz": 4.0}
    build("simulator", params, directory, settings, "head", camera, workers=1)
    return ShardSet.open(directory)


def cached(directory: Path, shards: ShardSet, views: int = 2) -> FeatureCache:
    return build_features(directory, shards, encode, "vit-1", ViewSettings(count=views))


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> tuple[MixedShards, list[FeatureCache | None]]:
    folder = tmp_path_factory.mktemp("mixed")
    parts = [
        ("first", made(folder / "a", 0, "head", 20)),
        ("motion", made(folder / "b", 1, None, 20)),
        ("second", made(folder / "c", 2, "head", 30)),
    ]
    caches = [cached(folder / f"f-{name}", part) if part.settings.frames else None for name, part in parts]
    return MixedShards(parts), caches


def test_each_window_has_its_own_features(sets: tuple[MixedShards, list[FeatureCache | None]]) -> None:
    shards, caches = sets
    mixed = MixedFeatures(shards, caches)
    windows = np.random.default_rng(0).permutation(np.flatnonzero(shards.paired))
    views = windows % 2
    found = mixed.take(windows, views)
    first = np.cumsum([0, *(part.n_windows for _, part in shards.parts)])
    for window, view, row in zip(windows, views, found, strict=True):
        part = int(shards.part_of[window])
        own = caches[part]
        assert own is not None
        np.testing.assert_array_equal(row, own.take(np.array([window - first[part]]), np.array([view]))[0])
    with pytest.raises(ValueError, match="data set 'motion' has no video, and so no features"):
        mixed.take(np.flatnonzero(~shards.paired)[:1])


def test_statistics_are_those_of_all_frames(sets: tuple[MixedShards, list[FeatureCache | None]]) -> None:
    shards, caches = sets
    mixed = MixedFeatures(shards, caches)
    everything = np.arange(shards.n_windows)
    frames = mixed.take(everything[shards.paired]).astype(np.float64)
    assert shards.frame_times(everything[shards.paired])[1].all()  # so windows and frames count alike
    mean, deviation = mixed.statistics(everything)
    np.testing.assert_allclose(mean, frames.mean(axis=(0, 1)), rtol=1e-5)  # sums in float32 steps
    np.testing.assert_allclose(deviation, frames.std(axis=(0, 1)), rtol=1e-4)


def test_what_cannot_be_read_as_one_is_refused(
    sets: tuple[MixedShards, list[FeatureCache | None]], tmp_path: Path
) -> None:
    shards, caches = sets
    with pytest.raises(FeatureCacheError, match="none of these sets has features"):
        MixedFeatures(shards, [None, None, None])
    other = cached(tmp_path / "other", shards.parts[2][1], views=1)
    with pytest.raises(FeatureCacheError, match=r"views, frames and width are \(1, 3, 2\), those of .* \(2, 3, 2\)"):
        MixedFeatures(shards, [caches[0], None, other])
