"""Checkpoints that are compared: found, refused, and what their zero-shot methods get."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from helpers.fake_shards import RATE_HZ, SAMPLES, FakeShards
from helpers.made_cells import make_config, make_model

from datamodules.shards.concat import ConcatShards
from datamodules.windows.cut import WindowSettings
from experiments.evaluation import systems
from experiments.evaluation.methods import find_method
from experiments.evaluation.prototypes.video import NoPrototypesError, Prototypes
from experiments.evaluation.systems import Checkpoint, load_checkpoints, open_systems, own_checkpoint
from experiments.evaluation.targets import Target
from experiments.runtime.errors import UserError
from experiments.settings.evaluation import TargetConfig
from experiments.settings.schema import Config, DatasetConfig, SourceConfig
from lightning_modules.checkpoint import CheckpointError
from lightning_modules.pretraining import ImuPretraining

VIDEO_ENCODER = "0123456789abcdef"
SOURCE, TARGET, PROBE = (find_method(name) for name in ("zero_shot", "zero_shot_target", "linear_probe"))


def save(path: Path, **settings: object) -> Path:
    model = make_model(FakeShards(), **settings)
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"hyper_parameters": asdict(model.settings), "state_dict": model.state_dict()}, path)
    return path


def settings(tmp_path: Path, **evaluation: object) -> Config:
    config = make_config(**evaluation)
    config.paths.runs, config.experiment = str(tmp_path / "runs"), "made"
    config.window = WindowSettings(duration_s=SAMPLES / RATE_HZ, imu_rate_hz=RATE_HZ)
    return config


def own(tmp_path: Path) -> Path:
    return tmp_path / "runs" / "made" / "default" / "checkpoints" / "last.ckpt"


def test_methods_without_a_checkpoint_load_none(tmp_path: Path) -> None:
    chosen = [find_method("majority"), find_method("random_frozen")]
    assert load_checkpoints(settings(tmp_path), chosen) == []
    found, remarks = open_systems(settings(tmp_path), chosen, [], [])
    assert (len(found), found[0].model, found[0].name, remarks) == (1, None, "", [])


def test_the_runs_own_is_the_first_and_others_follow_in_order(tmp_path: Path) -> None:
    files = [save(tmp_path / name, seed=seed) for seed, name in enumerate(("a.ckpt", "b.ckpt", "c.ckpt"))]
    config = settings(tmp_path, checkpoints={"imu_only": [str(files[0]), str(files[1])], "imu2clip": [str(files[2])]})
    save(own(tmp_path), seed=9)
    found = load_checkpoints(config, [PROBE])
    assert [(c.system, c.model.settings.seed) for c in found] == [
        ("", 9), ("imu_only", 0), ("imu_only", 1), ("imu2clip", 2),
    ]  # fmt: skip
    assert len({c.digest for c in found}) == 4
    assert all(len(c.digest) == 16 for c in found)
    opened, _ = open_systems(config, [PROBE], [], found)
    assert [(s.name, s.checkpoint, s.model) for s in opened] == [(c.system, c.digest, c.model) for c in found]


def test_the_settings_may_name_the_checkpoint(tmp_path: Path) -> None:
    config = settings(tmp_path)
    save(own(tmp_path))
    assert own_checkpoint(config) == own(tmp_path)
    config.checkpoint = str(save(tmp_path / "named.ckpt"))
    assert own_checkpoint(config) == tmp_path / "named.ckpt"


def test_what_is_missing_is_named_with_what_to_do(tmp_path: Path) -> None:
    config = settings(tmp_path)
    with pytest.raises(UserError, match=r"last\.ckpt' yet: run `make pretrain EXPERIMENT=made` first, or name one"):
        load_checkpoints(config, [PROBE])
    save(own(tmp_path))
    config.evaluation.checkpoints = {"imu_only": [str(tmp_path / "gone.ckpt")]}
    with pytest.raises(UserError, match=r"evaluation\.checkpoints\.imu_only: no file '.*gone\.ckpt'"):
        load_checkpoints(config, [PROBE])
    config.checkpoint = "nowhere.ckpt"
    with pytest.raises(UserError, match=r"checkpoint: no file 'nowhere\.ckpt'"):
        load_checkpoints(config, [PROBE])


def test_other_windows_are_refused_with_both_figures(tmp_path: Path) -> None:
    config = settings(tmp_path)
    save(own(tmp_path))
    other = save(tmp_path / "other.ckpt", imu_input={"samples": 250, "rate_hz": 50.0})
    config.evaluation.checkpoints = {"other": [str(other)]}
    with pytest.raises(UserError, match=r"50 samples at 25 Hz, checkpoint '.*other\.ckpt' was trained on 250 samples"):
        load_checkpoints(config, [PROBE])


@pytest.mark.parametrize("what", ["text", "empty", "torn", "other weights", "something else"])
def test_a_file_that_is_no_checkpoint_is_named(tmp_path: Path, what: str) -> None:
    path = save(own(tmp_path))
    if what == "text":
        path.write_text("not a checkpoint")
    elif what == "empty":
        path.write_bytes(b"")
    elif what == "torn":
        path.write_bytes(path.read_bytes()[:3000])
    elif what == "other weights":
        content = torch.load(path, weights_only=True)
        content["state_dict"].popitem()
        torch.save(content, path)
    else:
        torch.save({"weights": torch.zeros(3)}, path)
    with pytest.raises(CheckpointError, match=r"last\.ckpt: (not a checkpoint|weights that do not fit)"):
        load_checkpoints(settings(tmp_path), [PROBE])


class Opened:
    """In place of shards and the video encoder: what was asked for, and what it gives."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, fingerprint: str = VIDEO_ENCODER) -> None:
        self.shards = {"source": FakeShards(("1", "2"), source="sim"), "target": FakeShards(seed=1)}
        self.built: list[Any] = []
        self.fails = False
        video_encoder = SimpleNamespace(fingerprint=lambda: fingerprint)
        monkeypatch.setattr(systems, "open_video_encoder", lambda config, shards, train: video_encoder)
        monkeypatch.setattr(systems, "open_dataset", lambda config, key: self.shards[key])
        monkeypatch.setattr(systems, "features_of", lambda config, shards, key, video_encoder: f"features of {key}")
        monkeypatch.setattr(systems, "build_prototypes", self.build)

    def build(self, model: object, shards: Any, features: object, device: str, windows: Any) -> Prototypes:
        if self.fails:
            raise NoPrototypesError("data/x: no window has a label and a frame")
        self.built.append((features, None if windows is None else windows.tolist()))
        return Prototypes(["walk"], np.full((1, 16), 0.25, np.float32), [3], "made", True)

    def run(self, methods: list[Any], config: Config, *names: str, **model: Any) -> tuple[list[Any], list[str]]:
        made = make_model(FakeShards(), **{"video_encoder": {"fingerprint": VIDEO_ENCODER}, **model})
        target = Target(TargetConfig("t", "target"), ConcatShards([("target", self.shards["target"])]))  # type: ignore[list-item]
        return open_systems(
            config, methods, [target], [Checkpoint(n, made, n or "own", config, Path()) for n in names or ("",)]
        )


