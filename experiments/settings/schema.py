"""Every setting, with its type, default and one line of help; ``--help`` of each command prints this list.

A YAML file in ``experiments/configs`` names what differs from these defaults, the command line what differs
from the file. Everything is a plain value, so that a checkpoint's hyper-parameters load with
``weights_only=True``.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from datamodules.windows.cut import WindowSettings

T = TypeVar("T")


def _option(default: T, text: str) -> T:
    """A field with its line of help; a mutable default is copied for each instance."""
    made: Any
    if isinstance(default, list | dict) or hasattr(default, "__dataclass_fields__"):
        made = field(default_factory=lambda: copy.deepcopy(default), metadata={"help": text})
    else:
        made = field(default=default, metadata={"help": text})
    return cast("T", made)


@dataclass
class RunConfig:
    """Name, seed and resuming of a run."""

    name: str = _option("default", "last part of runs/<experiment>/<name>; 'default' becomes the system's name, if any")
    seed: int = _option(0, "seed of weights, order of windows and augmentations")
    resume: str = _option("auto", "'auto' (continue last.ckpt if there), 'never', or a checkpoint's path")


@dataclass
class PathsConfig:
    """Where things are written, and where they are read from."""

    runs: str = _option("runs", "checkpoints, TensorBoard logs and results")
    data: str = _option("data", "shards and caches")
    store: str = _option("", "URL of shards, features and weights that aren't in 'data', e.g. s3://bucket/prefix")
    cache: str = _option("", "local folder for what is read from the store; empty: 'cache' in 'data'")
    cache_gb: float = _option(50.0, "what that folder may hold, GB")


@dataclass
class SourceConfig:
    """A source of recordings."""

    name: str = _option("simulator", "a source of datamodules/sources")
    params: dict[str, Any] = _option({}, "that source's own settings")


@dataclass
class DatasetConfig:
    """One set of shards."""

    source: SourceConfig = _option(SourceConfig(), "where the recordings come from")
    placement: str = _option("any", "which sensor of a recording; 'any' takes its only one")
    camera: str = _option("", "which camera of a recording; empty builds shards without video")
    subjects: list[str] = _option([], "only these subjects; empty takes all")


@dataclass
class BuildConfig:
    """How shards are built."""

    workers: int = _option(0, "processes; 0 takes one a core")
    scheduler: str = _option("", "tcp://host:port of a Dask scheduler, whose workers build; empty: 'workers' here")
    recordings_per_shard: int = _option(32, "as many recordings go into one file, unless it grows too large")
    on_bad: str = _option("exclude", "a recording that can't be used: 'exclude' and list it, or 'raise'")
    clocks: str = _option(
        "report", "camera against sensor: 'report' offsets, 'apply' what is certain, 'drop' what disagrees, or 'off'"
    )


@dataclass
class AugmentConfig:
    """Augmentations of IMU windows in training; 0 switches one off."""

    rotation_deg: float = _option(15.0, "standard deviation of a random rotation of both sensors, degrees")
    noise: float = _option(0.02, "standard deviation of white noise, in normalised units")
    scale: float = _option(0.1, "standard deviation of a random gain per window and sensor")
    shift_s: float = _option(0.1, "the IMU's content moved in time, the frames' times with it, at most, seconds")
    time_warp: float = _option(0.15, "speed changed, |log| at most; angular rate and frames' times with it")
    trim: float = _option(0.1, "share of the valid samples lost at each end, at most")
    warp_acceleration: bool = _option(False, "a change of speed changes the linear acceleration with its square")
    rotation_about_gravity: float = _option(0.0, "share of windows turned by any angle about the vertical")
    rotation_any: float = _option(0.0, "share of windows turned uniformly over all rotations")
    accelerometer_noise: float = _option(0.0, "density of white noise, at most, m/s2 per root Hz (parts: 0.001-0.002)")
    gyroscope_noise: float = _option(0.0, "density of white noise, at most, rad/s per root Hz (parts: 0.0001-0.0003)")
    accelerometer_bias: float = _option(0.0, "standard deviation of each axis' bias, m/s2 (parts: 0.2-0.25)")
    gyroscope_bias: float = _option(0.0, "standard deviation of each axis' bias, rad/s (parts: 0.01-0.02)")
    drop_gyroscope: float = _option(0.0, "probability that a window loses its gyroscope")
    placement_jitter_cm: float = _option(0.0, "standard deviation of the sensor's place on its segment, each axis, cm")


@dataclass
class PretrainingConfig:
    """What is pretrained on."""

    dataset: str = _option("pretraining", "a key of 'datasets'")
    batch_size: int = _option(64, "global batch: windows over all devices together")
    exclude_activities: list[str] = _option([], "activities held out: windows with these labels are not trained on")
    validation_share: float = _option(0.1, "share of the recordings held out for the label-free validation")
    normalisation: str = _option("physical", "'physical' (acceleration / g, rate / pi), 'window' (z-score), 'none'")
    views: int = _option(2, "augmented views of a window in each step")
    same_recording_gap_s: float = _option(0.0, "closer windows of one recording are no negatives; 0 keeps all")
    order: str = _option(
        "shuffle", "'shuffle', 'blocks' (slow disks), 'shards' (a store) or 'spread' (no neighbours in a batch)"
    )
    augment: AugmentConfig = _option(AugmentConfig(), "augmentations of the IMU windows")


@dataclass
class ImuEncoderConfig:
    """The encoder that is learnt."""

    name: str = _option("cnn_transformer", "an encoder of encoders/imu")
    params: dict[str, Any] = _option({}, "that encoder's own settings")


@dataclass
class VideoEncoderConfig:
    """The video encoder, frozen."""

    preset: str = _option("", "a file of configs/video_encoders; 'none' keeps the experiment's own encoder")
    name: str = _option("vit", "an encoder of encoders/video")
    weights: str = _option(
        "self_supervised",
        "'self_supervised' (train it first, on the clips), 'pretrained', 'random', or a path",
    )
    params: dict[str, Any] = _option({}, "that encoder's own settings")
    cache: bool = _option(True, "compute its features once; false decodes and encodes the clips in every step")
    views: int = _option(1, "views of each clip in the cache, the plain one and randomly zoomed and shifted ones")


@dataclass
class TextEncoderConfig:
    """The text half of the video encoder's CLIP model, for zero_shot_text."""

    name: str = _option("", "open_clip's name of that model, e.g. ViT-B-32-quickgelu; empty: there is none")
    weights: str = _option("", "a tag of open_clip, e.g. openai, or a path to a file of the whole model")


