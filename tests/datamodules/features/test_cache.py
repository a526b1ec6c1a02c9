"""The feature cache holds what the encoder gave, resumes, and refuses what does not belong to it."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.made_features import FRAMES, Clips, N, encode
from torch import Tensor

from datamodules.features import build
from datamodules.features import cache as cache_module
from datamodules.features.build import ViewSettings, build_features
from datamodules.features.cache import FeatureCache
from datamodules.features.meta import FeatureCacheError


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
    np.testing.assert_array_equal(cache.pooled(indices), 3 * (indices % 200)[:, None])
    np.testing.assert_array_equal(cache.pooled(indices, np.array([0, 1, 0, 1])), 3 * (indices % 200)[:, None])
    assert cache.nbytes == 2 * (N * 2 * FRAMES * 2 + N * 2 * 1)
    assert cache.verify() == []


def test_what_is_to_be_filled_is_checked(tmp_path: Path) -> None:
    cache = build_features(tmp_path, Clips(), encode, "vit-1", ViewSettings(count=2))
    windows: Any = np.array([299, 3], np.int32)  # other integers are taken as well
    out = np.full((2, FRAMES, 2), 7, np.float16)
    assert cache.take(windows, out=out) is out
    np.testing.assert_array_equal(out, cache.array[[299, 3], 0])
    wrong: tuple[Any, ...] = (np.zeros((2, FRAMES, 2), np.float32), np.zeros((4, FRAMES, 2), np.float16)[::2], out[:1])
    for other in wrong:
        with pytest.raises(ValueError, match=r"out is .*; expected contiguous float16 \(2, 3, 2\)"):
            cache.take(windows, out=other)


def test_statistics_ignore_frames_that_are_not_there(tmp_path: Path) -> None:
    cache = build_features(tmp_path, Clips(), encode, "vit-1", ViewSettings())
    indices = np.arange(50)
    features, _, mask = cache.read(indices)
    mean, deviation = cache.statistics(indices)
    np.testing.assert_allclose(mean, features[mask].mean(0), rtol=1e-5)  # float32 sums of the same numbers
    np.testing.assert_allclose(deviation, features[mask].std(0), rtol=1e-4)


def test_statistics_of_many_windows_come_from_some_that_are_spread_over_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = build_features(tmp_path, Clips(), encode, "vit-1", ViewSettings())
    monkeypatch.setattr(cache_module, "STATISTICS_WINDOWS", 7)
    asked: list[int] = []
    read = cache.read
    monkeypatch.setattr(cache, "read", lambda windows: asked.extend(windows.tolist()) or read(windows))
    found = cache.statistics(np.arange(20, 80))
    assert asked == [20, 29, 39, 49, 59, 69, 79]
    monkeypatch.setattr(cache_module, "STATISTICS_WINDOWS", 100)
    for a, b in zip(found, cache.statistics(np.array(asked)), strict=True):
        np.testing.assert_array_equal(a, b)


def test_an_interrupted_build_goes_on_where_it_stopped(tmp_path: Path) -> None:
    calls = 0

    def dies_in_the_second_block(frames: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
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
    def dies(frames: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        if frames[0].amin() == 128:
            raise KeyboardInterrupt
        features, pooled = encode(frames, mask)
        return features + 1, pooled

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


@pytest.mark.parametrize(("name", "width"), [("features.f16", FRAMES * 2), ("pooled.f16", 1)])
def test_damage_is_found(tmp_path: Path, name: str, width: int) -> None:
    cache = build_features(tmp_path, Clips(), encode, "vit-1", ViewSettings())
    path = Path(cache.directory) / name
    flip_a_bit(path, 200 * width * 2)
    problems = FeatureCache.open(tmp_path, Clips(), "vit-1").verify()
    assert problems == [f"{path}: windows 128 to 255: checksum differs"]
    with path.open("r+b") as file:
        file.truncate(100)
    with pytest.raises(FeatureCacheError, match=rf"{name}: 100 bytes, expected"):
        FeatureCache.open(tmp_path, Clips(), "vit-1")


def flip_a_bit(path: Path, at: int) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)
        file.seek(at)
        file.write(bytes([byte[0] ^ 1]))


def test_a_cache_without_pooled_features_says_so(tmp_path: Path) -> None:
    build_features(tmp_path, Clips(), encode, "vit-1", ViewSettings())
    meta = json.loads((tmp_path / "features.json").read_text())
    del meta["pooled"], meta["computed"], meta["digest"]  # as caches were made before there were any
    (tmp_path / "features.json").write_text(json.dumps(meta))
    (tmp_path / "pooled.f16").unlink()
    cache = FeatureCache.open(tmp_path, Clips(), "vit-1")
    assert cache.verify() == []
    with pytest.raises(FeatureCacheError, match="no pooled features"):
        cache.pooled(np.arange(3))


def test_other_views_are_refused(tmp_path: Path) -> None:
    build_features(tmp_path, Clips(), encode, "vit-1", ViewSettings())
    with pytest.raises(FeatureCacheError, match=r"views are .*'zoom': 0\.1.*expected .*'zoom': 0\.2"):
        build_features(tmp_path, Clips(), encode, "vit-1", ViewSettings(zoom=0.2))


def interrupted(directory: Path, blocks: int) -> None:
    """What a run leaves that is stopped while it computes the next block."""
    calls = 0

    def dies(frames: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        nonlocal calls
        calls += 1
        if calls > blocks:
            raise KeyboardInterrupt
        return encode(frames, mask)

    with pytest.raises(KeyboardInterrupt):
        build_features(directory, Clips(), dies, "vit-1", ViewSettings())


def test_damage_in_what_was_done_is_computed_again(tmp_path: Path) -> None:
    interrupted(tmp_path, blocks=2)
    flip_a_bit(tmp_path / "pooled.part", 130 * 2)  # in the second block
    clips = Clips()
    cache = build_features(tmp_path, clips, encode, "vit-1", ViewSettings())
    assert clips.reads == 2
    assert cache.verify() == []
    np.testing.assert_array_equal(cache.pooled(np.array([130])), [[390]])


def test_killed_between_the_last_block_and_the_end_nothing_is_computed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(build, "write_json", dies)
        with pytest.raises(KeyboardInterrupt):
            build_features(tmp_path, Clips(), encode, "vit-1", ViewSettings())
    clips = Clips()
    assert build_features(tmp_path, clips, encode, "vit-1", ViewSettings()).verify() == []
    assert clips.reads == 0


# Features of ten blocks; what is encoded is counted in a file. The first run never comes to an end.
SLOW = """
import sys, time
from pathlib import Path
sys.path[:0] = sys.argv[3:]
from datamodules.features.build import ViewSettings, build_features
from helpers import made_features as made
made.N = made.Clips.n_windows = 1280
encoded = Path(sys.argv[1], "encoded")
def slow(frames, mask):
    with encoded.open("a") as file:
        file.write("x")
    if encoded.stat().st_size == int(sys.argv[2]):
        time.sleep(600)
    return made.encode(frames, mask)
