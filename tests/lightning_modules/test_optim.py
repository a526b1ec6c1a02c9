"""Groups and schedule of the optimiser, and clipping for it."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import lightning as L
import pytest
import torch
from helpers.made_training import settings
from torch import nn

from encoders.contract import ImuInput
from encoders.registry import build_imu_encoder
from lightning_modules.finetune import FineTune, FineTuneSettings
from lightning_modules.optim import FusedTraining, adamw, warmup_cosine
from lightning_modules.pretraining import ImuPretraining


def test_only_matrices_decay_and_scalars_learn_faster() -> None:
    model = nn.ModuleDict({"linear": nn.Linear(3, 2)})
    model.register_parameter("temperature", nn.Parameter(torch.tensor(1.0)))
    model.register_parameter("frozen", nn.Parameter(torch.ones(2, 2), requires_grad=False))
    optimizer = adamw(model.named_parameters(), lr=0.1, weight_decay=0.5, scalar_lr_factor=10)
    groups = {g["name"]: g for g in optimizer.param_groups}
    assert groups["matrices"]["weight_decay"] == 0.5
    assert groups["vectors"]["weight_decay"] == 0
    assert groups["scalars"]["weight_decay"] == 0
    assert groups["scalars"]["lr"] == pytest.approx(1.0)
    assert sum(len(g["params"]) for g in groups.values()) == 3


def test_the_rate_rises_and_falls_to_its_end() -> None:
    optimizer = adamw(nn.Linear(3, 2).named_parameters(), lr=1.0, weight_decay=0.0)
    schedule = warmup_cosine(optimizer, total_steps=101, warmup_steps=10, min_lr=0.01)
    rates = []
    for _ in range(101):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates[:3] == pytest.approx([0.1, 0.2, 0.3])
    assert max(rates) == pytest.approx(1.0)
    assert rates.index(max(rates)) in (9, 10)
    assert rates[-1] == pytest.approx(0.01)
    assert rates[55] == pytest.approx((1 + 0.01) / 2, abs=0.02)  # half-way down the cosine
    assert all(a >= b for a, b in itertools.pairwise(rates[10:]))


def test_fused_steps_are_those_of_the_loop() -> None:
    trained = []
    for fused in (True, False):
        torch.manual_seed(0)
        model = nn.Linear(30, 20)
        optimizer = adamw(model.named_parameters(), lr=0.01, weight_decay=0.1, fused=fused)
        assert optimizer.defaults["fused"] is fused
        for _ in range(20):
            optimizer.zero_grad()
            model(torch.randn(8, 30)).square().mean().backward()
            optimizer.step()
        trained.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
    torch.testing.assert_close(trained[0], trained[1], rtol=1e-4, atol=1e-5)  # 20 steps' roundings in float32


def test_devices_without_a_fused_kernel_go_without() -> None:
    assert not adamw(nn.Linear(3, 2, device="meta").named_parameters(), 0.1, 0.0).defaults["fused"]


def imu_pretraining() -> FusedTraining:
    return ImuPretraining(**settings())


def finetune() -> FusedTraining:
    tiny = {"width": 16, "depth": 1, "heads": 2, "stem_channels": [8, 16]}
    return FineTune(build_imu_encoder("cnn_transformer", tiny, ImuInput(250, 50.0)), 4, FineTuneSettings(1e-3, 1e-3))


@pytest.mark.parametrize("make", [imu_pretraining, finetune])
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
@pytest.mark.parametrize(
    ("limit", "algorithm", "largest"), [(0.5, None, None), (0.5, "norm", None), (0.01, "value", 0.01), (None, None, 0)]
)
def test_gradients_are_clipped_in_every_precision(
    make: Callable[[], FusedTraining], precision: str, limit: float | None, algorithm: str | None, largest: float | None
) -> None:
    module = make()
    trainer = L.Trainer(
        accelerator="cpu",
        precision=precision,  # type: ignore[arg-type]
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
    )
    module.trainer = trainer
    made: Any = module.configure_optimizers()
    optimizer = made["optimizer"]
    assert optimizer.defaults["fused"]
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for parameter in parameters:
        parameter.grad = torch.full_like(parameter, 3.0)
    module.configure_gradient_clipping(optimizer, limit, algorithm)
    norm = float(torch.stack([p.grad.norm() for p in parameters]).norm())
    if limit is None:
        assert all((p.grad == 3).all() for p in parameters)
    elif largest is None:
        assert norm == pytest.approx(limit, rel=1e-4)  # torch adds 1e-6 to the norm that it divides by
    else:
        assert all((p.grad == largest).all() for p in parameters)


def test_scaled_gradients_go_without_a_fused_kernel() -> None:
    module = finetune()
    assert module.may_fuse()
    module._trainer = SimpleNamespace(precision="16-mixed")  # type: ignore[assignment]
    assert not module.may_fuse()
    made: Any = module.configure_optimizers()
    assert not made["optimizer"].defaults["fused"]
