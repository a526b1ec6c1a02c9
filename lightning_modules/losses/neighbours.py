"""A window is also like the windows that look like it: nearest-neighbour supervision (PRIMUS).

Das et al. 2024 (arXiv 2411.15127), after NNCLR (Dwibedi et al. 2021). As their code has it: a window's neighbour
is found by *video*, the earlier clip most like its own. That clip then stands in for its own in the loss between
modalities, and the IMU embedding that was pushed with it stands in for its own other view in the loss among IMU
windows. Both are softmax losses over the batch, in both directions, with learnt temperatures; each stands beside
the loss that has the true partner, with the same weight. Two windows that share a neighbour count as each other's
negatives, as they do there.

Where this differs: rows of the queue that hold nothing yet are never chosen (theirs are zeros, and can be), the
queue is not pushed in validation, and the two directions are averaged, not summed.

The queue must be shorter than an epoch, or a window's nearest neighbour is itself, one epoch ago.

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
    """Which key has the highest cosine similarity to each query.

    Args:
        queries: (n, E).
        keys: (K, E), K >= 1.

    Returns:
        (n,) int64 below K; of equal ones, any.

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
        # Queries' lengths do not change which key is nearest.
        return (queries.to(dtype) @ F.normalize(keys.to(dtype), dim=1).T).argmax(1)


def neighbour_loss(imu: Tensor, neighbours: Tensor, log_scale: Tensor, negative_mask: Tensor | None = None) -> Tensor:
    """``softmax_loss`` between IMU windows and what stands in for their partners, which gets no gradient.

    Args:
        imu: (n, E).
        neighbours: (n, E), row i the stand-in of row i.
        log_scale: () logarithm of one over the temperature.
        negative_mask: (n, N) bool, see ``softmax_loss``.

    Returns:
        ().

    Raises:
        ValueError: shapes don't match.
    """
    return softmax_loss(imu, neighbours.detach(), log_scale, negative_mask)


class NeighbourLoss(nn.Module):
    """Both of PRIMUS' nearest-neighbour terms, with the queues that they draw from.

    Whoever trains it calls ``push`` once a step, after use. Until the first push the loss is zero, with a gradient
    of zero.

    Args:
        video_width: of the space in which IMU and video meet.
        imu_width: of the space in which IMU windows are compared with each other.
        queue_size: pairs kept, 8,192 in PRIMUS.
        imu_share: weight of the term among IMU windows, the other has the rest; within 0 ... 1.
        temperature: where both learnt temperatures start.
        min_temperature: they are held above this.

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
        """The two terms by their weights; leaves the queues as they are.

        Args:
            imu_for_video: (n, E) in the space shared with video.
            imu: (n, E') in the space of IMU windows.
            video: (n, E), by which neighbours are found; gets no gradient.
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
        """Put the pairs of all processes in; see ``EmbeddingQueue.push``.

        Args:
            video: (n, E).
            imu: (n, E').

        Raises:
            RuntimeError: the module is in eval mode.
            ValueError: shapes don't match.
        """
        if len(video) != len(imu):
            raise ValueError(f"a video for each window is pushed, found {len(video)} and {len(imu)}")
        self.videos.push(video)
        self.windows.push(imu)
