"""Retrieval metrics in cases that can be counted by hand."""

import pytest
import torch
from torch.nn import functional as F

from lightning_modules.monitoring.retrieval import partner_ranks, retrieval_metrics


def test_perfect_pairs() -> None:
    unit = F.normalize(torch.randn(20, 8, generator=torch.Generator().manual_seed(0)), dim=1)
    metrics = retrieval_metrics(unit, unit)
    assert metrics["imu_to_video/recall@1"] == 1
    assert metrics["mrr"] == 1
    assert metrics["pool_size"] == 20


def test_ranks_by_hand() -> None:
    imu = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    video = torch.tensor([[0.0, 1.0], [1.0, 0.0], [0.0, 1.0]])
    assert partner_ranks(imu, video).tolist() == [3, 3, 2]
    metrics = retrieval_metrics(imu, video)
    assert metrics["imu_to_video/recall@1"] == 0
    assert metrics["imu_to_video/mrr"] == pytest.approx((1 / 3 + 1 / 3 + 1 / 2) / 3)


def test_a_collapsed_encoder_looks_as_bad_as_it_is() -> None:
    same = torch.ones(50, 4) / 2
    metrics = retrieval_metrics(same, same)
    assert metrics["imu_to_video/recall@5"] == 0
    assert metrics["mrr"] == pytest.approx(1 / 50)
