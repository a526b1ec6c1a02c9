"""One encoder, a classifier per data set."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from encoders.contract import ImuInput
from encoders.registry import build_imu_encoder
from lightning_modules.source_classifier import SourceClassifier, SourceClassifierSettings


def batch(sets: list[int], labels: list[int]) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    n = len(sets)
    return {
        "imu": torch.randn(n, 50, 6),
        "sample_mask": torch.ones(n, 50, dtype=torch.bool),
        "channel_mask": torch.ones(n, 6, dtype=torch.bool),
        "set": torch.tensor(sets),
        "label": torch.tensor(labels),
    }


def made(**settings: float) -> SourceClassifier:
    torch.manual_seed(1)
    encoder = build_imu_encoder("conv_norms", {"channels": [8, 8], "kernels": [5, 3], "groups": 2}, ImuInput(50, 25.0))
    return SourceClassifier(encoder, [3, 2], SourceClassifierSettings(dropout=0.0, **settings))  # type: ignore[arg-type]


def test_the_loss_is_the_mean_over_windows_of_each_ones_own_classifier() -> None:
    module, windows = made(label_smoothing=0.0), batch([0, 1, 0, 1, 1], [2, 0, 1, 1, 0])
    pooled = module.encoder(windows["imu"], windows["channel_mask"], windows["sample_mask"]).pooled
    expected = [
        F.cross_entropy(module.heads[number](pooled[i : i + 1]), windows["label"][i : i + 1])
        for i, number in enumerate(windows["set"].tolist())
    ]
    loss = module.training_step(windows, 0)
    # Sums of five float32 numbers in another order.
    torch.testing.assert_close(loss, torch.stack(expected).mean(), atol=1e-6, rtol=1e-6)


def test_a_data_set_without_a_window_in_the_batch_has_no_part() -> None:
    module = made()
    loss = module.training_step(batch([1, 1], [0, 1]), 0)
    loss.backward()
    assert torch.isfinite(loss)
    assert module.heads[0].weight.grad is None
    assert module.heads[1].weight.grad is not None
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in module.encoder.parameters())
