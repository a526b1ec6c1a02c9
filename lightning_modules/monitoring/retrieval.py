"""Retrieval metrics of paired embeddings: ranks of true partners in a pool of the other modality."""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat


def partner_ranks(queries: Tensor, pool: Tensor) -> Tensor:
    """Compute the rank of row i of ``pool`` for query i, (N,); 1 is best.

    A tie counts against the model, so that a collapsed encoder has no perfect rank; so does NaN, whose rank is the
    worst.

    Args:
        queries: (N, E) unit vectors.
        pool: (N, E) unit vectors.
    """
    similarity = queries @ pool.T
    own = similarity.diagonal()[:, None]
    return (~(similarity < own)).sum(dim=1)


def retrieval_metrics(imu: Tensor, video: Tensor) -> dict[str, Tensor]:
    """Compute recall@1, recall@5 and mean reciprocal rank in both directions, and the size of the pool.

    Args:
        imu: (N, E) unit vectors.
        video: (N, E) unit vectors; row i and row i of ``imu`` are a true pair.
    """
    metrics: dict[str, Tensor] = {}
    reciprocal = []
    for name, queries, pool in (("imu_to_video", imu, video), ("video_to_imu", video, imu)):
        ranks = partner_ranks(queries, pool)
        metrics[f"{name}/recall@1"] = (ranks <= 1).float().mean()
        metrics[f"{name}/recall@5"] = (ranks <= 5).float().mean()
        reciprocal.append((1 / ranks.float()).mean())
        metrics[f"{name}/mrr"] = reciprocal[-1]
    metrics["mrr"] = torch.stack(reciprocal).mean()
    metrics["pool_size"] = torch.tensor(float(len(imu)))
    return metrics


class PartnerRetrieval(Metric):
    """Retrieval metrics of pairs that come batch by batch, all in one pool.

    Every process validates all windows, so that no pairs are gathered from other processes. What was collected is in no
    checkpoint.
    """

    full_state_update = False
    imu: list[Tensor]
    video: list[Tensor]

    def __init__(self) -> None:
        super().__init__(sync_on_compute=False)
        self.add_state("imu", [])
        self.add_state("video", [])

    def update(self, imu: Tensor, video: Tensor) -> None:
        """Add pairs to the pool.

        Args:
            imu: (B, E) unit vectors.
            video: (B, E) unit vectors; row i belongs with ``imu``'s row i.
        """
        self.imu.append(imu)
        self.video.append(video)

    def compute(self) -> dict[str, Tensor]:
        """Return the metrics of :func:`retrieval_metrics` in the pool of all pairs."""
        return retrieval_metrics(*self.pairs())

    def pairs(self) -> tuple[Tensor, Tensor]:
        """Return the embeddings of both modalities, each (N, E), in the order in which they came."""
        return dim_zero_cat(self.imu), dim_zero_cat(self.video)
