"""The frozen video encoder: its weights, and its features of a set of shards."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from datamodules.features.build import ViewSettings, build_features
from datamodules.features.cache import FeatureCache
from datamodules.features.meta import META
from datamodules.features.remote import RemoteFeatureCache
from datamodules.pretraining import held_out_windows
from datamodules.sampling.order import WindowOrder
from datamodules.shards.reader import NO_FRAMES, ShardSet
from encoders.contract import VideoEncoder, VideoFeatures
from encoders.registry import build_video_encoder, video_encoders
from encoders.video.backbone_encoder import BackboneEncoder
from encoders.weights import WeightsError
from experiments.artifacts.stores import fetch_stored, local_cache, stored
from experiments.runtime.console import console, progress_bar
from experiments.runtime.devices import accelerator, precision_of
from experiments.runtime.errors import UserError
from experiments.runtime.memory import keep_freed_memory
from experiments.runtime.sole_writer import turn
from experiments.runtime.training_bar import TrainingBar, quiet
from experiments.settings.layers import NONE
from experiments.settings.schema import Config
from lightning_modules.extensions.loggers import Board
from lightning_modules.masked_video import MaskedVideoPretraining
from lightning_modules.monitoring.finite import FiniteGuard

SELF_SUPERVISED = "self_supervised"
FEATURES, WEIGHTS = "features", "weights"  # folders of what experiments.share writes


def open_video_encoder(config: Config, shards: ShardSet, train: bool = True) -> VideoEncoder:
    """Build the video encoder with the configured weights, and print their name.

    Missing ``self_supervised`` weights are trained on the clips of ``shards``, and kept.

    Args:
        config: all settings.
        shards: shards with the clips.
        train: True trains missing weights; False raises an error.

    Raises:
        UserError: frames and encoder differ in size, the shards have no frames, or there are no weights.
    """
    check_video_encoder(config)
    if shards.settings.frames == 0:
        raise UserError(f"{shards.directory}: these shards have no video; name a 'camera' in the data set's settings")
    params, weights = video_encoder_params(config), config.video_encoder.weights
    if weights == SELF_SUPERVISED:
        path = _self_supervised(config, shards, params, train)
        came = "" if shards.frames_stored else "came with the shards, "
        said = f"{came}trained by masked patches on unlabelled clips ({path})"
        params["weights"] = str(path)
    else:
        said = {"pretrained": "pretrained", "random": "RANDOM, as asked for"}.get(weights, weights)
        params["weights"] = weights
    console.print(f"video encoder: {config.video_encoder.name}, weights {said}", highlight=False)
    return _built(config, params)


def check_video_encoder(config: Config, load: bool = False) -> None:
    """Check the video encoder's settings, before any shard is built.

    Args:
        config: all settings.
        load: True loads the weights too, unless they are to be trained here: they are there, and fit.

    Raises:
        UserError: settings contradict each other, or the weights are missing or don't fit.
    """
    params, weights = video_encoder_params(config), config.video_encoder.weights
    if weights != SELF_SUPERVISED:
        if load:
            _built(config, {**params, "weights": weights})
        return
    if config.video_encoder.name != "vit":
        raise UserError(
            f"video_encoder: only 'vit' is trained here, not '{config.video_encoder.name}': set"
            " video_encoder.weights to 'pretrained', or to a local folder or file"
        )
    if params.get("pooling") == "joint":
        raise UserError(
            "video_encoder: pooling 'joint' is the image embedding of a CLIP model, which self_supervised weights"
            " don't have: set video_encoder.weights to 'pretrained' or to a CLIP model's file"
        )


def _built(config: Config, params: dict[str, Any]) -> VideoEncoder:
    """Build the video encoder; where a preset's weights are missing, say how to do without them."""
    torch.manual_seed(config.video_pretraining.seed)  # only weights='random' draws numbers
    try:
        return build_video_encoder(config.video_encoder.name, params)
    except WeightsError as error:
        preset = config.video_encoder.preset
        if preset in ("", NONE):
            raise
        raise UserError(
            f"{error} Or set video_encoder.preset=none, which keeps the experiment's own video encoder instead of"
            f" '{preset}'."
        ) from error


