"""Pretraining on several sets as its users run it: fresh, interrupted, on two processes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from helpers.equality import assert_same_weights
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from experiments.features import run as compute_features
from experiments.pretrain import run
from experiments.preview import run as preview
from experiments.runtime.errors import UserError
from experiments.settings.layers import ConfigError
from experiments.settings.schema import Config
from lightning_modules.pretraining import ImuPretraining

Make = Callable[..., Config]
PEOPLE = (
    "{subjects: 2, sessions_per_subject: 1, session_s: 40, first_subject: 2, placements: [right_wrist], cameras: []}"
)
MOTION = (
    "datasets.motion.source.name=simulator",
    f"datasets.motion.source.params={PEOPLE}",
    "datasets.motion.placement=right_wrist",
)
MIXED = (*MOTION, "pretraining.datasets=[{name: motion, weight: 1}, {name: pretraining, weight: 3}]")
SEVERAL = (*MIXED, "loss.expert.weight=0.5", "loss.labels.weight=0.5")


def weights(checkpoint: Path) -> dict[str, torch.Tensor]:
    return dict(torch.load(checkpoint, weights_only=True)["state_dict"])


@pytest.fixture(scope="module")
def whole(tiny_in: Make, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint of a run that nothing interrupted, with all that it logs."""
    return run(tiny_in(tmp_path_factory.mktemp("several"), *SEVERAL, "trainer.loggers=[tensorboard]"))


def test_it_says_what_is_mixed_and_logs_each_set(whole: Path, tiny: Make, capsys: pytest.CaptureFixture[str]) -> None:
    settings = ImuPretraining.load_pretrained(whole).settings
    assert settings.sets == ["motion", "pretraining"]
    assert len(settings.pretraining_subjects or []) == 4
    assert "walking" in settings.labels["motion"]
    assert "walking" in settings.labels["pretraining"]
    events = EventAccumulator(str(whole.parents[1] / "tensorboard"))
    events.Reload()
    tags = set(events.Tags()["scalars"])
    assert {"training/consistency_loss/motion", "training/consistency_loss/pretraining"} <= tags
    assert "training/contrastive_loss/pretraining" in tags
    assert "training/contrastive_loss/motion" not in tags
    assert {"training/expert_loss/motion", "training/labels_loss/pretraining"} <= tags
    assert {"validation/imu_to_video/recall@1", "validation/alignment_error_ms"} <= tags
    run(tiny(*SEVERAL, "trainer.max_epochs=1"))
    said = " ".join("".join(capsys.readouterr()).split())
    assert "LABELS of the training windows are learnt from" in said
    assert "motion: 2 windows of each batch, of" in said
    assert "pretraining: 6 windows of each batch, of" in said


def test_resumed_in_mid_epoch_it_ends_with_the_same_weights(
    whole: Path, tiny: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny(*SEVERAL, "run.name=stopped", "trainer.checkpoint_every_steps=1")

    def stop(self: ImuPretraining, *_: object) -> None:
        if self.global_step == 4:
            raise RuntimeError("stopped by the test")

    with monkeypatch.context() as patch:
        patch.setattr(ImuPretraining, "on_train_batch_end", stop)
        with pytest.raises(RuntimeError, match="stopped by the test"):
            run(config)
    assert_same_weights(run(config), whole)


@pytest.mark.slow
def test_one_set_by_either_setting_is_the_same(tiny: Make) -> None:
    one = run(tiny("run.name=one", "trainer.max_epochs=2"))
    listed = run(tiny("run.name=listed", "trainer.max_epochs=2", "pretraining.datasets=[{name: pretraining}]"))
    assert_same_weights(one, listed)
    settings = ImuPretraining.load_pretrained(listed).settings
    assert (settings.sets, settings.labels, settings.expert_width) == ([], {}, 0)


def test_motion_alone_needs_no_video(tiny: Make) -> None:
    path = run(
        tiny(
            *MOTION,
            "pretraining.datasets=[{name: motion}, {name: pretraining}]",
            "loss.contrastive.weight=0",
            "loss.order.weight=0",
            "trainer.max_epochs=1",
        )
    )
    assert ImuPretraining.load_pretrained(path).settings.video_encoder is None


@pytest.mark.slow
def test_clips_of_some_sets_can_be_encoded_in_every_step(tiny: Make) -> None:
    changes = (*MIXED, "trainer.max_epochs=1", "video_head.params.input_norm=layer")
    live = weights(run(tiny("run.name=live", "video_encoder.cache=false", *changes)))
    cached = weights(run(tiny("run.name=cached", *changes)))
    for name, values in cached.items():
        # Cached features are halves: an epoch of steps apart by their rounding.
        torch.testing.assert_close(live[name], values, atol=2e-2, rtol=2e-2)


def test_other_commands_know_all_sets(tiny: Make, capsys: pytest.CaptureFixture[str]) -> None:
    config = tiny(*MIXED)
    assert {path.name.split("-")[0] for path in preview(config)} == {"motion", "pretraining"}
    assert compute_features(config) == []
    assert "all good" in capsys.readouterr().out


def test_what_cannot_be_mixed_is_refused(tiny: Make) -> None:
    with pytest.raises(
        ConfigError, match=r"pretraining\.datasets\.1\.name: no data set 'motoin'; did you mean 'motion'"
    ):
        tiny(*MOTION, "pretraining.datasets=[{name: pretraining}, {name: motoin}]")
    with pytest.raises(ConfigError, match=r"pretraining\.datasets: 'motion' is named twice"):
        tiny(*MOTION, "pretraining.datasets=[{name: motion}, {name: motion}]")
    with pytest.raises(ConfigError, match=r"pretraining\.datasets\.0\.weight: expected a number above 0, found 0"):
        tiny(*MOTION, "pretraining.datasets=[{name: motion, weight: 0}, {name: pretraining}]")
    with pytest.raises(UserError, match="7 windows of each batch have video, which 2 processes can't share evenly"):
        run(tiny(*MOTION, "trainer.devices=2", "pretraining.datasets=[{name: motion}, {name: pretraining, weight: 7}]"))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_processes_train_as_one(tiny: Make, tiny_yaml: Path) -> None:
    """Dropout differs between processes; without it only the order of sums does."""
    still = (
        *SEVERAL,
        "imu_encoder.params.dropout=0.0",
        "video_head.params.dropout=0.0",
        "video_head.params.input_dropout=0.0",
        "shared_space.dropout=0.0",
        "trainer.max_epochs=2",
    )
    one = run(tiny("run.name=one", *still))
    first = run(tiny("run.name=first", *still, "optim.lr=1e-12", "optim.min_lr=0"))
    config = tiny()
    paths = (f"paths.data={config.paths.data}", f"paths.runs={config.paths.runs}", "run.name=two", "trainer.devices=2")
    command = [sys.executable, "-m", "experiments.pretrain", str(tiny_yaml), *paths, *still]
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "CUDA_VISIBLE_DEVICES": ""}, timeout=280
    )
    assert done.returncode == 0, done.stderr[-3000:]
    two = Path(config.paths.runs) / "tiny" / "two" / "checkpoints" / "last.ckpt"
    a, b, c = (
        torch.cat([v.flatten() for _, v in sorted(weights(path).items()) if v.is_floating_point()])
        for path in (two, one, first)
    )
    # AdamW makes whole steps of gradients that are all rounding: compare how far apart the ends are with the way there.
    assert (a - b).norm() < 0.02 * (b - c).norm()
