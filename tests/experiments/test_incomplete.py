"""A run that was stopped is refused by all that uses it; where that is asked for, every table and card says so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch

from encoders import load_imu_encoder
from experiments import adapt
from experiments.eval_ood import run
from experiments.inference.graph import open_exportable
from experiments.inference.head import load_head
from experiments.reports.paper.tables import load_runs, markdown
from experiments.runtime.completeness import IncompleteError
from experiments.runtime.run_folder import LAST, run_folder
from experiments.settings.schema import Config

Make = Callable[..., Config]
STUDY = (
    "datasets.study.source.name=simulator",
    "datasets.study.source.params={subjects: 4, first_subject: 50, sessions_per_subject: 1, session_s: 60,"
    " placements: [head], cameras: []}",
    "datasets.study.placement=head",
    "evaluation.targets=[{name: new people, dataset: study}]",
    "evaluation.methods=[majority, linear_probe]",
    "evaluation.shots=[1]",
    "evaluation.draws=1",
    "evaluation.bootstrap=100",
    "evaluation.map_windows=0",
    "evaluation.shift=false",
    "evaluation.audit=false",
)
SAID = "step 1 of 3"


@pytest.fixture
def stopped(trained: Make) -> Make:
    """A function from overrides to the settings of a run whose last checkpoint is of its first step."""
    last = run_folder(trained()) / "checkpoints" / LAST
    content = torch.load(last, weights_only=True)
    assert content["global_step"] == content["hyper_parameters"]["total_steps"] == 3
    torch.save({**content, "global_step": 1}, last)
    return lambda *overrides: trained(*STUDY, *overrides)


def test_an_evaluation_refuses_it_and_if_asked_says_so_in_every_table(
    stopped: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(IncompleteError, match=rf"last\.ckpt: {SAID}: .*evaluation\.allow_incomplete=true"):
        run(stopped())
    csv = run(stopped("evaluation.allow_incomplete=true"))
    frame = pd.read_csv(csv, keep_default_na=False)
    assert set(frame[frame.method == "linear_probe"].incomplete) == {SAID}
    assert set(frame[frame.method == "majority"].incomplete) == {""}
    warning = f"INCOMPLETE TRAINING (evaluation.allow_incomplete is on): own is of {SAID}."
    text = (csv.parent / "results.md").read_text(encoding="utf-8")
    assert warning in text
    assert "training incomplete" in text.partition("INCOMPLETE TRAINING")[0]  # in the title of the answer
    assert warning in (csv.parent / "report.html").read_text(encoding="utf-8")
    assert "training incomplete" in " ".join(capsys.readouterr().out.split())
    assert f"**INCOMPLETE TRAINING: tiny ({SAID}).**" in markdown(load_runs([csv.parent]), resamples=0)


def test_heads_encoders_and_exports_refuse_it_and_if_asked_say_so(stopped: Make) -> None:
    folder = run_folder(stopped())
    with pytest.raises(IncompleteError, match=SAID):
        adapt.run(stopped(), "linear_probe")
    head = adapt.run(stopped("evaluation.allow_incomplete=true"), "linear_probe")
    assert f"**Incomplete training**: its encoder is of {SAID}." in (head / "README.md").read_text(encoding="utf-8")
    encoder = load_head(head).encoder
    assert encoder is not None
    assert encoder.config.incomplete == SAID
    for open_it in (load_imu_encoder, open_exportable):
        with pytest.raises(IncompleteError, match=rf"{SAID}: .*--allow-incomplete"):
            open_it(str(folder))
    saved = load_imu_encoder(folder, allow_incomplete=True).save_pretrained(Path(folder) / "mine")
    assert f"**Incomplete training**: these weights are of {SAID}." in (saved / "README.md").read_text()
    assert load_imu_encoder(saved).config.incomplete == SAID
    assert f"INCOMPLETE TRAINING: {SAID}" in open_exportable(str(folder), allow_incomplete=True).about
