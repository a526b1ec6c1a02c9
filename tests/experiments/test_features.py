"""make features: what pretraining would compute, in the same place, checked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from datamodules.features.cache import FeatureCache
from experiments import features
from experiments.artifacts import video_encoder
from experiments.runtime.errors import UserError
from experiments.settings.schema import Config
from experiments.training.data import prepare_data

Make = Callable[..., Config]


def test_pretraining_finds_what_was_computed_and_damage_is_named(
    tiny: Make, tiny_yaml: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Three views: a cache that no other test makes.
    here = ("video_encoder.views=3", f"paths.runs={tmp_path}")
    config = tiny(*here)
    arguments = [str(tiny_yaml), f"paths.data={config.paths.data}", *here]
    assert features.main(arguments) == 0
    said = capsys.readouterr().out
    assert "windows x 3 views of 4 frames, 80 wide" in said  # class token and 2 x 2 cells of 16
    assert "float32 on cpu" in said
    assert "all good" in said
    with monkeypatch.context() as patch:

        def refuse(*_: object, **__: object) -> None:
            raise AssertionError("it computes them again")

        patch.setattr(video_encoder, "build_features", refuse)
        _, encoder, found = prepare_data(config)
    assert isinstance(found, FeatureCache)
    assert encoder is not None
    assert found.shape[1] == 3
    path = Path(found.directory) / "features.f16"
    content = bytearray(path.read_bytes())
    content[1000] ^= 4
    path.write_bytes(content)
    try:
        assert features.main(arguments) == 1
        damage = capsys.readouterr()
        assert f"{path}: windows 0 to" in damage.err
        assert "1 problems; delete the folder" in damage.out
    finally:
        content[1000] ^= 4
        path.write_bytes(content)


def test_where_there_is_nothing_to_compute_it_says_so(tiny: Make) -> None:
    with pytest.raises(UserError, match="learns nothing from video"):
        features.run(tiny("system=imu_only"))
    with pytest.raises(UserError, match=r"video_encoder\.cache is false"):
        features.run(tiny("video_encoder.cache=false"))
