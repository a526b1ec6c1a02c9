"""The video encoder's weights: trained once where none are to be had, never silently random."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import experiments.artifacts.video_encoder as module
from experiments.artifacts.shards import open_dataset
from experiments.artifacts.video_encoder import FramePairs, features_of, open_video_encoder
from experiments.runtime.errors import UserError
from experiments.runtime.run_folder import run_folder
from experiments.settings.schema import Config

Make = Callable[..., Config]
SELF_SUPERVISED = (
    "video_encoder.weights=self_supervised",
    "video_pretraining.steps=6",
    "video_pretraining.batch_size=16",
)


def test_self_supervised_weights_are_trained_once_and_kept(tiny: Make, capsys: pytest.CaptureFixture[str]) -> None:
    config = tiny(*SELF_SUPERVISED)
    shards = open_dataset(config, "pretraining")
    first = open_video_encoder(config, shards)
    assert "6 steps on masked patches" in capsys.readouterr().err
    again = open_video_encoder(config, shards)
    assert "6 steps" not in capsys.readouterr().err
    assert first.fingerprint() == again.fingerprint()
    assert not any(p.requires_grad for p in first.parameters())
    assert (
        open_video_encoder(tiny("video_pretraining.seed=1", *SELF_SUPERVISED), shards).fingerprint()
        != first.fingerprint()
    )
    # Runs of several seeds share one video encoder.
    assert open_video_encoder(tiny("run.seed=1", *SELF_SUPERVISED), shards).fingerprint() == first.fingerprint()


def test_its_curves_come_behind_those_of_the_imu_encoder(tiny: Make) -> None:
    """TensorBoard sorts groups by name; the user's training is the first."""
    config = tiny(*SELF_SUPERVISED, "video_pretraining.steps=20")
    open_video_encoder(config, open_dataset(config, "pretraining"))
    events = EventAccumulator(str(run_folder(config) / "tensorboard_video"))
    events.Reload()
    tags = set(events.Tags()["scalars"])
    assert "video_encoder/train_loss" in tags
    assert {tag.partition("/")[0] for tag in tags} == {"training", "video_encoder"}


def test_random_weights_are_said_first(tiny: Make, capsys: pytest.CaptureFixture[str]) -> None:
    config = tiny()
    open_video_encoder(config, open_dataset(config, "pretraining"))
    assert "RANDOM" in capsys.readouterr().err


def test_features_are_those_of_the_video_encoder(tiny: Make) -> None:
    config = tiny()
    shards = open_dataset(config, "pretraining")
    features = features_of(config, shards, "pretraining", open_video_encoder(config, shards))
    video_encoder = open_video_encoder(config, shards)
    indices = torch.arange(5).numpy()
    frames = torch.from_numpy(shards.frames(indices)).permute(0, 1, 4, 2, 3)
    mask = torch.from_numpy(shards.frame_times(indices)[1])
    expected = video_encoder(frames, mask).frame_tokens
    found = torch.from_numpy(features.read(indices)[0])
    # Halves have 11 bits: one part in 2048 of values up to a few units.
    torch.testing.assert_close(found, expected * mask[..., None], atol=5e-3, rtol=2e-3)


def test_a_video_transformer_is_a_video_encoder_too(tiny: Make) -> None:
    pytest.importorskip("transformers")
    config = tiny("video_encoder.name=video_mae")
    shards = open_dataset(config, "pretraining")
    small = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    config.video_encoder.params = {"config": {"image_size": 32, **small}}
    features = features_of(config, shards, "pretraining", open_video_encoder(config, shards))
    assert features.shape == (shards.n_windows, 1, 4, 8)
    config.video_encoder.weights = "self_supervised"
    with pytest.raises(UserError, match="only 'vit' is trained here, not 'video_mae'"):
        open_video_encoder(config, shards)


def test_frame_pairs_are_neighbours_and_cover_all(tiny: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_AT_ONCE", 3)  # windows: several reads, the last of fewer
    shards = open_dataset(tiny(), "pretraining")
    pairs = FramePairs(shards, batch_size=10, steps=30, windows=1000, seed=0)
    batches = list(pairs)
    assert len(batches) == 30
    assert batches[0].shape == (10, 2, 3, 32, 32)
    everything = torch.from_numpy(shards.frames(torch.arange(len(shards)).numpy())).permute(0, 1, 4, 2, 3)
    known = {(a.numpy().tobytes(), b.numpy().tobytes()) for w in everything for a, b in itertools.pairwise(w)}
    seen = {(p[0].numpy().tobytes(), p[1].numpy().tobytes()) for batch in batches for p in batch}
    assert seen <= known
    assert len(seen) == len(known)  # 300 pairs drawn without repeating before all were seen


def test_wrong_sizes_are_explained(tiny: Make) -> None:
    config = tiny("video_encoder.params.frame_size=64")
    with pytest.raises(UserError, match=r"frame_size is 64, but window\.frame_size is 32"):
        open_video_encoder(config, open_dataset(config, "pretraining"))
    blind = tiny("datasets.pretraining.camera=''")
    with pytest.raises(UserError, match="name a 'camera'"):
        open_video_encoder(blind, open_dataset(blind, "pretraining"))
