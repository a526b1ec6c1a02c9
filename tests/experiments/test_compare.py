"""Systems side by side: each trains from its configuration file, and the command puts them into one table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from helpers.real_data import real_data

from datamodules.augment import Draws
from datamodules.augment.draws import window_keys
from datamodules.pretraining import PretrainingDataModule
from experiments.compare import main, run
from experiments.evaluation.methods import find_method
from experiments.evaluation.systems import load_checkpoints, open_systems
from experiments.pretrain import run as pretrain
from experiments.runtime.errors import UserError
from experiments.settings.layers import available
from experiments.settings.load import load
from experiments.settings.schema import Config
from experiments.training.data import make_data_module, prepare_data
from experiments.training.module import make_module
from lightning_modules.losses.negatives import neighbour_mask
from lightning_modules.pretraining import ImuPretraining

Make = Callable[..., Config]
# Small enough for a test, whatever the system says: its own encoders, made tiny.
TINY_PATCHTST = "imu_encoder.params={width: 16, depth: 1, heads: 2, ffn_width: 32}"
SMALL = {
    "paper": (TINY_PATCHTST,),
    "ablation_softmax": (TINY_PATCHTST,),
    "ablation_one_frame": (TINY_PATCHTST,),
    "imu_only": (TINY_PATCHTST,),
}
# Trained with a live video encoder: that is tested apart.
SYSTEMS = [name for name in available("system") if name != "paper_joint"]


def settings_of(name: str) -> list[str]:
    quick = [
        "pretraining.batch_size=8",
        "optim.lr=1e-3",
        "loss.neighbours.queue_size=24",
        "loss.distillation.queue_size=24",
    ]
    return [f"system={name}", "video_encoder.preset=none", *quick, *SMALL.get(name, ())]


@pytest.mark.parametrize("name", SYSTEMS)
def test_every_system_trains(tiny: Make, name: str) -> None:
    the_loss_falls(tiny(*settings_of(name)))


@pytest.mark.slow
@pytest.mark.parametrize("name", SYSTEMS)
def test_every_system_trains_on_real_recordings(shared_data: Path, tmp_path: Path, name: str) -> None:
    root = real_data("utd-mhad")
    here = [f"datasets.pretraining.source.params.root={root}", f"paths.data={shared_data}", f"paths.runs={tmp_path}"]
    # One person's trials; a video encoder small enough to need no training to be of some use.
    small = ["datasets.pretraining.subjects=['1']", "window.frame_size=32", "trainer.accelerator=cpu"]
    video_encoder = "{kwargs: {patch_size: 16, embed_dim: 16, depth: 1, num_heads: 2}, grid_size: 2}"
    video = ["video_encoder.weights=random", "video_encoder.views=1", f"video_encoder.params={video_encoder}"]
    the_loss_falls(load("utd_mhad", [*here, *small, *settings_of(name), *video]), lr=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("name", available("system"))
def test_every_system_trains_and_validates_in_bfloat16(tiny: Make, name: str) -> None:
    """By Lightning's mixed precision, with all that it logs, as on a GPU."""
    precision = ["trainer.precision=bf16-mixed", "trainer.loggers=[tensorboard]"]
    config = tiny(*settings_of(name), *precision, "trainer.max_epochs=2", "trainer.validate_every=1")
    state = torch.load(pretrain(config), weights_only=True)["state_dict"]
    weights = [weight for weight in state.values() if isinstance(weight, torch.Tensor)]
    assert all(weight.isfinite().all() for weight in weights)


def the_loss_falls(config: Config, lr: float = 3e-3) -> None:
    """On a few windows, over and over."""
    config.shared_space.dropout = 0.0
    config.loss.neighbours.queue_size = config.loss.distillation.queue_size = 8
    module, data = ready(config)
    batches = [batch_of(data, config, windows, seed) for seed, windows in enumerate(halves(data))]
    losses = fit(module, batches, 40, lr)
    assert np.isfinite(losses).all()
    # Some losses can't come near zero: the entropy of their targets is left.
    assert np.mean(losses[-6:]) < np.mean(losses[2:6]), losses


