"""Groups and schedule of the optimiser."""

import itertools

import pytest
import torch
from torch import nn

from lightning_modules.optim import adamw, warmup_cosine


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