@dataclass
class VideoPretrainingConfig:
    """How the video encoder is trained where no weights are to be had: masked patches of unlabelled frames."""

    steps: int = _option(600, "optimiser steps")
    batch_size: int = _option(128, "pairs of neighbouring frames a step")
    seed: int = _option(0, "of this training; not run.seed, so that runs of several seeds share one video encoder")
    windows: int = _option(1000, "clips held in memory, drawn from all")
    precision: str = _option("auto", "'auto' (bf16 where the processor computes in it), '32-true', 'bf16-mixed'")
    params: dict[str, Any] = _option({}, "settings of lightning_modules.masked_video")


@dataclass
class VideoHeadConfig:
    """The trained head over frozen frame features."""

    name: str = _option("temporal", "a head of encoders/video/heads.py")
    params: dict[str, Any] = _option({}, "that head's own settings")


@dataclass
class LossConfig:
    """What is minimised."""

    contrastive: str = _option(
        "sigmoid", "'sigmoid', 'softmax', 'soft_targets', 'distillation' or 'none'; see docs/systems.md"
    )
    order_weight: float = _option(0.5, "weight of telling the frames' true order by the IMU; 0 switches it off")
    order_count: int = _option(32, "orders that the true one is told from, itself among them")
    alignment_weight: float = _option(0.0, "weight of aligning IMU and frames moment by moment; 0 switches it off")
    alignment_width_s: float = _option(0.25, "standard deviation of its Gaussian target, seconds")
    alignment_temperature: float = _option(0.1, "its temperature at the start; it is learnt")
    masked_weight: float = _option(0.0, "weight of filling in hidden patches; 0 switches it off")
    masked_share: float = _option(0.4, "share of each channel's patches that are hidden")
    masked_patch: int = _option(16, "samples a patch")
    neighbour_weight: float = _option(0.0, "weight of the nearest neighbours from a queue; 0 switches it off")
    neighbour_temperature: float = _option(0.1, "its temperature")
    queue_size: int = _option(4096, "embeddings in the queue of neighbours, or of the distillation")
    student_temperature: float = _option(0.05, "of the distillation: the IMU's")
    teacher_temperature: float = _option(0.1, "of the distillation: the video's")
    alignment_max_shift_s: float = _option(0.0, "clocks of a recording may disagree by up to this; 0 trusts them")
    alignment_shift_step_s: float = _option(0.05, "between the shifts that are tried, seconds")
    consistency_weight: float = _option(0.5, "weight of the consistency of a window's views; 0 switches it off")
    consistency_temperature: float = _option(0.2, "its temperature")
    projection_width: int = _option(512, "width of the space shared by IMU and video")
    projection_dropout: float = _option(0.1, "in both projection heads")
    alignment_dim: int = _option(128, "width of the space in which tokens and frames are compared")