STEPS = {"masked_negatives": 1500, "no_alignment": 900}
# Without video there is nothing to find; COMODO learns what is like what, not which clip is whose; and the targets of
# the paper's code hardly tell pairs apart (see test_loss_soft_targets.py).
NO_PAIRS = ("imu_only", "imu_only_ours", "no_video", "comodo", "imu2clip_code")


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in SYSTEMS if name not in NO_PAIRS])
def test_every_system_learns_32_windows_by_heart(tiny: Make, name: str) -> None:
    module, batch = learnt_by_heart(tiny, name, STEPS.get(name, 600))
    with torch.inference_mode():
        imu = module.embed_imu(batch["imu"], batch["channel_mask"], batch["sample_mask"])
        video = module.embed_video(batch["features"].float(), batch["frame_times"], batch["frame_mask"])
    similarity = imu @ video.T
    gap_s = module.settings.shared_space.same_recording_gap_s
    if gap_s:  # such neighbours need not be told apart
        neighbours = neighbour_mask(batch["recording"], batch["start_s"], gap_s) & ~torch.eye(32, dtype=torch.bool)
        similarity = similarity.masked_fill(neighbours, -torch.inf)
    assert torch.equal(similarity.argmax(1), torch.arange(32))


@pytest.mark.slow
def test_comodo_learns_32_windows_similarities_by_heart(tiny: Make) -> None:
    """The student's similarities follow the teacher's, clip by clip."""
    module, batch = learnt_by_heart(tiny, "comodo", 600)
    with torch.inference_mode():
        imu = module.embed_imu(batch["imu"], batch["channel_mask"], batch["sample_mask"])
        video = module.embed_video(batch["features"].float(), batch["frame_times"], batch["frame_mask"])
    found, taught = (imu @ video.T).numpy(), (video @ video.T).numpy()
    assert min(np.corrcoef(a, b)[0, 1] for a, b in zip(found, taught, strict=True)) > 0.9


def learnt_by_heart(tiny: Make, name: str, steps: int) -> tuple[ImuPretraining, dict[str, Any]]:
    """A module trained on 32 windows as they are, and these."""
    config = tiny(*settings_of(name), "shared_space.dropout=0", "video_head.params={}", "pretraining.views=2")
    module, data = ready(config)
    windows = np.concatenate(halves(data, 16))
    assert len(windows) == 32
    plain = batch_of(data, config, windows, None)
    fit(module, [plain], steps)
    return module.eval(), plain


def ready(config: Config) -> tuple[ImuPretraining, PretrainingDataModule]:
    shards, video_encoder, features = prepare_data(config)
    data = make_data_module(config, shards, features)
    torch.manual_seed(0)
    module = make_module(config, shards, video_encoder, features, data)
    module.log = lambda *_, **__: None  # type: ignore[method-assign]  # there is no trainer to log to
    return module, data


def halves(data: PretrainingDataModule, size: int = 8) -> list[np.ndarray]:
    everything = np.concatenate([data.training_windows, data.validation_windows])
    return list(everything[: 2 * size].reshape(2, size))


def batch_of(data: PretrainingDataModule, config: Config, windows: np.ndarray, seed: int | None) -> dict[str, Any]:
    batch = data.read(windows)
    batch["views"] = []
    for view in range(config.pretraining.views):
        made = {name: batch[name] for name in ("imu", "sample_mask", "channel_mask", "frame_times")}
        if seed is not None:
            draws = Draws(window_keys(seed, 0, windows), view)
            arguments = (made["imu"], made["sample_mask"], made["channel_mask"], made["frame_times"])
            made = data.augmentation(*arguments, config.window.imu_rate_hz, draws)._asdict()
        batch["views"].append(made)
    return batch


