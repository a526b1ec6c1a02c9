"""Split files say what the evaluation does: the published ones are made again from settings and people alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from helpers.fake_shards import FakeShards
from helpers.made_cells import make_config, make_model
from helpers.made_protocol import make_target

from core.digest import digest_of
from experiments.evaluation.plan import plan_units
from experiments.evaluation.split_files import pretraining_people, split_of, split_text
from experiments.evaluation.splits import make_folds
from experiments.evaluation.targets import System
from experiments.settings.load import load

PUBLISHED = sorted((Path(__file__).parents[3] / "docs" / "splits").glob("*.yaml"))


def content_of(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return content


def test_there_is_a_file_for_each_real_set() -> None:
    sets = {name for path in PUBLISHED for name in content_of(path)["data_set"]}
    assert sets == {"utd_mhad", "sisfall", "weda_fall", "sp_sw_har", "daphnet"}
    halves = [content_of(path)["people"]["test"] for path in PUBLISHED if path.stem.startswith("utd_mhad")]
    assert sorted(halves) == [["1", "3", "5", "7"], ["2", "4", "6", "8"]]


@pytest.mark.parametrize("path", PUBLISHED, ids=lambda path: path.stem)
def test_the_evaluation_would_use_the_same_folds(path: Path) -> None:
    """Settings come from the experiment, people from the file, folds from the function that every target calls."""
    split = content_of(path)
    config = load(split["experiment"], split["overrides"])
    (settings,) = [target for target in config.evaluation.targets if target.name == split["target"]]
    e = config.evaluation
    assert split["settings"] == {
        "folds": e.folds,
        "all_groupings": e.all_groupings,
        "test_where": settings.test_where,
        "support_where": settings.support_where,
        "support": settings.support,
    }
    assert split["development"] == config.development
    assert split["pretraining"] == pretraining_people(config)
    assert [config.datasets[settings.dataset].source.name] == split["data_set"]
    named = config.datasets[settings.dataset].subjects
    assert not named or sorted(named) == sorted(split["people"]["test"])
    people = sorted({*split["people"]["test"], *split["people"]["support"]})
    subjects = np.repeat(people, 2)
    table = {"subject": subjects, "activity": np.tile(["a", "b"], len(people))}
    test, support = (np.isin(subjects, split["people"][side]) for side in ("test", "support"))
    folds = make_folds(table, e.folds, (), test, support, e.all_groupings)
    assert [(fold.number, fold.test_subjects, fold.support_subjects) for fold in folds] == [
        (fold["fold"], fold["test"], fold["support"]) for fold in split["folds"]
    ]


@pytest.mark.parametrize("path", PUBLISHED, ids=lambda path: path.stem)
def test_nobody_is_on_two_sides_and_the_digest_is_the_content_s(path: Path) -> None:
    split = content_of(path)
    tested = set()
    for fold in split["folds"]:
        assert not set(fold["test"]) & set(fold["support"])
        tested |= set(fold["test"])
    assert tested == set(split["people"]["test"])
    (source,) = split["data_set"]
    pretraining = split["pretraining"].get(source, [])
    assert pretraining == "all" or not tested & set(pretraining)
    digest = split.pop("digest")
    assert digest == digest_of(split)[:16]
    assert path.read_text(encoding="utf-8") == split_text({**split, "digest": digest})


def test_a_split_is_read_off_the_folds_that_are_planned() -> None:
    config = make_config(methods=["linear_probe"], shots=[1], draws=1, all_groupings=True)
    config.development = {"fake": ["3"]}
    target = make_target(FakeShards(), test_where={"subject": ["1", "2", "3", "4"]})
    split = split_of(config, target, target.folds(config.evaluation))
    units = plan_units(config, [target], [System("", make_model(FakeShards()))])
    planned = {unit.fold.number: (unit.fold.test_subjects, unit.fold.support_subjects) for unit in units}
    assert {fold["fold"]: (fold["test"], fold["support"]) for fold in split["folds"]} == planned
    assert len(planned) == 6  # three ways to halve four people
    assert split["development"] == {"fake": ["3"]}
    assert split["settings"]["test_where"] == {"subject": ["1", "2", "3", "4"]}
    assert yaml.safe_load(split_text(split)) == split
