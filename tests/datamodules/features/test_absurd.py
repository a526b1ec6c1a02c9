"""``features.json`` of absurd content is refused in a sentence; a full disk is found before features are computed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from helpers.made_features import Clips, encode
from helpers.small_disk import fill, small_disk

from core.room import NoSpaceError
from datamodules.features.build import ViewSettings, build_features
from datamodules.features.cache import FeatureCache
from datamodules.features.meta import META, FeatureCacheError


@pytest.mark.parametrize(
    "changes",
    [
        {"shape": [2**62, 4, 3, 2]},  # times two bytes this overflows to 0 in 64 bits
        {"shape": [300, -2, -3, 2]},
        {"shape": [300, 1, 3, 2.0]},
        {"shape": "abc"},
        {"shape": [1] * 1000},
        {"shape": None},
        {"pooled": 7},
        {"pooled": {"shape": [2**63, 2, 1]}},
    ],
)
def test_an_absurd_shape_is_refused_in_a_sentence(tmp_path: Path, changes: dict[str, object]) -> None:
    build_features(tmp_path, Clips(), encode, "vit-1", ViewSettings())
    meta = json.loads((tmp_path / META).read_text())
    del meta["digest"]
    (tmp_path / META).write_text(json.dumps(meta | changes))
    said = r"features\.json: (damaged:|shape|pooled).* is .*expected \d .*numbers"
    with pytest.raises(FeatureCacheError, match=said):
        FeatureCache.open(tmp_path, Clips(), "vit-1")


@pytest.mark.parametrize("content", ["[" * 100_000, "{", "[1]", "1" * 5000])
def test_what_is_no_description_is_refused_in_a_sentence(tmp_path: Path, content: str) -> None:
    (tmp_path / META).write_text(content)
    with pytest.raises(FeatureCacheError, match=r"features\.json: .*; delete the folder"):
        FeatureCache.open(tmp_path, Clips(), "vit-1")


def test_a_disk_without_room_is_found_before_the_first_block_and_the_same_call_goes_on(tmp_path: Path) -> None:
    width = 128  # numbers a frame: 230 kB in all
    calls = []

    def encode_wide(frames: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        calls.append(len(frames))
        mean = frames.float().mean(dim=(2, 3, 4))
        return mean[..., None].expand(-1, -1, width), mean[:, :1]

    with small_disk(tmp_path / "disk") as disk:
        filling = fill(disk, leave=100_000)
        with pytest.raises(NoSpaceError, match=r"features\.part: no space left: it needs 0\.2 MB, and .* free"):
            build_features(disk / "features", Clips(), encode_wide, "vit-1", ViewSettings())
        assert calls == [128]  # the first block says how wide features are
        filling.unlink()
        cache = build_features(disk / "features", Clips(), encode_wide, "vit-1", ViewSettings())
        assert not cache.verify()
        assert cache.shape == (300, 1, 3, width)


def test_a_disk_that_fills_up_meanwhile_takes_no_room_from_features(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        made: list[Path] = []

        def progress(done: int, total: int) -> None:
            if not made:
                made.append(fill(disk, leave=8192))  # the journal and features.json still fit

        cache = build_features(disk / "features", Clips(), encode, "vit-1", ViewSettings(count=8), progress)
        assert not cache.verify()  # without the blocks this is SIGBUS
