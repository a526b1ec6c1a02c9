"""Settings under pseudonyms: people are translated on reading, and what is written down has no name and no path."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import MendableError
from datamodules.privacy.pseudonyms import SUBJECT, Pseudonyms, is_pseudonym
from experiments.artifacts.shards import dataset_directory
from experiments.settings.layers import ConfigError
from experiments.settings.load import load, load_saved, plain, to_yaml, with_hidden_values
from experiments.settings.privacy import HIDDEN, person_of
from experiments.settings.schema import Config

STUDY = """
datasets:
  pretraining: {source: {name: simulator, params: {population: Wilhelmina, subjects: 2}}, subjects: [Anna, Jörg]}
development: {simulator: [Jörg]}
evaluation:
  targets: [{name: t, dataset: pretraining, test_where: {subject: [Anna], population: [healthy]}}]
  checkpoints: {other: [/studies/Wilhelmina/last.ckpt]}
"""


@pytest.fixture
def study(tmp_path: Path) -> Path:
    path = tmp_path / "study.yaml"
    path.write_text(STUDY, encoding="utf-8")
    return path


def private(study: Path, *more: str) -> Config:
    return load(str(study), ["privacy.pseudonyms=true", f"privacy.key={study.parent / 'the.key'}", *more])


def test_people_are_translated_by_one_key(study: Path) -> None:
    config = private(study)
    pseudonyms = Pseudonyms.of_file(study.parent / "the.key")
    anna, joerg = pseudonyms.of(SUBJECT, "Anna"), pseudonyms.of(SUBJECT, "Jörg")
    assert config.datasets["pretraining"].subjects == [anna, joerg]
    assert config.development == {"simulator": [joerg]}
    assert config.evaluation.targets[0].test_where == {"subject": [anna], "population": ["healthy"]}
    assert person_of(config, "Anna", "--personal") == anna
    assert config.datasets["pretraining"].source.params["population"] == "Wilhelmina"  # for reading


def test_pseudonyms_are_taken_as_they_are(study: Path) -> None:
    first = private(study)
    people = ",".join(first.datasets["pretraining"].subjects)
    assert private(study, f"datasets.pretraining.subjects=[{people}]").datasets == first.datasets


def test_what_is_written_has_no_name_and_no_path(study: Path, tmp_path: Path) -> None:
    config = private(
        study,
        f"paths.data={tmp_path}/Wilhelmina/data",
        "run.resume=/studies/Wilhelmina/a.ckpt",
        "video_encoder.weights=/studies/Wilhelmina/vit.safetensors",
        "text_encoder.weights=/studies/Wilhelmina/clip.pt",
    )
    text = to_yaml(config)
    for secret in ("Wilhelmina", "Anna", "Jörg", "studies", str(tmp_path), "the.key"):
        assert secret not in text
    written = plain(config)
    assert written["paths"]["runs"] == "runs"  # a default tells nothing
    assert written["video_encoder"]["name"] == "vit"
    assert written["datasets"]["pretraining"]["source"]["params"]["subjects"] == 2
    assert plain(load(str(study)))["evaluation"]["checkpoints"] == {"other": ["/studies/Wilhelmina/last.ckpt"]}


def test_settings_of_a_run_get_their_values_back(study: Path, tmp_path: Path) -> None:
    config = private(study, "video_encoder.weights=/studies/vit.safetensors")
    (tmp_path / "config.yaml").write_text(to_yaml(config), encoding="utf-8")
    saved = load_saved(tmp_path / "config.yaml")
    assert is_pseudonym(saved.video_encoder.weights)
    restored = with_hidden_values(saved, config)
    assert restored == config
    other = private(study, "video_encoder.weights=/studies/other.safetensors", "optim.lr=1")
    partly = with_hidden_values(saved, other)
    assert partly.datasets == config.datasets
    assert partly.video_encoder.weights == saved.video_encoder.weights  # is another one now
    assert partly.optim == config.optim
    with pytest.raises(ConfigError, match="population is a pseudonym, as runs write it"):
        load(str(tmp_path / "config.yaml"))


def test_without_the_key_names_are_refused_and_pseudonyms_do(study: Path, tmp_path: Path) -> None:
    text = STUDY.replace("subjects: [Anna", "shared: there, subjects: [Anna")
    study.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"datasets.pretraining.subjects.0 names somebody by name") as raised:
        private(study)
    assert "Anna" not in str(raised.value)
    assert not (tmp_path / "the.key").exists()  # nothing is built here, so no key is made
    for name, letter in (("Anna", "a"), ("Jörg", "b")):
        text = text.replace(name, "s-" + letter * 20)
    study.write_text(text, encoding="utf-8")
    config = private(study)
    assert plain(config)["evaluation"]["checkpoints"] == {"other": [HIDDEN]}
    assert plain(config)["datasets"]["pretraining"]["source"]["params"] == {}
    assert not (tmp_path / "the.key").exists()


@pytest.mark.parametrize("folder", ["data", "runs"])
def test_a_key_among_what_is_sent_on_is_refused(study: Path, tmp_path: Path, folder: str) -> None:
    key = tmp_path / folder / "inner" / "the.key"
    with pytest.raises(MendableError, match=rf"lies in paths.{folder}, which may be sent on"):
        private(study, f"paths.{folder}={tmp_path / folder}", f"privacy.key={key}")
    assert not key.exists()


def test_another_key_gives_another_folder_and_none_the_old_one(study: Path, tmp_path: Path) -> None:
    healthy = "datasets.pretraining.source.params.population=healthy"
    folders = [
        dataset_directory(private(study, healthy), "pretraining"),
        dataset_directory(private(study, healthy, f"privacy.key={tmp_path / 'other.key'}"), "pretraining"),
        dataset_directory(load(str(study), [healthy]), "pretraining"),
    ]
    assert len(set(folders)) == 3
    assert dataset_directory(private(study, healthy), "pretraining") == folders[0]


def test_frames_in_every_step_and_no_frames_contradict_each_other(study: Path) -> None:
    with pytest.raises(ConfigError, match="cache is false, which reads frames in every step"):
        load(str(study), ["privacy.features_only=true", "video_encoder.cache=false"])
