"""Retrieval metrics in cases that can be counted by hand, and in a validation of several batches."""

from __future__ import annotations

from typing import Any

import lightning as L
import pytest
import torch
from helpers.made_training import make_batch, make_step
from torch.nn import functional as F
from torch.utils.data import DataLoader

from lightning_modules.monitoring.retrieval import PartnerRetrieval, partner_ranks, retrieval_metrics


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


def test_batches_form_one_pool_until_it_is_reset() -> None:
    generator = torch.Generator().manual_seed(0)
    imu, video = (F.normalize(torch.randn(50, 6, generator=generator), dim=1) for _ in range(2))
    metric = PartnerRetrieval()
    for rows in (slice(0, 20), slice(20, 50)):
        metric.update(imu[rows], video[rows])
    assert metric.compute() == retrieval_metrics(imu, video)
    assert all(torch.equal(*pair) for pair in zip(metric.pairs(), (imu, video), strict=True))
    metric.reset()
    metric.update(imu[:5], video[:5])
    assert metric.compute()["pool_size"] == 5
    assert metric.state_dict() == {}


def test_validation_logs_what_the_whole_pool_of_its_embeddings_gives() -> None:
    module = make_step().module.eval()
    del module.log  # the trainer takes the metrics
    batches = [make_batch(seed) for seed in range(3)]
    with torch.no_grad():
        imu = torch.cat([module.embed_imu(b["imu"], b["channel_mask"], b["sample_mask"]) for b in batches])
        video = torch.cat(
            [module.embed_video(b["features"].float(), b["frame_times"], b["frame_mask"]) for b in batches]
        )
    expected = {f"validation/{name}": value.item() for name, value in retrieval_metrics(imu, video).items()}
    trainer = L.Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False)
    loader: Any = DataLoader(batches, batch_size=None)  # type: ignore[arg-type]  # a list is enough
    for _ in range(2):  # the second time, nothing of the first is left
        (validated,) = trainer.validate(module, loader, verbose=False)
        logged = dict(validated)
        assert logged.pop("validation/alignment_error_ms") > 0
        assert logged == expected


def test_nan_has_the_worst_rank() -> None:
    unit = F.normalize(torch.randn(10, 4, generator=torch.Generator().manual_seed(0)), dim=1)
    spoilt = unit.clone()
    spoilt[3] = torch.nan
    assert partner_ranks(unit, unit)[3] == 1
    ranks = partner_ranks(spoilt, unit)  # one query is NaN
    assert ranks[3] == 10
    assert (ranks[torch.arange(10) != 3] == 1).all()
    assert partner_ranks(unit, spoilt).tolist() == [2, 2, 2, 10, 2, 2, 2, 2, 2, 2]  # one of the pool is
    assert all(0 <= value <= 10 for value in retrieval_metrics(spoilt, spoilt).values())
