"""The paper's experiments from end to end, on made-up people in the publishers' layouts."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.made_paper import make_ego4d, make_mmea, make_parkinsons

from experiments.paper_tables import main as paper_tables
from experiments.reproduce_paper import SYSTEMS, Choices, check, main, run
from experiments.runtime.errors import UserError
from experiments.settings.load import load

# In the place of VideoMAE and CLIP: a ViT of 16 numbers a patch with random weights. Everything else that is changed
# makes the run short: narrow encoders, one epoch, two draws, and small batches of two dozen windows.
SMALL = (
    "video_encoder.preset=none", "video_encoder.weights=random", "video_encoder.params.grid_size=2",
    "video_encoder.params.kwargs={patch_size: 16, embed_dim: 16, depth: 1, num_heads: 2}",
    "imu_encoder.params.width=32", "window.frame_size=32", "pretraining.batch_size=8", "trainer.max_epochs=1",
    "trainer.accelerator=cpu", "trainer.threads=1", "build.workers=1", "build.clocks=off",
    "evaluation.draws=2", "evaluation.draws_trained=1", "evaluation.folds=2",
    "evaluation.supervised_epochs=1", "evaluation.supervised_min_steps=1", "evaluation.bootstrap=100",
    "evaluation.map_windows=0",
)  # fmt: skip


def in_this_process(module: str, experiment: str, settings: Sequence[str]) -> None:
    importlib.import_module(module).run(load(experiment, settings))


@pytest.mark.slow
@pytest.mark.timeout(1200)  # 1.5 minutes of the processor; on a busy machine it takes longer
def test_the_papers_tables_come_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    here = tmp_path / "checkout"  # the configurations look beside it for the data
    here.mkdir()
    monkeypatch.chdir(here)
    make_ego4d(tmp_path / "ego4d_data")
    make_mmea(tmp_path / "UESTC-MMEA-CL")
    make_parkinsons(tmp_path / "parkinsons")
    choices = Choices(overrides=SMALL)
    out = run(choices, in_this_process, resamples=100)
    assert out == Path("runs/paper")
    text = (out / "beside_the_paper.md").read_text()
    printed = capsys.readouterr().out
    assert text in printed
    assert [line for line in text.splitlines() if line.startswith("## ")] == [
        "## Table 3: few-shot, pretrained on Ego4D, balanced accuracy, %, by labelled windows per class",
        "## Table 4: zero-shot, prototypes from videos",
        "## Table 5: linear probe with 100 labelled windows per class, balanced accuracy, %",
    ]
    made = pd.read_csv(out / "beside_the_paper.csv")
    for table, rows in (
        (3, ["10", "20", "50", "100"]),
        (
            4,
            [
                f"{target}, {metric}"
                for target in ("Ego4D to PD", "Ego4D to MMEA", "MMEA to MMEA")
                for metric in ("balanced accuracy, %", "MRR")
            ],
        ),
        (
            5,
            ["IMU2CLIP", "softmax loss", "CNN + RNN encoder", "single-frame CLIP ViT", "the paper's"],
        ),
    ):
        assert list(dict.fromkeys(made[made["table"] == table]["row"])) == rows
    assert list(dict.fromkeys(made[made["table"] == 3]["column"])) == [
        f"{what}, {target}"
        for what in ("IMU only, probe", "IMU2CLIP, probe", "the paper's, probe", "the paper's, fine-tuned")
        for target in ("Ego4D to MMEA", "Ego4D to PD")
    ]
    assert made["ours"].notna().all()  # every cell of the paper was evaluated
    # People's intervals: the published lists of MMEA are one fold, no person; the patients are four.
    assert set(made["subjects"]) == {1, 4}

    # The values are those of results.csv: the mean over people of each one's mean over folds and draws.
    runs = {"Ego4D to MMEA": "ego4d/to_mmea", "Ego4D to PD": "ego4d/to_parkinsons", "MMEA to MMEA": "mmea/to_mmea"}
    folders = [Path("runs") / name for name in runs.values()]
    folders += [Path("runs/ego4d/to_mmea_tuned"), Path("runs/ego4d/to_parkinsons_tuned")]
    results = pd.concat([pd.read_csv(folder / "results.csv") for folder in folders])

    def expected(target: str, system: str, method: str, shots: int, metric: str) -> float:
        rows = results[results["subject"].notna() & (results["dataset"] == target)]
        rows = rows[(rows["system"] == system) & (rows["method"] == method) & (rows["shots"] == shots)]
        return float(rows[rows["metric"] == metric].groupby("subject")["value"].mean().mean())

    systems = {"IMU only": "imu_only", "IMU2CLIP": "imu2clip", "softmax loss": "ablation_softmax"}
    systems |= {"CNN + RNN encoder": "ablation_cnn_rnn", "single-frame CLIP ViT": "ablation_one_frame"}
    systems["the paper's"] = "paper"
    methods = {"probe": "linear_probe", "fine-tuned": "finetune_paper"}
    cells = zip(*(made[name].tolist() for name in ("table", "row", "column", "ours")), strict=True)
    for number, row, column, ours in cells:
        if number == 3:
            system, how, target = column.split(", ")
            value = 100 * expected(target, systems[system], methods[how], int(row), "balanced_accuracy")
        elif number == 4:
            target, metric = row.split(", ", 1)
            factor, name = (1, "mrr") if metric == "MRR" else (100, "balanced_accuracy")
            value = factor * expected(target, systems[column], "zero_shot_target", 0, name)
        else:
            value = 100 * expected(column, systems[row], "linear_probe", 100, "balanced_accuracy")
        np.testing.assert_allclose(ours, value, rtol=1e-9)  # sums in another order
        digits = 3 if row.endswith("MRR") else 1
        assert f"{ours:.{digits}f}" in text
    assert "(97.8)" in text  # the paper's own figures stand beside

    # The same command goes on where it was: nothing is trained again, no cell computed again.
    kept = {path: path.stat().st_mtime_ns for path in Path("runs").rglob("last.ckpt")}
    assert len(kept) == 8
    finished = Path("runs/ego4d/to_parkinsons/cells.jsonl").read_bytes()
    run(choices, in_this_process, resamples=100)
    assert {path: path.stat().st_mtime_ns for path in Path("runs").rglob("last.ckpt")} == kept
    assert Path("runs/ego4d/to_parkinsons/cells.jsonl").read_bytes() == finished
    assert paper_tables([*map(str, folders), "--out", "again", "--published", "--bootstrap", "100"]) == 0
    assert Path("again/beside_the_paper.md").read_text() == text


def test_what_is_missing_is_said_all_at_once_and_nothing_is_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    no_weights = [f"--{name}={tmp_path / name}.safetensors" for name in ("videomae", "clip")]
    assert main([*no_weights]) == 1
    out, err = capsys.readouterr()
    for what in ("data set ego4d", "data set mmea", "data set parkinsons", "videomae", "clip_b32"):
        assert sum(what in line and "MISSING" in line for line in out.splitlines()) == 1, what
    assert "5 of 5 are missing" in err
    assert "reproduce-the-paper.md" in err
    assert list(tmp_path.iterdir()) == []


def test_without_patients(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"2 of \d are missing"):
        check(Choices(parkinsons="none", overrides=SMALL))
    assert "parkinsons" not in capsys.readouterr().out


def test_wrong_choices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["--check", "window.framesize=3"]) == 2
    assert "did you mean 'window.frame_size'" in capsys.readouterr().err
    assert main(["--check", "--parkinsons", "ego4d_to_parkinson"]) == 2
    assert "did you mean 'ego4d_to_parkinsons'" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["--seeds", "one"])


def test_a_root_reaches_every_step(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_mmea(tmp_path / "mmea", seconds=1.0)
    make_parkinsons(tmp_path / "patients", people=2, each_s=2.0)
    roots = (
        f"datasets.ego4d.source.params.root={tmp_path}",
        f"datasets.mmea.source.params.root={tmp_path / 'mmea'}",
        f"datasets.parkinsons.source.params.path={tmp_path / 'patients' / 'manifest.yaml'}",
    )
    with pytest.raises(UserError, match=r"1 of \d are missing"):
        check(Choices(overrides=(*SMALL, *roots)))
    found = [line for line in capsys.readouterr().out.splitlines() if line.startswith("  found")]
    assert [line.split(":")[-1] for line in found[:2]] == [" 48 recordings", " 2 recordings"]


def test_seeds_and_frozen_video_are_runs_of_their_own() -> None:
    trained, frozen = Choices(), Choices(video="frozen")
    named = {
        setting
        for choices in (trained, frozen)
        for system in SYSTEMS
        for seed in (0, 1)
        for setting in choices.training(system, seed)
        if setting.startswith("run.name=")
    }
    # IMU only, IMU2CLIP and a single frame are the same either way: their video encoder is frozen or none.
    assert len(named) == 2 * (3 + 3 + 3)
    assert "run.name=paper_joint-seed0" in named  # as `make compare SYSTEMS=paper_joint` calls it
    learns = [load("ego4d", trained.training(system, 0)).video_encoder for system in SYSTEMS]
    assert [not encoder.params.get("frozen", True) for encoder in learns] == [False, False, True, True, False, True]
    assert [encoder.cache for encoder in learns] == [True, True, False, False, True, False]
    assert "frozen" not in load("ego4d", frozen.training(SYSTEMS[-1], 0)).video_encoder.params


def test_files_of_weights_go_to_the_systems_that_need_them() -> None:
    choices = Choices(videomae="/a", clip="/b")
    given = [[s for s in choices.training(system, 0) if "weights" in s] for system in SYSTEMS]
    a, b = ["video_encoder.weights=/a"], ["video_encoder.weights=/b"]
    assert given == [[], b, a, a, b, a]


@pytest.mark.parametrize("name", ["ego4d", "mmea"])
def test_the_configurations_have_the_papers_recipe(name: str) -> None:
    config = load(name)
    window, encoder = config.window, config.video_encoder
    assert (window.duration_s, window.stride_s, window.imu_rate_hz, window.samples) == (5.0, 5.0, 50.0, 250)
    assert (window.median_kernel, window.frames, window.frame_size) == (5, 10, 224)
    assert (config.imu_encoder.name, config.imu_encoder.params) == ("patchtst", {})  # its defaults are the paper's
    assert (encoder.name, encoder.weights, encoder.params) == ("video_mae", "pretrained", {"frozen": False})
    assert (config.pretraining.batch_size, config.trainer.max_epochs) == (32, 50)
    assert (config.optim.lr, config.optim.min_lr, config.optim.warmup_share) == (1e-4, 1e-7, 0)
    assert (config.shared_space.width, config.shared_space.dropout) == (512, 0.1)
    assert (config.loss.contrastive.pairs, config.loss.contrastive.weight) == ("sigmoid", 1)
    others = [config.loss.order, config.loss.consistency, config.loss.alignment, config.loss.masked]
    assert [each.weight for each in others] == [0, 0, 0, 0]


def test_the_evaluations_have_the_papers_protocol() -> None:
    for name in ("ego4d_to_mmea", "ego4d_to_parkinsons", "ego4d_to_weargait_pd"):
        e = load(name).evaluation
        assert (e.shots, e.draws, e.draws_trained) == ([10, 20, 50, 100], 5, 5)
        assert {"zero_shot_target", "linear_probe", "finetune_paper", "supervised"} <= set(e.methods)
    five = ["standing", "walking", "sit_stand", "downstairs", "fall"]
    assert load("ego4d_to_mmea").evaluation.targets[0].activities == five
    within = load("mmea")
    assert within.pretraining.exclude_activities == within.evaluation.targets[0].activities == five
