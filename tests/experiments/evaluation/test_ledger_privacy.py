"""Whom an encoder saw under a name is not tested under a pseudonym without anybody noticing."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.fake_shards import FakeShards
from helpers.made_cells import make_config, make_model
from helpers.made_protocol import make_target

from datamodules.privacy.pseudonyms import SUBJECT, Pseudonyms
from experiments.evaluation.ledger import Ledger
from experiments.evaluation.splits import LeakError, names_against_pseudonyms
from experiments.evaluation.targets import System, seen_in_pretraining
from experiments.settings.evaluation import ExternalConfig
from experiments.settings.privacy import qualified_if_known
from experiments.settings.schema import Config

NAMES = ("1", "2", "3", "4")


@pytest.fixture
def config(tmp_path: Path) -> Config:
    config = make_config(methods=["linear_probe", "external"], shots=[1], draws=1)
    config.privacy.pseudonyms, config.privacy.key = True, str(tmp_path / "the.key")
    return config


def private(config: Config) -> FakeShards:
    pseudonyms = Pseudonyms.of_file(config.privacy.key, make=True)
    return FakeShards(subjects=tuple(pseudonyms.of(SUBJECT, name) for name in NAMES))


def card(folder: Path) -> ExternalConfig:
    path = folder / "card.yaml"
    path.write_text("windows: {fake: ['1', '2']}\nlabels: {}\ndevelopment: {fake: ['3']}\n", encoding="utf-8")
    return ExternalConfig("limu_bert_x", {}, "w", str(path))


def test_names_of_a_card_are_translated_by_the_key(config: Config, tmp_path: Path) -> None:
    shards = private(config)
    config.evaluation.external = {"theirs": card(tmp_path)}
    found = Ledger.of(config, [make_target(shards)], [System()], {"theirs": "d"})
    entries = [each for each in found.entries if each.seen.kind == "external"]
    pseudonyms = Pseudonyms.of_file(config.privacy.key)
    seen = {name for each in entries for name in each.tested_seen}
    assert seen == {f"fake/{pseudonyms.of(SUBJECT, name)}" for name in ("1", "2")}
    assert {name for each in entries for name in each.chosen_on} == {f"fake/{pseudonyms.of(SUBJECT, '3')}"}


def test_without_the_key_names_and_pseudonyms_are_not_compared(config: Config, tmp_path: Path) -> None:
    shards = private(config)
    Path(config.privacy.key).unlink()
    config.evaluation.external = {"theirs": card(tmp_path)}
    saw = System("ours", make_model(shards, pretraining_subjects=["fake/1", "other/2"]), "a")
    found = Ledger.of(config, [make_target(shards)], [saw], {"theirs": "d"})
    for kind in ("checkpoint", "external"):
        entries = [each for each in found.entries if each.seen.kind == kind]
        assert entries
        assert all("of fake some people have names and others pseudonyms" in each.why for each in entries)


def test_the_other_way_round_is_not_compared_either(config: Config) -> None:
    private(config)
    pseudonym = Pseudonyms.of_file(config.privacy.key).of(SUBJECT, "1")
    config.privacy.pseudonyms = False
    target = make_target(FakeShards())
    saw = System("", make_model(FakeShards(), pretraining_subjects=[f"fake/{pseudonym}"]), "a")
    with pytest.raises(LeakError, match="names and others pseudonyms"):
        seen_in_pretraining(target, target.folds(config.evaluation), saw, False)
    assert seen_in_pretraining(target, target.folds(config.evaluation), saw, True)


def test_a_checkpoint_from_before_is_translated(config: Config) -> None:
    private(config)
    pseudonyms = Pseudonyms.of_file(config.privacy.key)
    known = f"far/{pseudonyms.of(SUBJECT, '2')}"
    assert qualified_if_known(config, ["fake/1", known]) == [f"fake/{pseudonyms.of(SUBJECT, '1')}", known]
    assert qualified_if_known(config, None) is None


def test_only_sources_with_both_are_unclear() -> None:
    one, two = "s-" + "a" * 20, "s-" + "b" * 20
    assert names_against_pseudonyms([f"a/{one}", "b/2"], [f"a/{two}", "b/3"]) == []
    assert names_against_pseudonyms([f"a/{one}", "b/2"], ["a/Anna", f"b/{two}"]) == ["a", "b"]
    assert names_against_pseudonyms([f"a/{one}"], ["b/Anna"]) == []