def fit(module: ImuPretraining, batches: list[dict[str, Any]], steps: int, lr: float = 3e-3) -> list[float]:
    optimizer = torch.optim.AdamW([p for p in module.parameters() if p.requires_grad], lr=lr)
    losses = []
    for step in range(steps):
        loss = module.training_step(batches[step % len(batches)], step)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses


EVALUATION = (
    "datasets.target.source.name=simulator",
    "datasets.target.source.params={population: parkinson, subjects: 4, first_subject: 50, sessions_per_subject: 1,"
    " session_s: 60, placements: [chest], cameras: []}",
    "datasets.target.placement=chest",
    "evaluation={targets: [{name: people, dataset: target}], methods: [majority, random_frozen, linear_probe,"
    " zero_shot], shots: [1, 3], draws: 2, folds: 2, bootstrap: 100, map_windows: 0}",
    "trainer.max_epochs=1",
    "pretraining.batch_size=8",
)


@pytest.mark.slow
def test_two_systems_of_two_seeds_in_one_table(
    tiny_yaml: Path, shared_data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folders = (f"paths.data={shared_data}", f"paths.runs={tmp_path}")
    small = "imu_encoder.params={width: 16, depth: 1, heads: 2}"
    arguments = [str(tiny_yaml), *folders, *EVALUATION, small, "--systems", "ours imu_only", "--seeds", "0 1"]
    assert main(arguments) == 0
    out, messages = capfd.readouterr()
    folder = tmp_path / "tiny" / "compare-ours-imu_only"
    said = " ".join(out.split())
    # Each system has its sentence. Only zero-shot has a baseline here, which is the majority.
    assert "'ours' (zero-shot, source videos) recognises" in said
    assert "'imu_only' (linear probe) recognises" in said
    assert "pretrained, linear probe (ours)" in (folder / "results.md").read_text()
    frame = pd.read_csv(folder / "results.csv", keep_default_na=False)
    probes = frame[frame.method == "linear_probe"]
    assert probes.groupby("system").checkpoint.nunique().to_dict() == {"ours": 2, "imu_only": 2}
    # Zero-shot needs video: one of them has none, and the report says why.
    assert set(frame[frame.method == "zero_shot"].system) == {"ours"}
    assert "left out: zero_shot of imu_only (the checkpoint was trained without a video encoder)" in (
        folder / "results.md"
    ).read_text().replace("\\", "")
    assert set(frame[frame.method == "random_frozen"].encoder) == {"cnn_transformer", "patchtst"}
    assert f"the paper's tables: {folder / 'paper_tables.md'}" in messages
    tables = (folder / "paper_tables.md").read_text()
    table = tables[tables.index("## Table 5") :]
    assert "ours" in table
    assert "imu_only" in table
    first = (tmp_path / "tiny" / "ours-seed0" / "checkpoints" / "last.ckpt").stat().st_mtime_ns
    assert main(arguments) == 0  # nothing is trained again
    assert (tmp_path / "tiny" / "ours-seed0" / "checkpoints" / "last.ckpt").stat().st_mtime_ns == first


def test_what_can_not_be_compared_is_said_before_anything_is_trained(
    tiny_yaml: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "longer.yaml"
    other.write_text("window: {duration_s: 6.0}\n")
    with pytest.raises(UserError, match=r"ours: 200 samples at 50 Hz, .*longer.yaml: 300 samples at 50 Hz"):
        run(str(tiny_yaml), ["ours", str(other)], [0], [f"paths.runs={tmp_path / 'runs'}"])
    assert not (tmp_path / "runs").exists()
    for arguments, found in (
        (["--systems", "ours ours"], "expected different names"),
        (["--systems", "ours", "--seeds", "x"], "expected whole numbers, found 'x'"),
    ):
        with pytest.raises(SystemExit) as stopped:
            main([str(tiny_yaml), *arguments])
        assert stopped.value.code == 2
        assert found in capsys.readouterr().err
    assert main([str(tiny_yaml), "--systems", "our"]) == 2
    assert "no system 'our'; did you mean 'ours'" in capsys.readouterr().err


@pytest.mark.slow
def test_without_any_trained_system_there_is_nothing_to_evaluate(tiny_yaml: Path, tmp_path: Path) -> None:
    folders = (f"paths.data={tmp_path}", f"paths.runs={tmp_path}", "datasets.pretraining.placement=foot")
    with pytest.raises(UserError, match=r"nothing to evaluate; not trained: ours, seed 0 \(exit code 1\)"):
        run(str(tiny_yaml), ["ours"], [0], [*folders, *EVALUATION])


def test_what_is_missing_is_said_in_a_line_each_before_anything_is_built(tiny_yaml: Path, tmp_path: Path) -> None:
    data, runs = tmp_path / "data", tmp_path / "runs"
    other = tmp_path / "clip.yaml"
    other.write_text(
        "video_encoder: {preset: clip_b32, weights: /nowhere/clip.safetensors, params: {pooling: cls}}\n"
        "window: {frame_size: 32}\n"
    )
    lost = (
        "datasets.lost.source={name: utd_mhad, params: {root: /nowhere/utd}}",
        "evaluation.targets=[{dataset: target}, {dataset: lost}]",
    )
    folders = [f"paths.data={data}", f"paths.runs={runs}", *EVALUATION, *lost]
    with pytest.raises(UserError) as refused:
        run(str(tiny_yaml), ["ours", str(other)], [0], folders)
    first, *problems = str(refused.value).splitlines()
    assert "nothing was built or trained yet" in first
    assert len(problems) == 2
    assert f"{other}: video encoder: there is no weights file /nowhere/clip.safetensors" in problems[0]
    assert "video_encoder.preset=none, which keeps the experiment's own video encoder instead of" in problems[0]
    assert "data set 'lost'" in problems[1]
    assert "/nowhere/utd" in problems[1]
    assert not data.exists()
    assert not runs.exists()


def test_what_finished_is_evaluated_although_another_training_failed(
    tiny_yaml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[tuple[str, list[str]]] = []

    def call(module: str, experiment: str, settings: list[str]) -> int:
        asked.append((module, settings))
        return 3 if "system=no_alignment" in settings and "run.seed=1" in settings else 0

    monkeypatch.setattr("experiments.runtime.steps.exit_code", call)
    monkeypatch.setattr("experiments.reports.paper.tables.write_tables", lambda *_: [tmp_path / "paper_tables.md"])
    arguments = [str(tiny_yaml), f"paths.runs={tmp_path}", f"paths.data={tmp_path}", *EVALUATION]
    assert main([*arguments, "--systems", "ours no_alignment", "--seeds", "0 1"]) == 1
    module, settings = asked[-1]
    assert module == "experiments.eval_ood"
    (named,) = (each for each in settings if each.startswith("evaluation.checkpoints="))
    assert named.count("ours-seed") == 2
    assert "no_alignment-seed0" in named
    assert "no_alignment-seed1" not in named
    error = capsys.readouterr().err
    assert "not trained: no_alignment, seed 1 (exit code 3)" in error
    assert "The others are evaluated." in error


@pytest.mark.slow
def test_a_video_encoder_that_learns_too_is_evaluated_with_what_it_learnt(tiny: Make) -> None:
    plain = ("video_head.params.input_norm=layer", "trainer.max_epochs=1")
    live = ("video_encoder.cache=false", "video_encoder.params.frozen=false", *plain)
    config = tiny(*live, "run.name=joint")
    path = pretrain(config)
    weights = torch.load(path, weights_only=True)["state_dict"]
    assert any(name.startswith("video_encoder.backbone") for name in weights)
    methods = [find_method("zero_shot")]
    (system,), remarks = open_systems(config, methods, [], load_checkpoints(config, methods))
    assert remarks == []
    frozen = tiny("run.name=joint", *plain, f"checkpoint={path}")
    (other,), remarks = open_systems(frozen, methods, [], load_checkpoints(frozen, methods))
    assert "trained with a video encoder that learnt too" in remarks[0]
    assert not other.prototypes
    assert len(system.prototypes["source"].activities) > 1
