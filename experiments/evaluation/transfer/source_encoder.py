"""An IMU encoder trained on the labels of other laboratories, once per target, and kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from safetensors import SafetensorError
from safetensors.torch import save_file

from core.digest import digest_of
from core.durable import write_atomically
from core.room import is_read_only
from datamodules.augment import ImuAugmentation
from datamodules.augment.settings import AugmentSettings
from datamodules.labelled_sets import LabelledSet, LabelledSetsDataModule
from datamodules.labels.label_column import UNLABELLED, numbered
from encoders.contract import ImuEncoder, ImuInput
from encoders.layers.orientation import RAW
from encoders.registry import build_imu_encoder
from encoders.weights import read_safetensors
from experiments.evaluation.transfer.sources import Sources, SourceSet
from lightning_modules.finetune import quiet_trainer
from lightning_modules.source_classifier import SourceClassifier, SourceClassifierSettings

ENCODER = "conv_norms"
NORMALISATION = "physical"
# Sensors of other laboratories are turned another way, at other places, and some lack a gyroscope. The magnitudes were
# chosen on SisFall's young people.
AUGMENTATION = AugmentSettings.only(
    rotation_any=0.5, noise=0.02, scale=0.1, shift_s=0.8, drop_gyroscope=0.3, time_warp=0.1
)

Progress = Callable[[int, int], None]


def open_source_encoder(
    sources: Sources,
    settings: SourceClassifierSettings,
    seed: int,
    folder: Path,
    accelerator: str,
    progress: Progress = lambda done, total: None,
) -> ImuEncoder:
    """Load the encoder of these sources; train and keep it where there is none yet.

    Args:
        sources: the labelled data sets.
        settings: settings of the training.
        seed: seed of weights, draws and augmentations.
        folder: folder of kept encoders.
        accelerator: "cpu" or "gpu".
        progress: called with the number of finished steps, and of all.

    Returns:
        The encoder, in evaluation mode, on the CPU.
    """
    window = sources.sets[0].shards.settings
    encoder = _fresh(ImuInput(window.samples, window.imu_rate_hz), settings.orientation, seed)
    path = folder / f"sources-{_digest(sources, settings, seed)}.safetensors"
    if not _loaded(encoder, path):
        _train(encoder, sources, settings, seed, accelerator, progress)
        _keep(encoder, path)
    return encoder.cpu().eval()


def _keep(encoder: ImuEncoder, path: Path) -> None:
    state = {name: tensor.contiguous() for name, tensor in encoder.state_dict().items()}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, lambda temporary: save_file(state, temporary))
    except OSError as error:
        if not is_read_only(error):  # else it is trained again the next time
            raise


def _fresh(imu_input: ImuInput, orientation: str, seed: int) -> ImuEncoder:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return build_imu_encoder(ENCODER, {"orientation": orientation}, imu_input)


def _digest(sources: Sources, settings: SourceClassifierSettings, seed: int) -> str:
    trained = asdict(settings)
    if settings.orientation == RAW:
        del trained["orientation"]  # encoders that were kept before there was this setting stay found
    parts = [sources.fingerprint, trained, seed, ENCODER, NORMALISATION, asdict(AUGMENTATION)]
    return digest_of(parts)[:16]


def _loaded(encoder: ImuEncoder, path: Path) -> bool:
    """Load kept weights; a damaged file counts as none, because it can be made again."""
    if not path.is_file():
        return False
    try:
        encoder.load_state_dict(read_safetensors(path)[0])
    except (SafetensorError, RuntimeError):
        return False
    return True


def _train(
    encoder: ImuEncoder,
    sources: Sources,
    settings: SourceClassifierSettings,
    seed: int,
    accelerator: str,
    progress: Progress,
) -> None:
    sets = [_labelled(part) for part in sources.sets]
    augmentation = ImuAugmentation(AUGMENTATION, NORMALISATION)
    data = LabelledSetsDataModule(sets, settings.steps, settings.batch_size, augmentation, seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        module = SourceClassifier(encoder, [part.n_classes for part in sets], settings)
        callbacks: list[Callback] = [_Steps(progress, settings.steps)]
        trainer = quiet_trainer(accelerator, max_steps=settings.steps, gradient_clip_val=1.0, callbacks=callbacks)
        trainer.fit(module, datamodule=data)
    if trainer.interrupted:
        raise KeyboardInterrupt


def _labelled(part: SourceSet) -> LabelledSet:
    activities = part.shards.table["activity"]
    windows = np.flatnonzero(activities != UNLABELLED).astype(np.int64)
    return LabelledSet(part.shards, windows, numbered(activities[windows])[1])


class _Steps(Callback):
    """Report of finished steps."""

    def __init__(self, progress: Progress, total: int) -> None:
        self.progress = progress
        self.total = total

    def on_train_batch_end(self, trainer: L.Trainer, *args: object, **kwargs: object) -> None:
        """Report."""
        self.progress(trainer.global_step, self.total)
