"""The feature cache holds what the encoder gave, resumes, and refuses what does not belong to it."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from datamodules.shards.feature_cache import FeatureCache, FeatureCacheError, ViewSettings, build_features

N, FRAMES, SIDE = 300, 3, 16


class Clips:
    """Frames whose grey level is the window's number, so that features can be predicted."""

    n_windows = N
    fingerprint = "shards-1"

    def __init__(self) -> None:
        self.reads = 0

    def frames(self, indices: np.ndarray) -> np.ndarray:
        self.reads += 1
        level = (indices % 200).astype(np.uint8)[:, None, None, None, None]
        return np.broadcast_to(level, (len(indices), FRAMES, SIDE, SIDE, 3)).copy()

    def frame_times(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        times = np.tile(np.arange(FRAMES, dtype=np.float32), (len(indices), 1))
        mask = np.ones((len(indices), FRAMES), dtype=bool)
        mask[:, 2] = indices % 2 == 0
        return times, mask


def encode(frames: Tensor, mask: Tensor) -> Tensor:
    mean = frames.float().mean(dim=(2, 3, 4))
    return torch.stack([mean, mean * 2], dim=-1)


def test_features_are_the_encoders(tmp_path: Path) -> None:
    cache = build_features(tmp_path, Clips(), encode, "vit-1", ViewSettings(count=2))
    assert cache.shape == (N, 2, FRAMES, 2)
    indices = np.array([299, 3, 128, 4])
    features, times, mask = cache.read(indices)
    expected = np.stack([indices % 200, 2 * (indices % 200)], axis=-1)[:, None, :] * mask[..., None]
    np.testing.assert_array_equal(features, expected)  # small integers are exact in float16
    np.testing.assert_array_equal(times[0], [0, 1, 2])
    # A zoomed or shifted uniform image stays the same image.
    np.testing.assert_array_equal(cache.take(indices, np.ones(4, dtype=np.int64)), expected)
    assert cache.verify() == []


def test_statistics_ignore_frames_that_are_not_there(tmp_path: Path) -> None:
    cache = build_features(tmp_path, Clips(), encode, "vit-1", ViewSettings())
    indices = np.arange(50)
    features, _, mask = cache.read(indices)
    mean, deviation = cache.statistics(indices)
    np.testing.assert_allclose(mean, features[mask].mean(0), rtol=1e-5)  # float32 sums of the same numbers
    np.testing.assert_allclose(deviation, features[mask].std(0), rtol=1e-4)


def test_an_interrupted_build_goes_on_where_it_stopped(tmp_path: Path) -> None:
    calls = 0

    def dies_in_the_second_block(frames: Tensor, mask: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise KeyboardInterrupt
        return encode(frames, mask)

    with pytest.raises(KeyboardInterrupt):
        build_features(tmp_path / "a", Clips(), dies_in_the_second_block, "vit-1", ViewSettings())
    with pytest.raises(FeatureCacheError, match="no finished feature cache"):
        FeatureCache.open(tmp_path / "a", Clips(), "vit-1")
    with (tmp_path / "a" / "progress.jsonl").open("a") as journal:
        journal.write('{"xxh3": "torn')
    clips = Clips()
    resumed = build_features(tmp_path / "a", clips, encode, "vit-1", ViewSettings())
    assert clips.reads == 2  # 300 windows are three blocks, one was there
    whole = build_features(tmp_path / "b", Clips(), encode, "vit-1", ViewSettings())
    np.testing.assert_array_equal(resumed.array, whole.array)
    assert resumed.verify() == []


def test_an_interrupted_build_of_another_encoder_is_not_continued(tmp_path: Path) -> None:
    def dies(frames: Tensor, mask: Tensor) -> Tensor:
        if frames[0].amin() == 128:
            raise KeyboardInterrupt
        return encode(frames, mask) + 1

    with pytest.raises(KeyboardInterrupt):
        build_features(tmp_path, Clips(), dies, "vit-other", ViewSettings())
    clips = Clips()
    cache = build_features(tmp_path, clips, encode, "vit-1", ViewSettings())
    assert clips.reads == 3
    assert cache.read(np.array([0]))[0][0, 0, 0] == 0


def test_a_stale_cache_is_refused(tmp_path: Path) -> None:
    build_features(tmp_path, Clips(), encode, "vit-1", ViewSettings())
    with pytest.raises(FeatureCacheError, match="encoder is 'vit-1', expected 'vit-2'"):
        FeatureCache.open(tmp_path, Clips(), "vit-2")
    other = Clips()
    other.fingerprint = "shards-2"
    with pytest.raises(FeatureCacheError, match="shards"):
        FeatureCache.open(tmp_path, other, "vit-1")


def test_damage_is_found(tmp_path: Path) -> None:
    cache = build_features(tmp_path, Clips(), encode, "vit-1", ViewSettings())
    with cache.directory.joinpath("features.f16").open("r+b") as file:
        file.seek(200 * FRAMES * 2 * 2)
        byte = file.read(1)
        file.seek(-1, 1)
        file.write(bytes([byte[0] ^ 1]))
    problems = FeatureCache.open(tmp_path, Clips(), "vit-1").verify()
    assert len(problems) == 1
    assert "windows 128 to 255" in problems[0]
    with cache.directory.joinpath("features.f16").open("r+b") as file:
        file.truncate(100)
    with pytest.raises(FeatureCacheError, match="100 bytes, expected"):
        FeatureCache.open(tmp_path, Clips(), "vit-1")


def test_features_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FeatureCacheError, match="windows 0 to 127: a feature is not finite"):
        build_features(tmp_path, Clips(), lambda f, m: encode(f, m) + 1e6, "vit-1", ViewSettings())
