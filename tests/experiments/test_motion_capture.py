"""The whole way from BVH files: shards with rendered frames, pretraining on them, evaluation on other people."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.made_bvh import write_person
from scipy.spatial.transform import Rotation

from datamodules.shards.reader import ShardSet
from experiments.build_shards import run as build_shards
from experiments.eval_ood import run as evaluate
from experiments.pretrain import run as pretrain
from experiments.settings.schema import Config
from lightning_modules.pretraining import ImuPretraining

PEOPLE = "{subjects: 2, sessions_per_subject: 1, session_s: 60, placements: [waist], cameras: []}"


@pytest.mark.slow  # about 10 s
def test_from_files_to_a_table(tiny: Callable[..., Config], tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for number in range(8):
        times = np.arange(100 + 10 * number) / 30.0  # half of them are shorter than a window
        swing = Rotation.from_rotvec(np.sin(rng.uniform(3, 8) * times)[:, None] * rng.uniform(-0.6, 0.6, 3))
        path = tmp_path / "files" / f"{('walk', 'bow')[number % 2]}_{number}.bvh"
        write_person(path, len(times), {"right_thigh": swing, "left_thigh": swing.inv(), "abdomen": swing})
    params = f"{{root: {tmp_path / 'files'}, files: '{{activity}}_{{id}}.bvh', reference: '', placements: [waist]}}"
    config = tiny(
        "datasets.captured.source.name=bvh",
        f"datasets.captured.source.params={params}",
        "datasets.captured.placement=waist",
        "datasets.captured.camera=third_person",
        "datasets.people.source.name=simulator",
        f"datasets.people.source.params={PEOPLE}",
        "datasets.people.placement=waist",
        "pretraining.datasets=[{name: captured}]",
        "datasets.captured.window.layout=centred",
        "window.min_label_share=0.3",
        "pretraining.batch_size=4",
        "trainer.max_epochs=1",
        "evaluation.targets=[{name: people, dataset: people}]",
        "evaluation.methods=[linear_probe]",
        "evaluation.shots=[1]",
        "evaluation.draws=1",
        "evaluation.folds=2",
        "evaluation.perturbations=[]",
        "evaluation.map_windows=0",
    )
    build_shards(config)
    [folder] = Path(config.paths.data).glob("shards/*/captured-*/index.json")
    shards = ShardSet.open(folder.parent)
    assert shards.n_windows == 8
    assert set(shards.table["activity"]) == {"walk", "bow"}
    settings = ImuPretraining.load_pretrained(pretrain(config)).settings
    assert settings.pretraining_subjects == ["bvh/actor"]
    found = pd.read_csv(evaluate(config))
    assert set(found["method"]) == {"linear_probe"}