@dataclass
class OptimConfig:
    """AdamW with warm-up and cosine."""

    lr: float = _option(1e-3, "peak learning rate")
    min_lr: float = _option(1e-7, "learning rate at the end")
    weight_decay: float = _option(0.05, "decoupled; not on biases, norms and temperatures")
    scalar_lr_factor: float = _option(10.0, "temperatures and the sigmoid's bias learn at this times the rate")
    warmup_share: float = _option(0.05, "share of all steps in which the rate rises")
    gradient_clip: float = _option(1.0, "largest gradient norm; 0 switches clipping off")


@dataclass
class TrainerConfig:
    """What Lightning's Trainer gets."""

    max_epochs: int = _option(40, "epochs")
    accelerator: str = _option("auto", "'auto', 'cpu', 'gpu'")
    devices: int = _option(1, "devices (processes) a node; more than one trains with DDP")
    num_nodes: int = _option(1, "nodes")
    precision: str = _option("auto", "'auto' is bf16 where the hardware has it, else 32-bit")
    validate_every: int = _option(5, "epochs between validations")
    log_every: int = _option(10, "steps between log entries")
    threads: int = _option(0, "CPU threads a process; 0 shares the cores between the processes")
    accumulate: int = _option(1, "batches whose gradients make one optimiser step; negatives stay within a batch")
    compile: bool = _option(False, "torch.compile the IMU encoder; see docs/performance.md")
    checkpoint_every_steps: int = _option(0, "also write last.ckpt every so many steps; 0: each epoch")


@dataclass
class TargetConfig:
    """One out-of-distribution data set to evaluate on."""

    name: str = _option("", "how tables call it")
    dataset: str = _option("", "a key of 'datasets': who is tested")
    support: list[str] = _option([], "keys of 'datasets' that labels come from; empty takes 'dataset' itself")
    test_where: dict[str, list[str]] = _option({}, "only such windows are tested, e.g. {population: [older]}")
    support_where: dict[str, list[str]] = _option({}, "labels of such windows only, e.g. {population: [young]}")
    activities: list[str] = _option([], "only these; empty takes evaluation.activities")
    labels: str = _option("own", "activities by each source's 'own' names, or by 'common' ones; see docs/datasets.md")
    gyroscope: bool = _option(True, "false takes the gyroscope from all windows, where one of two sets has none")
    event: str = _option("", "the activity that is a rare event, e.g. fall: detection is measured too")
    placements: list[str] = _option([], "keys of 'datasets': other sensors of the same recordings, tested as well")