def with_cameras(source: str = "head", target: str = "chest") -> Config:
    config = make_config()
    config.pretraining.dataset = "source"
    config.datasets = {
        "source": DatasetConfig(source=SourceConfig("sim"), camera=source),
        "target": DatasetConfig(source=SourceConfig("fake"), camera=target),
    }
    return config


def test_zero_shot_methods_get_what_they_are_made_from(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = Opened(monkeypatch)
    (system,), remarks = opened.run([SOURCE, TARGET], with_cameras(), pretraining_subjects=["sim/1", "sim/2"])
    assert remarks == []
    assert set(system.prototypes) == {"source"}
    assert system.clips == {"target": "features of target"}
    assert opened.built == [("features of source", list(range(opened.shards["source"].n_windows)))]


def test_only_what_is_asked_for_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = Opened(monkeypatch)
    (system,), remarks = opened.run([PROBE], with_cameras())
    assert (dict(system.prototypes), dict(system.clips), remarks, opened.built) == ({}, {}, [], [])


def test_prototypes_show_nobody_whom_the_checkpoint_has_not_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings may name the tested people as pretraining data, though the checkpoint comes from elsewhere."""
    opened = Opened(monkeypatch)
    opened.run([SOURCE], with_cameras(), pretraining_subjects=["sim/2", "fake/1"])
    ((_, windows),) = opened.built
    assert windows == np.flatnonzero(opened.shards["source"].table["subject"] == "2").tolist()
    (system,), remarks = opened.run([SOURCE], with_cameras(), pretraining_subjects=["elsewhere/1"])
    assert not system.prototypes
    assert remarks == ["left out: zero_shot (the checkpoint was pretrained on no subject of data set 'source')"]
    # Where it isn't known, the guard of the plan refuses the checkpoint, or every table says so.
    opened.run([SOURCE], with_cameras(), pretraining_subjects=None)
    assert opened.built[-1][1] is None


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        ("another video encoder", "trained with video encoder 0123456789ab..., but the settings give fedcba987654"),
        ("no camera of the source", "the settings name no data set with a camera as pretraining.dataset"),
        ("no such data set", "the settings name no data set with a camera as pretraining.dataset"),
        ("no video encoder", "there is no video encoder of these settings yet"),
        ("no labels", "no window has a label and a frame"),
    ],
)
def test_why_there_are_no_prototypes_is_remarked(monkeypatch: pytest.MonkeyPatch, case: str, expected: str) -> None:
    opened = Opened(monkeypatch, "fedcba9876543210" if case == "another video encoder" else VIDEO_ENCODER)
    config = with_cameras(source="" if case == "no camera of the source" else "head")
    if case == "no such data set":
        config.pretraining.dataset = "other"
    if case == "no video encoder":

        def none(*_: object, **__: object) -> None:
            raise UserError("there is no video encoder of these settings yet (x)")

        monkeypatch.setattr(systems, "open_video_encoder", none)
    opened.fails = case == "no labels"
    (system,), remarks = opened.run([SOURCE, PROBE], config, pretraining_subjects=["sim/1"])
    assert system.model is not None  # the probe goes on
    assert not system.prototypes
    (remark,) = remarks
    assert remark.startswith("left out: zero_shot (")
    assert expected in remark


def test_a_target_without_a_camera_has_no_clips(monkeypatch: pytest.MonkeyPatch) -> None:
    (system,), remarks = Opened(monkeypatch).run([TARGET], with_cameras(target=""))
    assert not system.clips
    assert remarks == ["left out: zero_shot_target (no data set that labels come from has a camera)"]


def test_what_a_named_system_lacks_is_said_of_it_once(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = Opened(monkeypatch, "fedcba9876543210")
    found, remarks = opened.run([SOURCE], with_cameras(), "", "seeds", "seeds")
    assert [system.name for system in found] == ["", "seeds", "seeds"]
    assert [remark.partition(" (")[0] for remark in remarks] == ["left out: zero_shot", "left out: zero_shot of seeds"]


def test_a_checkpoint_without_video_is_not_said_to_have_a_video_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    _, (remark,) = Opened(monkeypatch).run([SOURCE], with_cameras(), video_encoder=None)
    assert remark == "left out: zero_shot (the checkpoint was trained without a video encoder)"


def test_loaded_weights_are_those_that_were_saved(tmp_path: Path) -> None:
    path = save(own(tmp_path))
    (found,) = load_checkpoints(settings(tmp_path), [PROBE])
    saved = torch.load(path, weights_only=True)["state_dict"]
    assert isinstance(found.model, ImuPretraining)
    assert not found.model.training
    assert all(torch.equal(saved[name], value) for name, value in found.model.state_dict().items())
