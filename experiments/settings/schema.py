"""Every setting, with its type, default and one line of help; ``--help`` of each command prints this list.

A YAML file in ``experiments/configs`` names what differs from these defaults, the command line what differs
from the file. Everything is a plain value, so that a checkpoint's hyper-parameters load with
``weights_only=True``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from core.settings import setting
from datamodules.augment.settings import AugmentSettings
from datamodules.clock_sync.apply_offset import DEFAULT_CLOCKS
from datamodules.pretraining.shuffle import SHUFFLES, UNSHUFFLED
from datamodules.privacy.settings import PrivacySettings
from datamodules.windows.settings import WindowSettings
from experiments.settings.evaluation import EvaluationConfig
from experiments.settings.trainer import TrainerConfig
from lightning_modules.optim import OptimSettings
from lightning_modules.settings import LossSettings, SharedSpaceSettings


@dataclass
class RunConfig:
    """Name, seed and resuming of a run."""

    name: str = setting("default", "last part of runs/<experiment>/<name>; 'default' becomes the system's name, if any")
    seed: int = setting(0, "seed of weights, order of windows and augmentations")
    resume: str = setting("auto", "'auto' (continue last.ckpt if there), 'never', or a checkpoint's path")
    on_damage: str = setting(
        "fail",
        "a stored window that differs from its checksum: 'fail', or 'skip' it and say how many were",
        choices=("fail", "skip"),
    )


@dataclass
class PathsConfig:
    """Where things are written, and where they are read from."""

    runs: str = setting("runs", "checkpoints, TensorBoard logs and results")
    data: str = setting("data", "shards and caches")
    store: str = setting("", "URL of shards, features and weights that aren't in 'data', e.g. s3://bucket/prefix")
    cache: str = setting("", "local folder for what is read from the store; empty: 'cache' in 'data'")
    cache_gb: float = setting(50.0, "what that folder may hold, GB")


@dataclass
class SourceConfig:
    """A source of recordings."""

    name: str = setting("simulator", "a source of datamodules/sources")
    params: dict[str, Any] = setting({}, "that source's own settings")


@dataclass
class DatasetConfig:
    """One set of shards."""

    source: SourceConfig = setting(SourceConfig(), "where the recordings come from")
    placement: str = setting("any", "which sensor of a recording; 'any' takes its only one")
    camera: str = setting("", "which camera of a recording; empty builds shards without video")
    subjects: list[str] = setting([], "only these subjects; empty takes all")
    window: dict[str, Any] = setting({}, "settings of 'window' that differ in this set, e.g. {layout: centred}")
    shared: str = setting("", "folder that experiments.share wrote of this set; empty: built from 'source'")


@dataclass
class BuildConfig:
    """How shards are built."""

    workers: int = setting(0, "processes; 0 takes one a core")
    scheduler: str = setting("", "tcp://host:port of a Dask scheduler, whose workers build; empty: 'workers' here")
    recordings_per_shard: int = setting(
        32, "as many recordings go into one file, unless it grows too large", at_least=1
    )
    on_bad: str = setting(
        "exclude", "a recording that can't be used: 'exclude' and list it, or 'raise'", choices=("exclude", "raise")
    )
    clocks: str = setting(
        DEFAULT_CLOCKS,
        "camera against sensor: 'report' offsets, 'apply' what is certain, 'drop' what disagrees, or 'off'",
    )


@dataclass
class MixedDatasetConfig:
    """One of several sets of shards that are mixed in pretraining."""

    name: str = setting("", "a key of 'datasets'")
    weight: float = setting(1.0, "its share of the windows of a batch, in proportion to the others' weights", above=0)


@dataclass
class PretrainingConfig:
    """What is pretrained on."""

    dataset: str = setting("pretraining", "a key of 'datasets'")
    datasets: list[MixedDatasetConfig] = setting(
        [], "several keys of 'datasets' instead, mixed in each batch, with or without video; empty takes 'dataset'"
    )
    batch_size: int = setting(64, "global batch: windows over all devices together", at_least=1)
    exclude_activities: list[str] = setting([], "activities held out: windows with these labels are not trained on")
    validation_share: float = setting(
        0.1, "share of the recordings held out for the label-free validation", at_least=0, below=1
    )
    normalisation: str = setting(
        "physical",
        "'physical' (acceleration / g, rate / pi), 'window' (z-score), 'none'",
        choices=("physical", "window", "none"),
    )
    views: int = setting(2, "augmented views of a window in each step", at_least=1)
    order: str = setting(
        "shuffle",
        "'shuffle', 'blocks' (slow disks), 'shards' (a store) or 'spread' (no neighbours in a batch)",
        choices=("shuffle", "blocks", "shards", "spread"),
    )
    shuffle_video: str = setting(
        UNSHUFFLED,
        "a control: windows get the pictures of others 'within' one 'activity' or 'subject', or of 'all'",
        choices=SHUFFLES,
    )
    augment: AugmentSettings = setting(AugmentSettings(), "augmentations of the IMU windows")

    def names(self) -> list[str]:
        """List the sets that are pretrained on, by their keys in ``datasets``."""
        return [each.name for each in self.datasets] or [self.dataset]

    def check(self) -> None:
        """Refuse a set that is mixed with itself."""
        names = self.names()
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"datasets: '{name}' is named twice; expected each set once, with one weight")


@dataclass
class ImuEncoderConfig:
    """The encoder that is learnt."""

    name: str = setting("cnn_transformer", "an encoder of encoders/imu")
    params: dict[str, Any] = setting({}, "that encoder's own settings")


@dataclass
class VideoEncoderConfig:
    """The video encoder, frozen."""

    preset: str = setting("", "a file of configs/video_encoders; 'none' keeps the experiment's own encoder")
    name: str = setting("vit", "an encoder of encoders/video")
    weights: str = setting(
        "self_supervised",
        "'self_supervised' (train it first, on the clips), 'pretrained', 'random', or a path",
    )
    params: dict[str, Any] = setting({}, "that encoder's own settings")
    cache: bool = setting(True, "compute its features once; false decodes and encodes the clips in every step")
    views: int = setting(
        1, "views of each clip in the cache, the plain one and randomly zoomed and shifted ones", at_least=1
    )


@dataclass
class TextEncoderConfig:
    """The text half of the video encoder's CLIP model, for zero_shot_text."""

    name: str = setting("", "open_clip's name of that model, e.g. ViT-B-32-quickgelu; empty: there is none")
    weights: str = setting("", "a tag of open_clip, e.g. openai, or a path to a file of the whole model")


