"""Trainings that meet a number that is not finite: they end before it reaches the weights or a checkpoint."""

from __future__ import annotations

import json
import math
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from helpers.forked import in_processes
from helpers.made_training import OBJECTIVES, make_batch, make_step
from lightning.pytorch.callbacks import ModelCheckpoint
from safetensors import safe_open
from torch import Tensor
from torch.utils.data import DataLoader

from lightning_modules.monitoring.finite import FiniteGuard, NonFiniteError


class Line(L.LightningModule):
    """One weight that is drawn to 0; a batch's ``spoil`` is put into the loss."""

    def __init__(self, metrics: tuple[float, ...] = ()) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor([1.0]))
        self.metrics = iter(metrics)

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:
        loss: Tensor = (self.weight**2).sum() + batch["spoil"].sum()
        return loss + (batch["root"] + 0 * self.weight).sqrt().sum()  # at 0 the derivative is infinity x 0, NaN

    def validation_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        self.log("validation/mrr", next(self.metrics))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def batches(spoil: tuple[float, ...], root: float = 1.0) -> DataLoader[Any]:
    each: Any = [
        {"spoil": torch.tensor([0.0, value]), "root": torch.tensor([root]), "recording": torch.tensor([4, i])}
        for i, value in enumerate(spoil)
    ]
    return DataLoader(each, batch_size=None)


def trainer(folder: Path, guard: FiniteGuard, **options: Any) -> L.Trainer:
    return L.Trainer(
        accelerator="cpu",
        max_epochs=options.pop("max_epochs", 1),
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=True,
        num_sanity_val_steps=0,
        default_root_dir=folder,
        callbacks=[guard, *options.pop("callbacks", [])],
        **options,
    )


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_is_no_step(tmp_path: Path, value: float) -> None:
    guard = FiniteGuard(tmp_path / "bad", lambda batch: [f"recording {code}" for code in batch["recording"].tolist()])
    module = Line()
    with pytest.raises(
        NonFiniteError, match=r"step 2: the loss is (nan|inf).*recording 4, recording 2.*: spoil\."
    ) as e:
        trainer(tmp_path, guard).fit(module, batches((0.0, 0.0, value, 0.0)))
    assert module.weight.item() == pytest.approx(0.8**2)  # two steps of w <- w - 0.1 * 2 w, in float32
    saved = tmp_path / "bad" / "step-2-process-0.safetensors"
    assert str(saved) in str(e.value)
    with safe_open(saved, "pt") as file:
        assert not file.get_tensor("spoil")[1].isfinite()
        assert json.loads(file.metadata()["windows"]) == ["recording 4", "recording 2"]


def test_a_gradient_that_is_not_finite_is_no_step(tmp_path: Path) -> None:
    module = Line()
    with pytest.raises(NonFiniteError, match=r"step 0: the gradient's norm is (nan|inf) \(loss 1\).*inputs: nothing"):
        trainer(tmp_path, FiniteGuard()).fit(module, batches((0.0,), root=0.0))
    assert module.weight.item() == 1


def test_of_accumulated_batches_the_first_may_be_the_bad_one(tmp_path: Path) -> None:
    module = Line()
    with pytest.raises(NonFiniteError, match=r"step 1: the loss is nan.*: 0/spoil"):
        trainer(tmp_path, FiniteGuard(), accumulate_grad_batches=2).fit(module, batches((0, 0, math.nan, 0)))
    assert module.weight.item() == pytest.approx(0.8)  # one step, in float32


def test_a_metric_that_is_not_finite_chooses_no_checkpoint(tmp_path: Path) -> None:
    best = ModelCheckpoint(
        tmp_path, filename="best", monitor="validation/mrr", mode="max", enable_version_counter=False
    )
    options: dict[str, Any] = {"max_epochs": 3, "callbacks": [best]}
    data = batches((0.0,))
    with pytest.raises(NonFiniteError, match=r"step 2: validation/mrr is inf"):
        trainer(tmp_path, FiniteGuard(), **options).fit(Line((0.25, math.inf)), data, batches((0.0,)))
    kept = torch.load(tmp_path / "best.ckpt", weights_only=True)
    assert kept["global_step"] == 1


def test_a_finite_training_is_left_alone(tmp_path: Path) -> None:
    plain, guarded = Line(), Line()
    L.Trainer(accelerator="cpu", max_epochs=1, logger=False, enable_checkpointing=False, enable_progress_bar=False).fit(
        plain, batches((0.0,) * 5)
    )
    trainer(tmp_path, FiniteGuard(tmp_path / "bad")).fit(guarded, batches((0.0,) * 5))
    assert torch.equal(plain.weight, guarded.weight)
    assert not (tmp_path / "bad").exists()


def extreme() -> Iterator[tuple[str, dict[str, Any]]]:
    for name, change in {
        "zeros": lambda imu: imu * 0,
        "constant": lambda imu: imu * 0 + 9.81,
        "one window many times": lambda imu: imu[:1].expand_as(imu).clone(),
        "the sensor's limits": lambda imu: imu.sign() * 16 * 9.81,
        "tiny": lambda imu: imu * 1e-30,
    }.items():
        batch = make_batch(0)
        batch["imu"] = change(batch["imu"])
        for view in batch["views"]:
            view["imu"] = change(view["imu"])
        yield name, batch


@pytest.mark.parametrize("bf16", [False, True])
@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_objective_is_finite_on_extreme_windows(name: str, bf16: bool) -> None:
    step = make_step(**OBJECTIVES[name])
    for what, batch in extreme():
        step.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss = step(batch)
        loss.backward()
        norm = torch.nn.utils.get_total_norm([p.grad for p in step.parameters() if p.grad is not None])
        assert loss.isfinite(), what
        assert norm.isfinite(), what


def one_of_two(rank: int, folder: str, port: int) -> None:
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "TORCHELASTIC_RUN_ID": "guard"}
    spoil = (0.0, math.nan if rank == 1 else 0.0, 0.0)
    module = Line()
    options: dict[str, Any] = {"devices": 2, "strategy": "ddp", "use_distributed_sampler": False}
    with pytest.raises(NonFiniteError) as e:
        trainer(Path(folder), FiniteGuard(Path(folder) / "bad"), **options).fit(module, batches(spoil))
    assert "step 1: " + ("the loss is nan" if rank == 1 else "another process found") in str(e.value)
    assert module.weight.item() == pytest.approx(0.8)  # the step before, in float32


@pytest.mark.slow
def test_all_processes_stop_at_the_step_that_one_of_them_finds_bad(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    in_processes(one_of_two, (str(tmp_path), port), 2)
    assert [path.name for path in (tmp_path / "bad").iterdir()] == ["step-1-process-1.safetensors"]
