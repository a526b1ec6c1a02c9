"""The ledger: whom an encoder has seen, which cells are refused for it, and what stays allowed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from helpers.fake_shards import FakeShards
from helpers.made_cells import make_config, make_model
from helpers.made_protocol import make_target

from experiments.evaluation.adaptation import find_contender
from experiments.evaluation.errors import EvaluationError
from experiments.evaluation.ledger import Ledger, Refused, control_of, seen_by_external
from experiments.evaluation.plan import plan_units
from experiments.evaluation.splits import LeakError
from experiments.evaluation.targets import System
from experiments.settings.evaluation import ExternalConfig
from experiments.settings.layers import CONFIG_FOLDER
from experiments.settings.schema import Config


def system(name: str = "", **settings: Any) -> System:
    return System(name, make_model(FakeShards(), **settings), f"digest of {name}")


def ledger_of(config: Config, *systems: System) -> Ledger:
    return Ledger.of(config, [make_target(FakeShards())], systems, {})


def refused_of(config: Config, *systems: System) -> set[tuple[str, int]]:
    chosen = [find_contender(name) for name in config.evaluation.methods]
    return {(each.contender, each.fold) for each in ledger_of(config, *systems).refused(config.evaluation, chosen)}


def test_cells_of_seen_people_are_refused_fold_by_fold() -> None:
    """Two folds: 1, 2 and 3, 4. The checkpoint saw person 4."""
    config = make_config(methods=["majority", "linear_probe", "knn+person"], shots=[1], draws=1)
    saw = system("ours", pretraining_subjects=["fake/4", "other/1"])
    assert refused_of(config, saw) == {("linear_probe@ours", 1), ("knn+person@ours", 1)}
    units = plan_units(config, [make_target(FakeShards())], [saw])
    assert {(unit.method.name, unit.fold.number) for unit in units} == {
        ("majority", 0),
        ("majority", 1),
        ("linear_probe", 0),
        ("knn+person", 0),
    }
    first, second = [each for each in ledger_of(config, saw).entries if each.seen.kind == "checkpoint"]
    assert (first.why, first.others_seen, first.tested_seen) == ("", ("fake/4",), ())
    assert second.why == "it was trained on tested people: fake/4"
    assert second.others_seen == ()


def test_of_two_seeds_with_one_name_only_the_one_that_saw_somebody_is_refused() -> None:
    config = make_config(methods=["linear_probe"], shots=[1], draws=1)
    target, model = make_target(FakeShards()), make_model(FakeShards(), pretraining_subjects=["fake/90"])
    blind, saw = System("ours", model, "a"), System("ours", system(pretraining_subjects=["fake/1"]).model, "b")
    units = plan_units(config, [target], [blind, saw])
    assert {(unit.system.checkpoint, unit.fold.number) for unit in units} == {("a", 0), ("a", 1), ("b", 1)}


def test_who_does_not_say_whom_it_saw_is_refused_everywhere() -> None:
    config = make_config(methods=["linear_probe"], shots=[1], draws=1)
    assert refused_of(config, system("old", pretraining_subjects=None)) == {
        ("linear_probe@old", 0),
        ("linear_probe@old", 1),
    }


def test_a_run_whose_own_checkpoint_has_no_cell_left_stops() -> None:
    config = make_config(methods=["majority", "linear_probe"], shots=[1], draws=1)
    with pytest.raises(LeakError, match="fake/1, fake/3"):
        plan_units(config, [make_target(FakeShards())], [system(pretraining_subjects=["fake/1", "fake/3"])])
    assert plan_units(config, [make_target(FakeShards())], [system(pretraining_subjects=["fake/1"])])


def test_what_is_allowed_is_not_refused() -> None:
    config = make_config(methods=["linear_probe"], shots=[1], draws=1, allow_seen_subjects=True)
    saw = system("ours", pretraining_subjects=["fake/4"])
    assert refused_of(config, saw) == set()
    assert len(plan_units(config, [make_target(FakeShards())], [saw])) == 2


def test_people_on_whom_settings_were_chosen_are_named_and_not_refused() -> None:
    config = make_config(methods=["linear_probe"])
    config.development = {"fake": ["2"]}
    settings, *_, checkpoint = ledger_of(config, system("ours", development_subjects=["fake/3"])).entries
    assert (settings.seen.kind, settings.fold, settings.chosen_on) == ("settings", 0, ("fake/2",))
    assert (checkpoint.fold, checkpoint.chosen_on, checkpoint.why) == (1, ("fake/3",), "")
    unsaid = ledger_of(config, system("ours")).entries[-1]
    assert unsaid.seen.development is None


def test_a_control_says_what_it_is() -> None:
    config = make_config(methods=["linear_probe"], shots=[1], draws=1)
    shuffled = system("shuffled", shuffled_video="activity")
    assert ledger_of(config, shuffled).control("shuffled") == "control: video shuffled within each activity"
    assert control_of("none") == ""
    for unit in plan_units(config, [make_target(FakeShards())], [shuffled]):
        assert "control: video shuffled within each activity" in unit.notes


def card(folder: Path, text: str) -> ExternalConfig:
    path = folder / "card.yaml"
    path.write_text(text, encoding="utf-8")
    return ExternalConfig("limu_bert_x", {}, "w", str(path))


def test_a_card_says_what_an_encoder_of_others_has_seen(tmp_path: Path) -> None:
    settings = card(tmp_path, "windows: {fake: ['1'], far: all}\nlabels: {fake: ['3']}\ndevelopment: {}\n")
    seen = seen_by_external("theirs", settings, "d")
    assert seen.windows == {"fake": frozenset({"1", "3"}), "far": None}
    assert seen.labels == "fake"
    assert seen.development == {}


def test_the_card_of_limu_bert_x_can_be_read() -> None:
    path = CONFIG_FOLDER / "cards" / "limu_bert_x.yaml"
    seen = seen_by_external("limu", ExternalConfig("limu_bert_x", {}, "w", str(path)), "d")
    assert seen.windows == {"couriers": None}
    assert (seen.labels, seen.development, seen.known) == ("", None, True)


def test_cells_of_an_encoder_of_others_are_refused_by_its_card(tmp_path: Path) -> None:
    config = make_config(methods=["external", "handcrafted_rf"], shots=[1, 2])
    config.evaluation.external = {"theirs": card(tmp_path, "windows: {fake: all}\nlabels: {}\ndevelopment: {}\n")}
    found = Ledger.of(config, [make_target(FakeShards())], [System()], {"theirs": "d"})
    chosen = [find_contender(name) for name in config.evaluation.methods]
    why = "it was trained on fake, and nobody knows on which people"
    assert found.refused(config.evaluation, chosen)[0] == Refused("fake", "external@theirs", 0, (1, 2), why)
    assert found.why("fake", 1, "external", "theirs", "d") == why
    config.evaluation.external["theirs"].card = ""
    without = Ledger.of(config, [make_target(FakeShards())], [System()], {"theirs": "d"})
    assert without.refused(config.evaluation, chosen) == ()
    assert not without.entries[-1].seen.known


def test_what_is_refused_is_said_in_one_line_for_each_encoder_and_target() -> None:
    seen = [
        Refused("a", f"{m}@old", fold, (1,), f"seen {fold}") for m in ("linear_probe", "finetune") for fold in (0, 1)
    ]
    own = [Refused("a", "linear_probe", 0, (1,), "why"), Refused("b", "linear_probe", 0, (1,), "why")]
    assert Ledger.in_short([*seen, *own]) == [
        "refused: a, old, fold 0, 1 (linear_probe, finetune): seen 0 (for other folds see ledger.csv: 2 reasons)",
        "refused: a, own encoder, fold 0 (linear_probe): why",
        "refused: b, own encoder, fold 0 (linear_probe): why",
    ]
    assert Ledger.in_short([]) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("windows: {}\n", "has no 'labels'; expected {SOURCE: [people], ...}, {} for none"),
        ("windows: {fake: 3}\nlabels: {}\ndevelopment: {}\n", "windows.fake is 3; expected a list of people, or 'all'"),
        ("windows: {\n", "can't be read"),
        ("- 1\n", "has no 'windows'"),
    ],
)
def test_a_card_that_can_not_be_understood(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(EvaluationError, match=r"evaluation\.external\.theirs\.card: ") as found:
        seen_by_external("theirs", card(tmp_path, text), "d")
    assert said in str(found.value)