@dataclass
class VideoPretrainingConfig:
    """How the video encoder is trained where no weights are to be had: masked patches of unlabelled frames."""

    steps: int = setting(600, "optimiser steps", at_least=1)
    batch_size: int = setting(128, "pairs of neighbouring frames a step", at_least=1)
    seed: int = setting(0, "of this training; not run.seed, so that runs of several seeds share one video encoder")
    windows: int = setting(1000, "clips held in memory, drawn from all")
    precision: str = setting("auto", "'auto' (bf16 where the processor computes in it), '32-true', 'bf16-mixed'")
    params: dict[str, Any] = setting({}, "settings of lightning_modules.masked_video")


@dataclass
class VideoHeadConfig:
    """The trained head over frozen frame features."""

    name: str = setting("temporal", "a head of encoders/video/heads.py")
    params: dict[str, Any] = setting({}, "that head's own settings")


@dataclass
class Config:
    """All settings of an experiment."""

    experiment: str = setting("simulator", "name of the experiment; the configuration file's by default")
    system: str = setting("", "a file of configs/systems, laid over the experiment; see docs/guides/systems.md")
    checkpoint: str = setting(
        "", "eval_ood: the checkpoint; empty: this run's last.ckpt; 'none': evaluation.checkpoints only"
    )
    run: RunConfig = setting(RunConfig(), "name, seed and resuming")
    paths: PathsConfig = setting(PathsConfig(), "where things are written")
    privacy: PrivacySettings = setting(PrivacySettings(), "names, paths and video that stay where they are")
    datasets: dict[str, DatasetConfig] = setting({}, "named sets of shards")
    development: dict[str, list[str]] = setting(
        {}, "people on whom the settings were chosen: source -> subjects; split files and ledger name them"
    )
    window: WindowSettings = setting(WindowSettings(), "how windows are cut")
    build: BuildConfig = setting(BuildConfig(), "how shards are built")
    pretraining: PretrainingConfig = setting(PretrainingConfig(), "what is pretrained on")
    imu_encoder: ImuEncoderConfig = setting(ImuEncoderConfig(), "the encoder that is learnt")
    video_encoder: VideoEncoderConfig = setting(VideoEncoderConfig(), "the video encoder, frozen")
    text_encoder: TextEncoderConfig = setting(TextEncoderConfig(), "the text half of the video encoder's CLIP model")
    video_pretraining: VideoPretrainingConfig = setting(
        VideoPretrainingConfig(), "how the video encoder gets weights where there are none"
    )
    video_head: VideoHeadConfig = setting(VideoHeadConfig(), "the trained head over frozen frame features")
    loss: LossSettings = setting(LossSettings(), "the objectives, whose weighted sum is minimised")
    shared_space: SharedSpaceSettings = setting(SharedSpaceSettings(), "the space that IMU and video share")
    optim: OptimSettings = setting(OptimSettings(), "AdamW with warm-up and cosine")
    trainer: TrainerConfig = setting(TrainerConfig(), "what Lightning's Trainer gets")
    evaluation: EvaluationConfig = setting(EvaluationConfig(), "the out-of-distribution protocol")

    def video_dataset(self) -> str | None:
        """The first set of pretraining with a camera, which the video encoder is trained on; None without any."""
        cameras = [key for key in self.pretraining.names() if key in self.datasets and self.datasets[key].camera]
        return cameras[0] if cameras else None
