"""Nearest-neighbour supervision (PRIMUS): an earlier, similar window replaces a window's true partner.

Das et al. 2024 (arXiv 2411.15127), after NNCLR (Dwibedi et al. 2021). As in their code, *video* finds the neighbour:
the earlier clip most similar to a window's own clip. In the loss between modalities, this clip replaces the window's
own clip. In the loss among IMU windows, the IMU embedding pushed with this clip replaces the window's other view. Both
are softmax losses over the batch, in both directions, with learnt temperatures. Each is added, with equal weight, to
the loss with the true partner. Two windows with the same neighbour count as each other's negatives, as in the original.

There are three differences from the original. Empty rows of the queue are never chosen (the original's are zeros, and
can be). The queue is not pushed in validation. The two directions are averaged, not summed.

The queue must be shorter than an epoch; otherwise a window's nearest neighbour is itself, one epoch earlier.

Shape legend: n rows of this process, N rows of all, K rows in the queue, E width.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_modules.losses.queue import EmbeddingQueue
from lightning_modules.losses.softmax import softmax_loss


@torch.no_grad()
def nearest(queries: Tensor, keys: Tensor) -> Tensor:
    """Find the key with the highest cosine similarity to each query.

    Args:
        queries: (n, E).
        keys: (K, E), K >= 1.

    Returns:
        (n,) int64 below K; any of several equal keys.

    Raises:
        ValueError: there is no key, or the widths differ.
    """
    if keys.ndim != 2 or len(keys) == 0 or queries.ndim != 2 or queries.shape[1] != keys.shape[1]:
        raise ValueError(
            "queries and keys must be (n, E) and (K, E) with at least one key, "
            f"found {tuple(queries.shape)} and {tuple(keys.shape)}"
        )
    dtype = torch.promote_types(queries.dtype, torch.float32)
    with torch.autocast(queries.device.type, enabled=False):
        # The lengths of queries do not affect the nearest key.
        return (queries.to(dtype) @ F.normalize(keys.to(dtype), dim=1).T).argmax(1)


def neighbour_loss(imu: Tensor, neighbours: Tensor, log_scale: Tensor, negative_mask: Tensor | None = None) -> Tensor:
    """Compute ``softmax_loss`` between IMU windows and their partners' neighbours, which get no gradient.

    Args:
        imu: (n, E).
        neighbours: (n, E); row i is the neighbour for row i.
        log_scale: () logarithm of one over the temperature.
        negative_mask: (n, N) bool, see ``softmax_loss``.

    Returns:
        ().

    Raises:
        ValueError: shapes don't match.
    """
    return softmax_loss(imu, neighbours.detach(), log_scale, negative_mask)


class NeighbourLoss(nn.Module):
    """Both nearest-neighbour terms of PRIMUS, with their queues.

    The training step calls ``push`` once, after the loss. Until the first push the loss is zero, with a gradient of
    zero.

    Args:
        video_width: width of the common space of IMU and video.
        imu_width: width of the space of IMU windows.
        queue_size: pairs in the queues, 8,192 in PRIMUS.
        imu_share: weight of the term among IMU windows, within 0 ... 1; the other term has the rest.
        temperature: initial value of both learnt temperatures.
        min_temperature: lower bound of both learnt temperatures.

    Raises:
        ValueError: ``imu_share`` is out of range.
    """

    def __init__(
        self,
        video_width: int,
        imu_width: int,
        queue_size: int = 8_192,
        imu_share: float = 0.5,
        temperature: float = 0.1,
        min_temperature: float = 0.01,
    ) -> None:
        super().__init__()
        if not 0 <= imu_share <= 1:
            raise ValueError(f"imu_share must lie within 0 ... 1, found {imu_share}")
        self.videos = EmbeddingQueue(queue_size, video_width)
        self.windows = EmbeddingQueue(queue_size, imu_width)
        self.imu_share = imu_share
        self.video_log_scale = nn.Parameter(torch.tensor(-math.log(temperature)))
        self.imu_log_scale = nn.Parameter(torch.tensor(-math.log(temperature)))
        self.max_log_scale = -math.log(min_temperature)

    def forward(self, imu_for_video: Tensor, imu: Tensor, video: Tensor, negative_mask: Tensor | None = None) -> Tensor:
        """Compute the weighted sum of both terms; the queues do not change.

        Args:
            imu_for_video: (n, E) in the common space with video.
            imu: (n, E') in the space of IMU windows.
            video: (n, E), which find the neighbours; they get no gradient.
            negative_mask: (n, N) bool, see ``softmax_loss``.

        Returns:
            ().
        """
        if self.videos.filled == 0:
            return 0 * (imu_for_video.sum() + imu.sum() + self.video_log_scale + self.imu_log_scale)
        keys = self.videos.contents()
        index = nearest(video, keys)
        across, among = (scale.clamp(max=self.max_log_scale) for scale in (self.video_log_scale, self.imu_log_scale))
        by_video = neighbour_loss(imu_for_video, keys[index], across, negative_mask)
        by_imu = neighbour_loss(imu, self.windows.contents()[index], among, negative_mask)
        return (1 - self.imu_share) * by_video + self.imu_share * by_imu

    def push(self, video: Tensor, imu: Tensor) -> None:
        """Push the pairs of all processes; see ``EmbeddingQueue.push``.

        Args:
            video: (n, E).
            imu: (n, E').

        Raises:
            RuntimeError: the module is in eval mode.
            ValueError: shapes don't match.
        """
        if len(video) != len(imu):
            raise ValueError(f"expected as many videos as windows to push, found {len(video)} and {len(imu)}")
        self.videos.push(video)
        self.windows.push(imu)
