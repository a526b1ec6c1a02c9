"""Settings: defaults, files and command line; and that a slip of the pen is caught with its full path."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments.runtime.command_line import parse
from experiments.settings.descriptions import describe
from experiments.settings.layers import ConfigError, available
from experiments.settings.load import load, load_saved, plain, to_yaml


@pytest.mark.parametrize("name", available())
def test_every_experiment_loads(name: str) -> None:
    config = load(name)
    # The paper's evaluations use what was pretrained on Ego4D, and lie beside it.
    assert config.experiment == ("ego4d" if name.startswith("ego4d_to_") else name)
    assert {target.dataset for target in config.evaluation.targets} <= set(config.datasets)
    # Two only evaluate: they have a target each and nothing to pretrain on.
    assert config.pretraining.dataset in config.datasets or name in ("daphnet", "sisfall")


def test_the_command_line_beats_the_file_and_the_file_beats_the_default(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("trainer: {max_epochs: 7}\noptim: {lr: 0.5}\n")
    config = load(str(path), ["trainer.max_epochs=9"])
    assert config.experiment == "mine"
    assert config.trainer.max_epochs == 9
    assert config.optim.lr == 0.5
    assert config.optim.weight_decay == 0.05


def test_a_file_builds_on_another(tmp_path: Path) -> None:
    (tmp_path / "first.yaml").write_text("trainer: {max_epochs: 7, devices: 2}\n")
    (tmp_path / "second.yaml").write_text("base: first.yaml\ntrainer: {max_epochs: 8}\n")
    config = load(str(tmp_path / "second.yaml"))
    assert (config.trainer.max_epochs, config.trainer.devices) == (8, 2)
    (tmp_path / "first.yaml").write_text("base: second.yaml\n")
    with pytest.raises(ConfigError, match="circle"):
        load(str(tmp_path / "second.yaml"))
    (tmp_path / "third.yaml").write_text("base: utd_mhad\n")
    assert load(str(tmp_path / "third.yaml")).window.layout == "centred"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("trainer.max_epoch=3", r"unknown key 'trainer\.max_epoch'; did you mean 'trainer\.max_epochs'\?"),
        ("trainr.max_epochs=3", r"unknown key 'trainr'; did you mean 'trainer'\?"),
        ("max_epochs=3", r"unknown key 'max_epochs'; did you mean 'trainer\.max_epochs'\?"),
        ("epochs=3", r"unknown key 'epochs'; did you mean 'trainer\.max_epochs'\?"),
        ("batch_size=3", r"unknown key 'batch_size'; did you mean 'pretraining\.batch_size'\?"),
        ("limit_val_batches=3", r"did you mean 'trainer\.kwargs\.limit_val_batches', an argument of Lightning"),
        ("trainer.profiler=simple", r"did you mean 'trainer\.kwargs\.profiler'"),
        ("trainer.kwargs.precision=16", r"trainer\.kwargs\.precision: it is the project's own .*trainer\.precision="),
        ("trainer.loggers=[wandbb]", r"trainer\.loggers: there is no logger 'wandbb'; did you mean 'wandb'\?"),
        ("imu_encoder.name=patchtsd", r"imu_encoder\.name: no 'patchtsd'; did you mean 'patchtst'\?"),
        (
            "imu_encoder.params.widht=3",
            r"'imu_encoder\.params\.widht'; did you mean 'imu_encoder\.params\.width'\?",
        ),
        (
            "imu_encoder.params.orientation=gravty",
            r"params\.orientation: expected one of raw, raw\+gravity, gravity; found 'gravty'; did you mean 'gravity'",
        ),
        (
            "datasets.pretraining.source.params.subject=3",
            r"params\.subject'; did you mean .*params\.subjects'",
        ),
        ("datasets.pretraining.camra=head", r"'datasets\.pretraining\.camra'; did you mean .*camera"),
        ("trainer.max_epochs=many", r"trainer\.max_epochs: .*many"),
        ("trainer.max_epochs=0", r"trainer\.max_epochs: expected a number at least 1, found 0"),
        ("trainer=3", r"'trainer' is a group of settings \(max_epochs, .*\), found 3"),
        (
            "loss.contrastive.pairs=sigmiod",
            r"loss\.contrastive\.pairs: expected one of sigmoid, softmax, soft_targets; found 'sigmiod'",
        ),
        ("loss.contrastive=softmax", r"'loss\.contrastive' is a group of settings \(weight, pairs\), found 'softmax'"),
        ("tower=clip_b32", r"'tower' is now 'video_encoder\.preset'"),
        ("loss.queue_size=9", r"'loss\.queue_size' is now 'loss\.neighbours\.queue_size' and 'loss\.distill"),
        ("evaluation.folds=1", r"evaluation\.folds: expected at least 2"),
        ("loss.order.count=1", r"loss\.order\.count: expected a number at least 2, found 1"),
        (
            "loss.alignment.max_shift_s=0.5",
            r"loss\.alignment\.max_shift_s: .*found 0\.5, expected 0, or a weight: loss\.al",
        ),
        (
            "pretraining.order=shufle",
            r"pretraining\.order: expected one of shuffle, blocks, shards, spread; .*'shuffle'",
        ),
        (
            "evaluation.targets=[{dataset: target, labels: comon}]",
            r"targets\.0\.labels: expected one of own, common, shared; found 'comon'; did you mean 'common'\?",
        ),
        ("nonsense", "expected key=value, found 'nonsense'"),
    ],
)
def test_a_wrong_setting_says_where_and_what_was_meant(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load("simulator", [override])


def test_text_that_no_file_can_be_named_by_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"command line: paths\.runs: found a character of number 0"):
        load("simulator", ['paths.runs="a\\0b"'])
    (tmp_path / "mine.yaml").write_text('base: simulator\npaths: {runs: "a\\0b"}\n', encoding="utf-8")
    with pytest.raises(ConfigError, match=r"mine\.yaml: .*line 2, column 15: found a character of number 0"):
        load(str(tmp_path / "mine.yaml"))


def test_gravity_aligned_channels_need_gravity() -> None:
    aligned = "imu_encoder.params.orientation=raw+gravity"
    assert load("simulator", [aligned]).imu_encoder.params["orientation"] == "raw+gravity"
    with pytest.raises(ConfigError, match=r"orientation is 'raw\+gravity', but .* samples have no gravity"):
        load("simulator", [aligned, "pretraining.normalisation=window"])


def test_a_wrong_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no experiment 'utd_mhat'; did you mean 'utd_mhad'"):
        load("utd_mhat")
    with pytest.raises(ConfigError, match=r"no configuration file 'nowhere\.yaml'"):
        load("nowhere.yaml")
    path = tmp_path / "broken.yaml"
    path.write_text("a: [1\n")
    with pytest.raises(ConfigError, match=r"broken\.yaml: not valid YAML"):
        load(str(path))
    path.write_text("- a\n")
    with pytest.raises(ConfigError, match="found a list"):
        load(str(path))
    path.write_text("evaluation: {targets: [{name: x, dataset: y}]}\n")
    with pytest.raises(ConfigError, match=r"evaluation\.targets\.0\.dataset: no data set 'y'"):
        load(str(path))


def test_a_source_without_an_experiment_says_which_file_to_write(tmp_path: Path) -> None:
    for name, source in (("weda_fall", "weda_fall"), ("weda-fall", "weda_fall"), ("pd", "weargait_pd")):
        with pytest.raises(ConfigError, match=rf"no experiment '{name}'; a source '{source}' exists") as found:
            load(name)
        text = str(found.value)
        written = tmp_path / f"{name.replace('-', '_')}.yaml"
        assert written.name in text
        written.write_text(text[text.index("  datasets:") : text.index("\n\nand give its path")])
        assert load(str(written)).datasets["pretraining"].source.name == source
    with pytest.raises(ConfigError, match="no experiment 'nothing_like_it' \\(there are"):
        load("nothing_like_it")


def test_a_file_can_not_run_code(tmp_path: Path) -> None:
    path = tmp_path / "evil.yaml"
    path.write_text("experiment: !!python/object/apply:os.system ['touch " + str(tmp_path / "ran") + "']\n")
    with pytest.raises(ConfigError, match="not valid YAML"):
        load(str(path))
    assert not (tmp_path / "ran").exists()


def test_what_is_printed_can_be_read_back(tmp_path: Path) -> None:
    config = load("utd_mhad", ["run.seed=5"])
    path = tmp_path / "utd_mhad.yaml"
    path.write_text(to_yaml(config))
    assert plain(load(str(path))) == plain(config)


def test_help_lists_every_key_with_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        parse(["--help"], "experiments.pretrain", "x")
    assert stopped.value.code == 0
    text = capsys.readouterr().out
    rows = list(describe())
    assert len(rows) > 60
    for path, kind, default, line in rows:
        assert path in text
        assert kind
        assert default is not None
        assert line, f"{path} has no help"


def test_print_config_and_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        parse(["utd_mhad", "run.seed=3", "--print-config"], "experiments.pretrain", "x")
    assert stopped.value.code == 0
    assert "seed: 3" in capsys.readouterr().out
    with pytest.raises(SystemExit) as stopped:
        parse(["utd_mhad", "run.sed=3"], "experiments.pretrain", "x")
    assert stopped.value.code == 2
    assert "did you mean 'run.seed'" in capsys.readouterr().err
    assert parse(["run.seed=4"], "experiments.pretrain", "x").run.seed == 4


@pytest.mark.parametrize("name", available("system"))
def test_every_system_lies_over_an_experiment(name: str) -> None:
    config = load("utd_mhad", [f"system={name}"])
    assert (config.experiment, config.system, config.run.name) == ("utd_mhad", name, name)
    assert config.evaluation.targets[0].dataset == "target"
    assert config.datasets["pretraining"].subjects == ["1", "3", "5", "7"]


@pytest.mark.parametrize("name", available("video_encoder"))
def test_every_video_encoder_lies_over_an_experiment(name: str) -> None:
    config, plain_one = load("utd_mhad", [f"video_encoder.preset={name}"]), load("utd_mhad")
    assert config.video_encoder.weights == "pretrained"
    assert config.imu_encoder == plain_one.imu_encoder
    assert "grid_size" not in config.video_encoder.params  # that was another encoder's


def test_the_order_of_layers(tmp_path: Path) -> None:
    system, video_encoder = tmp_path / "mine.yaml", tmp_path / "big.yaml"
    system.write_text(
        f"video_encoder: {{preset: {video_encoder}}}\nimu_encoder: {{name: patchtst, params: {{depth: 2}}}}\n"
        "optim: {lr: 0.5}\n"
    )
    video_encoder.write_text("window: {frame_size: 64}\noptim: {lr: 0.25}\n")
    config = load("simulator", [f"system={system}", "imu_encoder.params.heads=2"])
    assert config.imu_encoder.params == {"depth": 2, "heads": 2}  # nothing of the experiment's own encoder
    assert (config.window.frame_size, config.optim.lr) == (
        64,
        0.5,
    )  # the system's word counts more
    assert config.run.name == "mine"
    own = load("simulator", [f"system={system}", "video_encoder.preset=none", "run.name=other", "optim.lr=1"])
    assert (own.window.frame_size, own.optim.lr, own.run.name) == (96, 1.0, "other")
    same = load("simulator", ["imu_encoder.name=cnn_transformer", "imu_encoder.params.depth=1"])
    assert same.imu_encoder.params["stem_kernels"] == [8, 6, 6]  # the same encoder keeps its settings


def test_a_system_or_video_encoder_that_is_not_there() -> None:
    with pytest.raises(ConfigError, match="no system 'imu2clipp'; did you mean 'imu2clip'"):
        load("simulator", ["system=imu2clipp"])
    with pytest.raises(ConfigError, match=r"no video encoder 'dinov9'.*there are: clip_b32"):
        load("simulator", ["video_encoder.preset=dinov9"])


def test_saved_settings_come_back_as_they_were(tmp_path: Path) -> None:
    config = load("utd_mhad", ["system=no_video", "loss.consistency.weight=0.25"])
    (tmp_path / "config.yaml").write_text(to_yaml(config))
    assert load_saved(tmp_path / "config.yaml") == config  # the system is not laid over once more
    (tmp_path / "config.yaml").write_text("nonsense: 1\n")
    with pytest.raises(ConfigError, match="not the settings of a run"):
        load_saved(tmp_path / "config.yaml")


@pytest.mark.parametrize(
    ("override", "said"),
    [
        (f"window.duration_s={'9' * 320}", r"window\.duration_s: found a whole number of more than 250 digits"),
        (
            f"evaluation.finetune_rates=[0.1,{'9' * 320}]",
            r"evaluation\.finetune_rates: found a whole number of more than 250",
        ),
        (f"run.seed={'9' * 5000}", "5000 digits"),
    ],
)
def test_an_absurd_whole_number_on_the_command_line_is_refused_in_words(override: str, said: str) -> None:
    with pytest.raises(ConfigError, match=f"command line: .*{said}"):
        load("simulator", [override])
