"""One training step: a batch, encoded once for all objectives.

Shape legend: B windows, V views, L IMU tokens, F frames, P pooled width, E width of the shared space.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from encoders.contract import ImuFeatures, VideoFeatures

Batch = dict[str, Any]

_NOT_ROWS = ("features", "frames", "paired", "rows", "video_rows", "views")


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

    def of(self, rows: Tensor) -> Step:
        """Return the step of some of its windows, without encoding them again and without ``negatives``.

        Args:
            rows: (b,) int64, places of these windows in the batch.
        """
        places = torch.cat([rows + number * len(self.batch["imu"]) for number in range(len(self.views))])
        embedding = self.video_embedding
        return replace(
            self,
            batch=rows_of(self.batch, rows),
            views=[rows_of(view, rows) for view in self.views],
            imu=ImuFeatures(
                self.imu.tokens.index_select(0, places),
                self.imu.token_times,
                self.imu.token_mask.index_select(0, places),
                self.imu.pooled.index_select(0, places),
            ),
            imu_embeddings=tuple(view.index_select(0, rows) for view in self.imu_embeddings),
            video=None if self.video is None else VideoFeatures(*(part.index_select(0, rows) for part in self.video)),
            video_embedding=None if embedding is None else embedding.index_select(0, rows),
            negatives=None,
        )


def rows_of(batch: Batch, rows: Tensor) -> Batch:
    """Take some windows of a batch; what does not have one row a window (``_NOT_ROWS``) is left out."""
    return {name: values.index_select(0, rows) for name, values in batch.items() if name not in _NOT_ROWS}
