"""One training step: a batch, encoded once for all objectives.

Shape legend: B windows, V views, L IMU tokens, F frames, P pooled width, E width of the shared space.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from encoders.contract import ImuFeatures, VideoFeatures

Batch = dict[str, Any]


@dataclass(frozen=True)
class Step:
    """One batch, encoded once for all objectives.

    Attributes:
        batch: as the data module gives it.
        views: V augmented views of its windows: ``imu``, ``sample_mask``, ``channel_mask``, ``frame_times``.
        imu: of all views, one below the other, (V B).
        imu_embeddings: of each view in the shared space, V times (B, E); none where nothing is shared.
        video: the video head's output; None where no objective uses video.
        video_embedding: (B, E) in the shared space.
        negatives: (B, N) bool, pairs that are no negatives; see ``losses.negatives``.
        encode_imu: encodes other windows, as an IMU encoder takes them.
        seed: of random draws in this step, on this process.
        common_seed: of draws that all processes have to make alike.
    """

    batch: Batch
    views: list[Batch]
    imu: ImuFeatures
    imu_embeddings: tuple[Tensor, ...]
    video: VideoFeatures | None
    video_embedding: Tensor | None
    negatives: Tensor | None
    encode_imu: Callable[[Tensor, Tensor, Tensor], ImuFeatures]
    seed: int
    common_seed: int
