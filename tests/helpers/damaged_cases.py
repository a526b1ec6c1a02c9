"""Files of every kind, each with what reads it as a command does, to be damaged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from helpers.made_shards import make_shards
from helpers.made_training import checkpoint_content, settings
from torch import Tensor

from core.durable import write_atomically
from datamodules.features.build import ViewSettings, build_features
from datamodules.features.cache import FeatureCache
from datamodules.shards import layout
from datamodules.shards.reader import ShardSet
from datamodules.sources.registry import make_source
from encoders.contract import ImuInput
from encoders.registry import build_imu_encoder
from encoders.video.vit_backbone import BackboneParams, create_backbone, load_weights, save_weights
from encoders.weights import load_weights as load_imu_weights
from experiments.inference.encoder_files import EncoderConfig, read_encoder, write_encoder
from experiments.inference.head import Head, load_head, save_head
from experiments.runtime.run_folder import prepare
from experiments.settings.layers import layers
from experiments.settings.load import load, load_saved, to_yaml
from experiments.training.resume import steps_done
from lightning_modules.pretraining import ImuPretraining
from lightning_modules.probe import LinearProbe, Standardisation


@dataclass(frozen=True)
class Case:
    """A file, and what reads it.

    Attributes:
        path: of the file.
        use: reads it as a command does; what comes back can be compared.
        bound: a flipped bit is noticed or changes nothing; False for files that people may write.
        allowed: kinds of damage that make another file of this kind, e.g. an empty list of settings.
    """

    path: Path
    use: Callable[[], Any]
    bound: bool = True
    allowed: tuple[str, ...] = ()


def of_checkpoint(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    module = ImuPretraining(**settings())
    torch.save(checkpoint_content(module), tmp_path / "last.ckpt")
    return tmp_path / "last.ckpt"


def checkpoint_at_resume(tmp_path: Path) -> Case:
    module = ImuPretraining(**settings())
    path = of_checkpoint(tmp_path)
    return Case(path, lambda: steps_done(path, module))


def checkpoint_at_evaluation(tmp_path: Path) -> Case:
    path = of_checkpoint(tmp_path)
    return Case(path, lambda: dict(ImuPretraining.load_pretrained(path).state_dict()))


def config_of_a_run(tmp_path: Path) -> Case:
    config = load("simulator", [f"paths.runs={tmp_path}"])
    folder = tmp_path / "simulator" / "default"
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "checkpoints" / "last.ckpt").write_bytes(b"not looked at here")
    path = folder / "config.yaml"
    path.write_text(to_yaml(config), encoding="utf-8")

    def use() -> Any:
        content = path.read_bytes()
        prepare(config, main_process=False)
        assert path.read_bytes() == content
        return None

    return Case(path, use, bound=False)


def config_of_another_run(tmp_path: Path) -> Case:
    path = tmp_path / "config.yaml"
    path.write_text(to_yaml(load("simulator", [])), encoding="utf-8")
    return Case(path, lambda: load_saved(path), bound=False)


def experiment(tmp_path: Path) -> Case:
    path = tmp_path / "mine.yaml"
    path.write_text("base: simulator\nrun: {seed: 1}\n", encoding="utf-8")
    return Case(path, lambda: layers(path, {}), bound=False, allowed=("empty", "half"))


def index_of_shards(tmp_path: Path) -> Case:
    directory = make_shards(tmp_path / "shards", [3, 2])

    def use() -> Any:
        index = ShardSet.open(directory).index
        return index.build, index.tables, [vars(entry) for entry in index.shards], index.simulated, index.counts

    return Case(directory / layout.INDEX, use)


def shard(tmp_path: Path) -> Case:
    directory = make_shards(tmp_path / "shards", [3, 2])
    return Case(directory / layout.shard_name(0, 0), lambda: everything(ShardSet.open(directory)))


def everything(shards: ShardSet) -> Any:
    """All that can be read from shards."""
    windows = np.arange(shards.n_windows)
    table = {name: [str(value) for value in column] for name, column in shards.table.items()}
    return table, *shards.imu(windows), *shards.frame_times(windows), shards.frames(windows), len(shards.facts())


class Clips:
    """300 clips whose pixels are the window's number."""

    n_windows, fingerprint = 300, "shards-1"

    def frames(self, indices: Any) -> Any:
        return np.broadcast_to(indices[:, None, None, None, None], (len(indices), 2, 4, 4, 3)).astype(np.uint8)

    def frame_times(self, indices: Any) -> Any:
        return np.zeros((len(indices), 2), np.float32), np.ones((len(indices), 2), bool)