def video_encoder_params(config: Config) -> dict[str, Any]:
    """Complete the encoder's settings with the shards' frame size.

    Raises:
        UserError: the settings name another size.
    """
    params = dict(config.video_encoder.params)
    fields = {field.name for field in dataclasses.fields(video_encoders()[config.video_encoder.name].params)}
    if "frame_size" in fields:
        size = params.setdefault("frame_size", config.window.frame_size)
        if size != config.window.frame_size:
            raise UserError(
                f"video_encoder.params.frame_size is {size}, but window.frame_size is {config.window.frame_size};"
                " set the latter only"
            )
    return params


def features_of(config: Config, shards: ShardSet, key: str, video_encoder: VideoEncoder) -> FeatureCache:
    """Get the features of all windows by ``video_encoder``, from the cache, the store, or computed now."""
    fingerprint = video_encoder.fingerprint()
    views = ViewSettings(count=config.video_encoder.views)
    directory = features_directory(config, shards, key, fingerprint)
    if not (directory / META).is_file() and (folder := stored(config, directory, META)) is not None:
        return RemoteFeatureCache.open_folder(folder, local_cache(config), shards, fingerprint)
    if (directory / META).is_file():  # no lock is written here: the folder may be read-only
        return FeatureCache.open(directory, shards, fingerprint)
    if not shards.frames_stored:
        raise UserError(
            f"{shards.directory}: {NO_FRAMES}; features by a video encoder with these settings were not shared"
        )
    device = torch.device("cuda" if accelerator(config) == "gpu" else "cpu")
    video_encoder = video_encoder.to(device).eval()

    @torch.inference_mode()
    def encode(frames: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        made: VideoFeatures = video_encoder(frames, mask)
        return made.frame_tokens, made.pooled

    def show(done: int, _: int) -> None:
        bar.update(task, completed=done)

    computed = (
        f"{video_encoder.precision_on(device.type)} on {device.type}"
        if isinstance(video_encoder, BackboneEncoder)
        else ""
    )
    directory.parent.mkdir(parents=True, exist_ok=True)
    # Two commands may need the same features at once; only one may write them.
    with turn(directory.with_name(f".{directory.name}.lock"), f"computes {directory}"), progress_bar() as bar:
        task = bar.add_task(f"features of {key}", total=shards.n_windows)
        cache = build_features(directory, shards, encode, fingerprint, views, show, device, computed)
        bar.update(task, completed=shards.n_windows)
    return cache


def features_directory(config: Config, shards: ShardSet, key: str, fingerprint: str) -> Path:
    """Name the folder of the features of data set ``key``, by a digest of video encoder, shards and views."""
    views = dataclasses.asdict(ViewSettings(count=config.video_encoder.views))
    identity = json.dumps([fingerprint, shards.fingerprint, views])
    digest = hashlib.sha256(identity.encode()).hexdigest()[:10]
    if (beside := Path(shards.directory) / FEATURES / digest).is_dir():  # they were shared with the shards
        return beside
    return Path(config.paths.data) / "features" / config.experiment / f"{key}-{digest}"


def self_supervised_weights(config: Config, shards: ShardSet) -> Path:
    """Name the file of the weights that are trained on these shards; of shared shards, the one that came with them."""
    params, held_out = video_encoder_params(config), config.pretraining.exclude_activities
    backbone = {k: v for k, v in params.items() if k in _BACKBONE_KEYS}
    parts = [shards.fingerprint, backbone, vars(config.video_pretraining), *([held_out] if held_out else [])]
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:10]
    path = Path(config.paths.data) / "weights" / config.experiment / f"vit-{digest}.safetensors"
    if (beside := Path(shards.directory).parent / WEIGHTS / path.name).is_file():
        return beside
    return path


