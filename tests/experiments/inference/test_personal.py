"""A head for one person: later windows stay sealed, and the card says what the person's labels are worth."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from datamodules.labels.label_column import among, distinct
from experiments.adapt import main, run
from experiments.evaluation.adaptation import personal as adaptation
from experiments.evaluation.errors import EvaluationError
from experiments.evaluation.target_data import open_targets
from experiments.inference import personal as module
from experiments.inference.fitting import study_of
from experiments.inference.head import load_head
from experiments.reports.prediction.card import model_card
from experiments.runtime.errors import UserError
from experiments.runtime.run_folder import run_folder

Adapted = Any  # of conftest


def subjects(adapted: Adapted) -> list[str]:
    return distinct(open_targets(adapted.config)[0].shards.table["subject"])


@pytest.mark.parametrize("shots", [0, 1])
def test_no_later_window_of_the_person_is_fitted_on(
    adapted: Adapted, monkeypatch: pytest.MonkeyPatch, shots: int
) -> None:
    target = study_of(open_targets(adapted.config)[0])
    person = subjects(adapted)[1]
    seen: list[tuple[Any, ...]] = []

    def watched(data: Any, windows: Any, labels: Any, weight: int) -> Any:
        made = adaptation.with_labels(data, windows, labels, weight)
        seen.append((data, windows, labels, weight, made))
        return made

    monkeypatch.setattr(module, "with_labels", watched)
    head, _ = module.fit_personal_head(
        adapted.config, target, None, "handcrafted_logistic", person, shots, lambda *_: None
    )
    ((data, windows, labels, weight, made),) = seen
    table = target.shards.table
    assert set(table["subject"][windows]) == {person}
    assert person not in set(table["subject"][data.support])
    assert weight == adapted.config.evaluation.personal_weight == 3
    assert [head.classes[label] for label in labels] == list(table["activity"][windows])
    if shots:
        assert np.bincount(labels).max() == 1
    about: Any = head.about
    own = np.flatnonzero(among(table["subject"], [person]) & target.sides(adapted.config.evaluation)[0])
    fitted = set(made.support.tolist())
    sealed = [window for window in own if window not in fitted]
    assert about["personal"]["tested"] <= len(sealed)
    assert sum(about["personal"]["labelled"].values()) == len(windows)
    # Each of the person's windows counts three times, and so do all of activities without a label of the person.
    counts = np.unique(made.support, return_counts=True)
    assert set(counts[1][np.isin(counts[0], windows)]) == {3}


def test_the_command_writes_a_head_for_the_person_and_says_what_the_labels_are_worth(
    adapted: Adapted, tmp_path: Path
) -> None:
    person = subjects(adapted)[0]
    folder = run(adapted.config, "hybrid_logistic", personal=person)
    assert folder == run_folder(adapted.config) / f"head-{person}"
    head = load_head(folder)
    about: Any = head.about
    personal = about["personal"]
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert card == model_card(head)
    assert (
        f"**This head is for {person}**, of whom it has {sum(personal['labelled'].values())} labelled windows." in card
    )
    assert f"{100 * personal['with_labels']:.1f} % of the person's {personal['tested']} later windows" in card
    # Names come from data: none makes a picture, a link or HTML.
    name = "![a](http://t/x.png)<b>"
    named = {key: [name] for key in ("source", "subjects", "populations", "placements", "devices")}
    remarks = [f"{name} was not tested"]
    hostile = {**about, **named, "experiment": name, "target": name, "personal": {**personal, "subject": name}}
    hostile["estimate"] = {**about["estimate"], "mean": None, "remarks": remarks}
    shown = model_card(replace(head, about=hostile))
    assert shown.count("![a") > len(named)
    assert "](http" not in shown
    assert "<b>" not in shown
    assert f"without these labels it would be {100 * personal['without_labels']:.1f} %" in card
    assert "**Of anybody else:** On people whom it never saw" in card
    assert person not in about["estimate"]["subjects"]


def test_what_cannot_be_done_is_said(adapted: Adapted, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UserError, match=r"nobody is called 'sim_x'.*there are: "):
        run(adapted.config, "handcrafted_logistic", personal="sim_x")
    person, config = subjects(adapted)[0], adapted.config
    alone = study_of(open_targets(config)[0])
    alone.settings.test_where = {"subject": [person]}
    with pytest.raises(EvaluationError, match=f"{person} is alone"):
        module.fit_personal_head(config, alone, None, "handcrafted_logistic", person, 0, lambda *_: None)
    with pytest.raises(SystemExit) as e:
        main(["simulator", "--shots", "2"])
    assert e.value.code == 2
    assert "--shots is the number of labelled windows of --personal SUBJECT" in capsys.readouterr().err
