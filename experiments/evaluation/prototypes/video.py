"""Prototypes from videos: the mean of the source's videos of each activity, without a label of the target.

An IMU window is embedded in the space that pretraining shared with video, and takes the activity of the nearest
prototype. The source's labels name the videos. The target's labels are used for the score alone.

Shape legend: N windows, E width of the shared space, A activities.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.digest import digest_of
from core.errors import MendableError
from datamodules.features.cache import FeatureCache
from datamodules.labels.label_column import UNLABELLED, LabelColumn, distinct
from datamodules.labels.natural_order import natural_key
from datamodules.shards.reader import ShardSet
from lightning_modules.pretraining import ImuPretraining

_CHUNK = 256


class NoPrototypesError(MendableError, ValueError):
    """There are no prototypes, e.g. because no video is labelled; the message says what is missing."""


@dataclass(frozen=True)
class Prototypes:
    """A point in the shared space for each activity of the source.

    Attributes:
        activities: names of the activities, (A,).
        vectors: (A, E), unit length.
        windows: number of videos behind each prototype.
        origin: digest of the prototypes' inputs, without the checkpoint.
        simulated: True if the videos are simulated.
    """

    activities: list[str]
    vectors: NDArray[np.float32]
    windows: list[int]
    origin: str
    simulated: bool

    def of(self, activities: Sequence[str]) -> NDArray[np.float32]:
        """Select the vectors of these activities, in this order."""
        return self.vectors[[self.activities.index(activity) for activity in activities]]


@torch.inference_mode()
def build_prototypes(
    model: ImuPretraining,
    shards: ShardSet,
    features: FeatureCache,
    device: torch.device | str = "cpu",
    windows: NDArray[np.int64] | None = None,
    labels: LabelColumn | None = None,
) -> Prototypes:
    """Build prototypes from all labelled windows that have a frame.

    Args:
        model: the checkpoint; its video head and projection are used.
        shards: shards of the source, or of the target, with labels.
        features: features of the shards' clips, by the video encoder that the model was trained with.
        device: device to compute on.
        windows: windows to use; None uses all.
        labels: activities of all windows, (N,), if their names differ from those in the shards.

    Raises:
        NoPrototypesError: no window has both a label and a frame.
    """
    model = model.to(device).eval()
    labels = shards.table["activity"] if labels is None else labels
    sums: dict[str, Tensor] = {}
    counts: dict[str, int] = {}
    labelled = np.flatnonzero(labels != UNLABELLED)
    if windows is not None:
        labelled = np.intersect1d(labelled, windows)
    for start in range(0, len(labelled), _CHUNK):
        chunk = labelled[start : start + _CHUNK]
        values, times, mask = features.read(chunk)
        there = mask.any(axis=1)
        values, mask, chunk = values[there], mask[there], chunk[there]
        times = np.where(mask, times[there], 0).astype(np.float32)
        if not len(chunk):
            continue
        inputs = [torch.from_numpy(array).to(device) for array in (values, times, mask)]
        embedded = model.embed_video(*inputs).double().cpu()
        for name in distinct(labels[chunk]):
            chosen = torch.from_numpy(labels[chunk] == name)
            sums[name] = sums.get(name, torch.zeros(embedded.shape[1], dtype=torch.float64)) + embedded[chosen].sum(0)
            counts[name] = counts.get(name, 0) + int(chosen.sum())
    if not sums:
        raise NoPrototypesError(f"{shards.directory}: no window has a label and a frame; prototypes need both")
    activities = sorted(sums, key=natural_key)
    vectors = torch.nn.functional.normalize(torch.stack([sums[a] for a in activities]), dim=1)
    return Prototypes(
        activities,
        vectors.float().numpy(),
        [counts[a] for a in activities],
        digest_of([shards.fingerprint, model.settings.video_encoder, labelled.tolist()]),
        shards.simulated,
    )


def zero_shot_probabilities(
    embeddings: NDArray[np.float32], vectors: NDArray[np.float32], scale: float
) -> NDArray[np.float64]:
    """Compute the softmax over scaled cosine similarities, (N, A).

    Args:
        embeddings: (N, E) of IMU windows, unit length.
        vectors: (A, E) prototypes, unit length.
        scale: inverse temperature, which changes the confidence, not the order.
    """
    logits = scale * (embeddings.astype(np.float64) @ vectors.astype(np.float64).T)
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True))


def learnt_scale(model: ImuPretraining) -> float:
    """Look up pretraining's last inverse temperature, which changes the confidence of zero-shot, not the order."""
    name = next(name for name in ("contrastive", "distillation") if name in model.objectives)
    return float(model.objectives[name].scale)  # type: ignore[arg-type]