@dataclass
class EvaluationConfig:
    """The protocol; see docs/evaluation.md."""

    targets: list[TargetConfig] = _option([], "data sets; their subjects must not be in pretraining")
    methods: list[str] = _option(
        [
            "majority",
            "zero_shot",
            "handcrafted_rf",
            "random_frozen",
            "supervised",
            "knn",
            "linear_probe",
            "finetune",
        ],
        "what is compared",
    )
    shots: list[int] = _option([1, 5, 10, 20, 50, 100], "labelled windows per class")
    support_subjects: int = _option(0, "people whom these windows come from, drawn anew each time; 0 takes all")
    subject_shots: list[int] = _option([], "whole people labelled, instead of windows per class; empty: not done")
    draws: int = _option(10, "few-shot draws a fold")
    draw_seed: int = _option(0, "seed of the draws; not run.seed, so that runs are compared on the same draws")
    draws_trained: int = _option(3, "draws a fold for the methods that train an encoder per cell")
    shots_trained: list[int] = _option([], "labelled windows per class for these methods; empty takes 'shots'")
    folds: int = _option(0, "groups of subjects, tested in turn; 0: one subject at a time, 10 groups above 25")
    activities: list[str] = _option([], "only these; empty takes all")
    checkpoints: dict[str, list[str]] = _option({}, "other systems to compare: name -> checkpoints (one a seed)")
    perturbations: list[str] = _option([], "what is done to tested windows: 'rotation', 'noise=1', ...; see the docs")
    perturbations_shots: int = _option(0, "labelled windows per class for that; 0 takes the most")
    perturbations_draws: int = _option(2, "draws a fold for that")
    probe_c: float = _option(1.0, "inverse regularisation of the logistic probe")
    knn_neighbours: int = _option(10, "nearest labelled windows that vote, at most")
    forest_trees: int = _option(300, "trees of the random forest")
    finetune_epochs: int = _option(10, "epochs of fine-tuning")
    finetune_min_steps: int = _option(40, "its optimiser steps, at least: few labels make short epochs")
    finetune_encoder_lr: float = _option(1e-4, "learning rate of the encoder")
    finetune_head_lr: float = _option(1e-3, "learning rate of the classifier")
    finetune_rates: list[float] = _option([1e-6, 1e-5, 1e-4, 5e-4], "finetune_tuned: rates of the encoder to try")
    supervised_epochs: int = _option(20, "epochs of training from scratch")
    supervised_min_steps: int = _option(100, "its optimiser steps, at least")
    supervised_lr: float = _option(1e-3, "learning rate of training from scratch")
    bootstrap: int = _option(10_000, "resamples over subjects for the 95 % intervals")
    map_windows: int = _option(1500, "windows in the embedding map; 0 draws none")
    audit: bool = _option(True, "look for duplicated windows and for labels that need no movement to be told")
    allow_seen_subjects: bool = _option(False, "evaluate on pretraining subjects too; every table says so")
    allow_leaks: bool = _option(False, "go on where the audit finds a leak; every table says so")
    workers: int = _option(0, "threads for methods that need no training of an encoder; 0 takes one a core")


@dataclass
class Config:
    """All settings of an experiment."""

    experiment: str = _option("simulator", "name of the experiment; the configuration file's by default")
    system: str = _option("", "a file of configs/systems, laid over the experiment; see docs/systems.md")
    checkpoint: str = _option(
        "", "eval_ood: the checkpoint; empty: this run's last.ckpt; 'none': evaluation.checkpoints only"
    )
    run: RunConfig = _option(RunConfig(), "name, seed and resuming")
    paths: PathsConfig = _option(PathsConfig(), "where things are written")
    datasets: dict[str, DatasetConfig] = _option({}, "named sets of shards")
    window: WindowSettings = _option(WindowSettings(), "how windows are cut")
    build: BuildConfig = _option(BuildConfig(), "how shards are built")
    pretraining: PretrainingConfig = _option(PretrainingConfig(), "what is pretrained on")
    imu_encoder: ImuEncoderConfig = _option(ImuEncoderConfig(), "the encoder that is learnt")
    video_encoder: VideoEncoderConfig = _option(VideoEncoderConfig(), "the video encoder, frozen")
    text_encoder: TextEncoderConfig = _option(TextEncoderConfig(), "the text half of the video encoder's CLIP model")
    video_pretraining: VideoPretrainingConfig = _option(
        VideoPretrainingConfig(), "how the video encoder gets weights where there are none"
    )
    video_head: VideoHeadConfig = _option(VideoHeadConfig(), "the trained head over frozen frame features")
    loss: LossConfig = _option(LossConfig(), "what is minimised")
    optim: OptimConfig = _option(OptimConfig(), "AdamW with warm-up and cosine")
    trainer: TrainerConfig = _option(TrainerConfig(), "what Lightning's Trainer gets")
    evaluation: EvaluationConfig = _option(EvaluationConfig(), "the out-of-distribution protocol")
