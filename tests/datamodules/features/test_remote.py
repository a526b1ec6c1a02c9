"""Features in a real S3 server: the same as local ones, in a small cache, and checked block by block."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
import torch
from helpers.object_store import bytes_in, damage, put, s3_server

from datamodules.features.build import ViewSettings, build_features
from datamodules.features.cache import FeatureCache
from datamodules.features.meta import FeatureCacheError
from datamodules.features.remote import RemoteFeatureCache, open_features
from datamodules.io.local_cache import LocalCache
from datamodules.io.store import RemoteFolder, StorageError

ROOMY = 10**9


@pytest.fixture(scope="module")
def store() -> Iterator[str]:
    with s3_server() as url:
        yield url


class Clips:
    """Windows whose features come out as known numbers."""

    n_windows = 300
    fingerprint = "clips"

    def frames(self, indices: Any) -> Any:
        level = (indices % 251).astype(np.uint8)[:, None, None, None, None]
        return np.broadcast_to(level, (len(indices), 2, 8, 8, 3)).copy()

    def frame_times(self, indices: Any) -> Any:
        return np.zeros((len(indices), 2), np.float32), np.ones((len(indices), 2), bool)


def encode(frames: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    value = frames.float().mean((2, 3, 4))
    return torch.stack([value, value * 2, torch.sin(value)], dim=-1), value


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("features")
    build_features(directory, Clips(), encode, "vit", ViewSettings(count=2))
    return directory


def test_features_are_those_of_a_local_cache(store: str, features: Path, tmp_path: Path) -> None:
    url = put(store, features)
    here = FeatureCache.open(features, Clips(), "vit")
    there = open_features(url, Clips(), "vit", LocalCache(tmp_path / "a", ROOMY))
    # A block a piece, and room for one piece of three: 128 windows of 2 views of 2 frames of 3 halves.
    small = LocalCache(tmp_path / "b", 128 * 2 * 2 * 3 * 2 + 1)
    pieces = RemoteFeatureCache.open_folder(RemoteFolder(url), small, Clips(), "vit", piece_bytes=1)
    rng = np.random.default_rng(0)
    for windows in (np.arange(300), np.array([], np.int64), np.array([299]), rng.integers(0, 300, 50)):
        views = rng.integers(0, 2, len(windows))
        for remote in (there, pieces, pickle.loads(pickle.dumps(there))):
            np.testing.assert_array_equal(remote.take(windows), here.take(windows))
            np.testing.assert_array_equal(remote.take(windows, views), here.take(windows, views))
            np.testing.assert_array_equal(remote.pooled(windows, views), here.pooled(windows, views))
            assert bytes_in(small.directory) <= small.limit
    for mine, theirs in zip(there.statistics(np.arange(300)), here.statistics(np.arange(300)), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    np.testing.assert_array_equal(there.array, here.array)
    assert pieces.verify() == []
    with pytest.raises(IndexError, match="windows 0 to 299"):
        there.take(np.array([300]))
    with pytest.raises(FeatureCacheError, match=r"s3://.*features.json: encoder is 'vit', expected 'other'"):
        open_features(url, Clips(), "other", LocalCache(tmp_path / "a", ROOMY))


def test_damaged_features_are_noticed(store: str, features: Path, tmp_path: Path) -> None:
    url = put(store, features)
    row = 2 * 2 * 3 * 2
    damage(url, "features.f16", 200 * row)
    cache = LocalCache(tmp_path, ROOMY)
    remote = RemoteFeatureCache.open_folder(RemoteFolder(url), cache, Clips(), "vit", piece_bytes=1)
    remote.take(np.array([127, 256]))
    with pytest.raises(StorageError, match=r"features.f16: digest"):
        remote.take(np.array([128]))
    assert len(remote.verify()) == 1
    whole = json.loads((features / "features.json").read_text())
    del whole["digest"]
    fsspec.filesystem("s3").pipe_file(f"{url}/features.json", json.dumps({**whole, "shape": [301, 2, 2, 3]}).encode())
    with pytest.raises(StorageError, match=r"features.f16: 7200 bytes, expected 7224"):
        open_features(url, Clips(), "vit", cache)