build_features(Path(sys.argv[1]) / "cache", made.Clips(), slow, "vit-1", ViewSettings())
"""


@pytest.mark.slow
def test_a_killed_process_loses_the_block_that_it_was_at(tmp_path: Path) -> None:
    root = Path(__file__).parents[3]

    def command(stop_at: int) -> list[str]:
        paths = (str(root / "tests"), str(root))
        return [sys.executable, "-c", SLOW, str(tmp_path), str(stop_at), *paths]

    process = subprocess.Popen(command(stop_at=6))
    encoded = tmp_path / "encoded"
    deadline = time.monotonic() + 150
    while not encoded.exists() or encoded.stat().st_size < 6:
        assert process.poll() is None, "it ended by itself"
        assert time.monotonic() < deadline, "not six blocks in time"
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    encoded.unlink()
    subprocess.run(command(stop_at=0), check=True)
    assert len(encoded.read_text()) == 5  # the sixth to the tenth
    clips = Clips()
    clips.n_windows = 1280
    cache = FeatureCache.open(tmp_path / "cache", clips, "vit-1")
    assert cache.verify() == []
    np.testing.assert_array_equal(cache.pooled(np.arange(1280))[:, 0], 3 * (np.arange(1280) % 200))


def test_features_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FeatureCacheError, match="windows 0 to 127: a feature is not finite"):
        build_features(
            tmp_path, Clips(), lambda f, m: (encode(f, m)[0] + 1e6, encode(f, m)[1]), "vit-1", ViewSettings()
        )