def _self_supervised(config: Config, shards: ShardSet, params: dict[str, Any], train: bool) -> Path:
    """Train a backbone on the shards' frames, or take the one of an earlier, equal training."""
    settings, held_out = config.video_pretraining, config.pretraining.exclude_activities
    path = self_supervised_weights(config, shards)
    if path.is_file() or fetch_stored(config, path):
        return path
    if not train:
        raise UserError(f"there is no video encoder with these settings ({path}), so no checkpoint was trained with it")
    if not shards.frames_stored:
        raise UserError(f"{shards.directory}: {NO_FRAMES}; a video encoder with these settings was not shared")
    if settings.batch_size > shards.n_windows * (shards.settings.frames - 1):
        raise UserError(
            f"video_pretraining.batch_size is {settings.batch_size}: more than {shards.directory} has pairs"
        )
    console.print(f"video encoder: no weights yet; {settings.steps} steps on masked patches of unlabelled clips")
    quiet()
    L.seed_everything(settings.seed, verbose=False)
    module = MaskedVideoPretraining(params, {"steps": settings.steps, **settings.params})
    run = Path(config.paths.runs) / config.experiment / config.run.name
    trainer = L.Trainer(
        max_epochs=1,
        accelerator=accelerator(config),
        devices=1,
        precision=precision_of(config, settings.precision),  # type: ignore[arg-type]
        logger=Board(run, name="", version="tensorboard_video", default_hp_metric=False),
        log_every_n_steps=20,
        enable_checkpointing=False,
        enable_model_summary=False,
        gradient_clip_val=1.0,
        callbacks=[FiniteGuard(run / "non_finite_video"), TrainingBar()],
    )
    pairs = FramePairs(shards, settings.batch_size, settings.steps, settings.windows, settings.seed, held_out)
    if accelerator(config) == "cpu":
        keep_freed_memory()
    trainer.fit(module, pairs)
    module.save_backbone(path)
    return path


_AT_ONCE = 64  # windows whose frames are read together
_BACKBONE_KEYS = ("model", "kwargs", "frame_size", "mean", "std")


class FramePairs:
    """Batches of neighbouring frames, (B, 2, 3, H, W) uint8, of up to ``windows`` clips held in memory.

    An iterable for Lightning's Trainer; the order is a pure function of the seed. Clips that may show one of
    ``exclude_activities`` are left out, see :func:`datamodules.pretraining.held_out_windows`.
    """

    def __init__(
        self,
        shards: ShardSet,
        batch_size: int,
        steps: int,
        windows: int,
        seed: int,
        exclude_activities: Sequence[str] = (),
    ) -> None:
        allowed = np.flatnonzero(~held_out_windows(shards.table, exclude_activities, shards.settings.duration_s))
        order = WindowOrder(len(allowed), seed)
        chosen = np.sort(allowed[order.at(0, np.arange(min(windows, len(allowed))))])
        self._frames = _colours_first(shards, chosen)
        _, mask = shards.frame_times(chosen)
        self._pairs = np.argwhere(mask[:, 1:] & mask[:, :-1])
        if not len(self._pairs):
            raise UserError(f"{shards.directory}: no window has two neighbouring frames")
        self._order = WindowOrder(len(self._pairs), seed)
        self._batch_size, self._steps = batch_size, steps

    def __len__(self) -> int:
        return self._steps

    def __iter__(self) -> Any:
        for step in range(self._steps):
            positions = np.arange(step * self._batch_size, (step + 1) * self._batch_size)
            epochs = positions // len(self._pairs)
            rows = [self._order.at(int(e), positions[epochs == e] % len(self._pairs)) for e in np.unique(epochs)]
            window, frame = self._pairs[np.concatenate(rows)].T
            first = window * self._frames.shape[1] + frame
            both = torch.from_numpy(np.stack([first, first + 1], axis=1))
            chosen = self._frames.flatten(0, 1).index_select(0, both.flatten())
            yield chosen.view(*both.shape, *chosen.shape[1:])


def _colours_first(shards: ShardSet, windows: NDArray[np.int64]) -> Tensor:
    """Read the frames of windows as (windows, F, 3, H, W), so that a frame lies in one piece."""
    of_window, side = shards.settings.frames, shards.settings.frame_size
    frames = torch.empty((len(windows), of_window, 3, side, side), dtype=torch.uint8)
    for start in range(0, len(windows), _AT_ONCE):
        some = shards.frames(windows[start : start + _AT_ONCE])
        frames[start : start + _AT_ONCE] = torch.from_numpy(some).permute(0, 1, 4, 2, 3)
    return frames
