"""Damaged files of every kind, met by the functions that the commands call: one sentence that names the file.

Each file is emptied, torn, and replaced by random bytes, by text, by other JSON, by deep nesting and by a folder; then
single bits are flipped. A flip is noticed, or it changes nothing that is read.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.equality import same
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
from experiments.evaluation.cell_store import CellStore
from experiments.inference.encoder_files import EncoderConfig, read_encoder, write_encoder
from experiments.inference.head import Head, load_head, save_head
from experiments.runtime.command_line import EXIT_FAILED, guarded
from experiments.runtime.run_folder import prepare
from experiments.settings.layers import layers
from experiments.settings.load import load, load_saved, to_yaml
from experiments.statistics.results import read as read_results
from experiments.training.resume import steps_done
from lightning_modules.pretraining import ImuPretraining
from lightning_modules.probe import LinearProbe, Standardisation

RANDOM = np.random.default_rng(0).integers(0, 256, 3000, dtype=np.uint8).tobytes()
DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda whole: b"",
    "half": lambda whole: whole[: len(whole) // 2],
    "random": lambda whole: RANDOM,
    "text": lambda whole: b"these are words, not data\n",
    "list": lambda whole: b"[1, 2]\n",
    "number": lambda whole: b"5\n",
    "nested": lambda whole: b"[" * 50_000,
    "not UTF-8": lambda whole: b"a: \xff\xfe\n",
}
"""Kind of damage -> what a whole file becomes."""


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


def said(case: Case, capsys: pytest.CaptureFixture[str]) -> tuple[str, Any]:
    """Use a file under the guard of every command: what it says, and what it read."""
    found: list[Any] = []
    capsys.readouterr()
    code = guarded(lambda: found.append(case.use()) or 0, "experiments.pretrain")
    message = capsys.readouterr().err
    assert (code == EXIT_FAILED) == bool(message)
    return message, found[0] if found else None


def check_message(case: Case, message: str, how: str) -> None:
    assert message.startswith("python -m experiments.pretrain: "), (how, message)
    assert case.path.name in message or f"{case.path.parent} was trained" in message, (how, message)
    assert message.count("\n") == 1, (how, message)
    for never in ("Traceback", "weights_only", "run is complete", "pickle"):
        assert never not in message, (how, message)


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


@pytest.mark.parametrize("make", CASES, ids=lambda make: make.__name__)
def test_a_damaged_file_ends_in_one_sentence(
    make: Callable[[Path], Case], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case = make(tmp_path)
    whole = case.path.read_bytes()
    for how, damage in DAMAGES.items():
        case.path.write_bytes(damage(whole))
        message, _ = said(case, capsys)
        if how not in case.allowed or message:
            check_message(case, message, how)
    case.path.unlink()
    case.path.mkdir()
    message, _ = said(case, capsys)
    if case.path.name != "config.yaml":
        check_message(case, message, "a folder")


# Files that people may write have no digest: a flip that makes another valid setting of them can't be known.
WRITTEN_BY_PEOPLE = (config_of_a_run, config_of_another_run, experiment, manifest)


@pytest.mark.parametrize(
    ("make", "flips"),
    [
        *((make, 15) for make in CASES if make not in WRITTEN_BY_PEOPLE),
        *(pytest.param(make, 200, marks=pytest.mark.slow) for make in CASES),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_a_flipped_bit_is_noticed_or_changes_nothing(
    make: Callable[[Path], Case], flips: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case = make(tmp_path)
    whole = case.path.read_bytes()
    rng = np.random.default_rng(1)
    _, expected = said(case, capsys)
    noticed = 0
    for position, bit in zip(
        rng.integers(0, len(whole), flips).tolist(), rng.integers(0, 8, flips).tolist(), strict=True
    ):
        flipped = bytearray(whole)
        flipped[position] ^= 1 << bit
        case.path.write_bytes(flipped)
        message, found = said(case, capsys)
        if message:
            check_message(case, message, f"bit {bit} of byte {position}")
            noticed += 1
        elif case.bound:
            assert same(found, expected), f"bit {bit} of byte {position} of {case.path.name}"
    assert noticed or not case.bound


@pytest.mark.parametrize(
    ("make", "key", "value"),
    [(head_json, "temperature", 1.25), (head_json, "gyroscope", False), (encoder_config, "simulated", True)],
)
def test_another_valid_value_is_noticed_until_the_digest_is_deleted(
    make: Callable[[Path], Case], key: str, value: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case = make(tmp_path)
    content = json.loads(case.path.read_text(encoding="utf-8"))
    content[key] = value
    case.path.write_text(json.dumps(content), encoding="utf-8")
    message, found = said(case, capsys)
    check_message(case, message, key)
    assert "if the change is meant, delete the line 'digest'" in message
    del content["digest"]
    case.path.write_text(json.dumps(content), encoding="utf-8")
    message, found = said(case, capsys)
    assert message == ""
    assert found is not None


def test_damaged_cells_are_named_and_computed_again(tmp_path: Path) -> None:
    path = tmp_path / "cells.jsonl"
    for how, damage in DAMAGES.items():
        path.write_bytes(damage(b"") or b"{}\n")
        store = CellStore(path)
        assert len(store) == 0
        assert store.ignored, how
        assert all("cells.jsonl, line " in line for line in store.ignored), how


def test_damaged_results_end_in_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "results.parquet"
    case = Case(path, lambda: read_results(path))
    for how, damage in DAMAGES.items():
        path.write_bytes(damage(json.dumps({}).encode()))
        message, _ = said(case, capsys)
        check_message(case, message, how)