def made_features(tmp_path: Path) -> FeatureCache:
    def encode(frames: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        tokens = frames.float().mean(dim=(2, 3, 4))[..., None].repeat(1, 1, 8)
        return tokens, tokens.mean(dim=1)

    return build_features(tmp_path / "features", Clips(), encode, "vit-1", ViewSettings())


def use_features(tmp_path: Path) -> Any:
    cache = FeatureCache.open(tmp_path / "features", Clips(), "vit-1")
    return cache.array, cache.pooled(np.arange(300)), cache.view_settings


def features_json(tmp_path: Path) -> Case:
    made_features(tmp_path)
    return Case(tmp_path / "features" / "features.json", lambda: use_features(tmp_path))


def features_f16(tmp_path: Path) -> Case:
    made_features(tmp_path)
    return Case(tmp_path / "features" / "features.f16", lambda: use_features(tmp_path))


def pooled_f16(tmp_path: Path) -> Case:
    made_features(tmp_path)
    return Case(tmp_path / "features" / "pooled.f16", lambda: use_features(tmp_path))


def made_encoder(tmp_path: Path) -> Path:
    imu_input = ImuInput(50, 25.0)
    torch.manual_seed(0)
    params = {"width": 16, "depth": 1, "heads": 2}
    module = build_imu_encoder("cnn_transformer", params, imu_input)
    from datamodules.windows.settings import WindowSettings

    window = WindowSettings(duration_s=2.0, imu_rate_hz=25.0, frames=0)
    config = EncoderConfig("cnn_transformer", params, imu_input, "physical", window, ["fake/1"], False, "0" * 64)
    return write_encoder(tmp_path / "encoder", module, config)


def encoder_config(tmp_path: Path) -> Case:
    folder = made_encoder(tmp_path)

    def use() -> Any:
        module, config = read_encoder(folder)
        return dict(module.state_dict()), config

    return Case(folder / "config.json", use)


def encoder_weights(tmp_path: Path) -> Case:
    folder = made_encoder(tmp_path)
    return Case(folder / "model.safetensors", lambda: dict(read_encoder(folder)[0].state_dict()))


def made_head(tmp_path: Path) -> Path:
    from datamodules.handcrafted import FEATURE_NAMES
    from datamodules.windows.settings import WindowSettings

    p = len(FEATURE_NAMES)
    rng = np.random.default_rng(0)
    probe = LinearProbe(
        Standardisation(rng.random(p), rng.random(p) + 1, 5.0, np.ones(p)), rng.random((2, p)), rng.random(2)
    )
    window = WindowSettings(duration_s=2.0, imu_rate_hz=25.0, frames=0)
    return save_head(Head("handcrafted_logistic", ("sit", "walk"), probe, 1.5, window, None), tmp_path / "head")


def head_json(tmp_path: Path) -> Case:
    folder = made_head(tmp_path)

    def use() -> Any:
        head = load_head(folder)
        return head.classes, head.temperature, head.window, head.gyroscope, head.probe.standardisation.clip

    return Case(folder / "head.json", use)


def head_numbers(tmp_path: Path) -> Case:
    folder = made_head(tmp_path)
    return Case(folder / "head.safetensors", lambda: load_head(folder).probe.weight)


def manifest(tmp_path: Path) -> Case:
    (tmp_path / "walk.csv").write_text("t,x,y,z\n0,0,0,9.8\n0.02,0,0,9.8\n", encoding="utf-8")
    path = tmp_path / "manifest.yaml"
    path.write_text("groups:\n  all:\n    recordings: {files: 'walk.csv', subject: one}\n", encoding="utf-8")
    return Case(path, lambda: make_source("manifest", {"path": str(path)}).names(), bound=False, allowed=("whole",))


def video_weights(tmp_path: Path) -> Case:
    params = BackboneParams(kwargs={"embed_dim": 16, "depth": 1, "num_heads": 2, "patch_size": 16}, frame_size=32)
    torch.manual_seed(0)
    backbone = create_backbone(params)
    path = save_weights(tmp_path / "vit.safetensors", backbone, params)

    def use() -> Any:
        load_weights(path, backbone, params)
        return {name: value.clone() for name, value in backbone.state_dict().items()}

    return Case(path, use)


def imu_weights(tmp_path: Path) -> Case:
    from safetensors.torch import save

    encoder = build_imu_encoder("cnn_transformer", {"width": 16, "depth": 1, "heads": 2}, ImuInput(50, 25.0))
    path = tmp_path / "outside.safetensors"
    write_atomically(path, lambda temporary: temporary.write_bytes(save(dict(encoder.state_dict()))))
    return Case(path, lambda: load_imu_weights(encoder, path), bound=False)


CASES = (
    checkpoint_at_resume, checkpoint_at_evaluation, config_of_a_run, config_of_another_run, experiment, index_of_shards,
    shard, features_json, features_f16, pooled_f16, encoder_config, encoder_weights, head_json, head_numbers, manifest,
    video_weights, imu_weights,
)  # fmt: skip
