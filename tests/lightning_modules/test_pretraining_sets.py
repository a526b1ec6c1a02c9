"""Several sets in a batch: video's losses are those of the paired windows, on one process or two."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.distributed as dist
from helpers.forked import in_processes
from helpers.made_training import OBJECTIVES, N, Step, make_batch, make_step, mixed, rows_of
from helpers.waiting import Waiting
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from lightning_modules.losses.queue import EmbeddingQueue
from lightning_modules.pretraining import ImuPretraining

SETS = torch.arange(N) % 2  # windows of two sets take turns, so that two processes have as many of either
WITH_VIDEO = [name for name, changes in OBJECTIVES.items() if changes.get("video_head", True) is not None]
SHARED = [name for name in OBJECTIVES if "masked" not in name]  # hidden patches are drawn by each process for itself


def two_sets(seed: int = 0, with_video: tuple[int, ...] = (0,), rows: slice = slice(None)) -> dict[str, Any]:
    part = rows_of(make_batch(seed), torch.arange(N)[rows])
    return mixed(part, SETS[rows], with_video)


def logged(step: Step, batch: dict[str, Any]) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    step.module.log = lambda name, value, **_: found.update({name: value})  # type: ignore[method-assign]
    step(batch)
    return {name.removeprefix("training/"): value.detach() for name, value in found.items()}


@pytest.mark.parametrize("name", WITH_VIDEO)
def test_losses_of_video_are_those_of_the_paired_windows(name: str) -> None:
    step = make_step(**OBJECTIVES[name])
    paired, batch = torch.arange(0, N, 2), make_batch()
    expected = logged(make_step(**OBJECTIVES[name]), rows_of(batch, paired))
    found = logged(step, two_sets())
    for key, objective in step.module.objectives.items():
        if objective.uses_video:
            # Float32 in batches of another size.
            torch.testing.assert_close(found[f"{key}_loss"], expected[f"{key}_loss"], rtol=1e-5, atol=1e-5)
    for queue in [module for module in step.modules() if isinstance(module, EmbeddingQueue)]:
        assert queue.filled == len(paired)


@pytest.mark.parametrize("name", WITH_VIDEO)
def test_where_all_have_video_it_is_the_loss_of_one_set(name: str) -> None:
    expected = make_step(**OBJECTIVES[name])(make_batch())
    found = make_step(**OBJECTIVES[name])(two_sets(with_video=(0, 1)))
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)  # the same float32 sums, rows taken by index


@pytest.mark.parametrize("name", WITH_VIDEO)
def test_a_batch_without_any_video_has_a_loss_and_gradients(name: str) -> None:
    step = make_step(**OBJECTIVES[name])
    loss = step(two_sets(with_video=()))
    loss.backward()
    assert torch.isfinite(loss)
    for parameter, p in step.named_parameters():
        assert p.grad is not None, parameter  # DDP waits for all of them
        assert torch.isfinite(p.grad).all(), parameter
    step.eval()
    step.module.validation_step(two_sets(with_video=()), 0)
    assert not step.module.retrieval.update_called


def test_validation_looks_at_the_paired_windows() -> None:
    step = make_step().eval()
    step.module.validation_step(two_sets(), 0)
    found, _ = step.module.retrieval.pairs()
    batch = rows_of(make_batch(), torch.arange(0, N, 2))
    expected = step.module.embed_imu(batch["imu"], batch["channel_mask"], batch["sample_mask"])
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)  # float32 in batches of another size


def test_negatives_can_be_kept_within_a_set() -> None:
    loss = {"contrastive": {"pairs": "softmax"}, "consistency": {"negatives": "own_set"}, "order": {"weight": 0.0}}
    space = {"width": 32, "dropout": 0.0, "negatives": "own_set"}
    step = make_step(loss=loss, shared_space=space)
    found = logged(step, two_sets(with_video=(0, 1)))
    parts = [
        logged(make_step(loss=loss, shared_space=space), rows_of(make_batch(), torch.arange(first, N, 2)))
        for first in (0, 1)
    ]
    for key in ("contrastive_loss", "consistency_loss"):  # each set's loss by itself, and half of all windows in each
        mean = (parts[0][key] + parts[1][key]) / 2
        torch.testing.assert_close(found[key], mean, rtol=1e-5, atol=1e-5)  # float32 in batches of another size


def log_at_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ImuPretraining, "_logs_now", True)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_losses_are_logged_for_each_set(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    log_at_every_step(monkeypatch)
    step = make_step(**OBJECTIVES[name], sets=["lab", "home"])
    found = logged(step, two_sets())
    alone = {i: logged(make_step(**OBJECTIVES[name]), rows_of(make_batch(), torch.arange(i, N, 2))) for i in (0, 1)}
    for key, objective in step.module.objectives.items():
        assert objective.training
        assert (f"{key}_loss/home" in found) != objective.uses_video
        for i, name_of_set in enumerate(("lab", "home")):
            if (value := found.get(f"{key}_loss/{name_of_set}")) is not None and key != "masked":
                # Float32 in batches of another size.
                torch.testing.assert_close(value, alone[i][f"{key}_loss"], rtol=1e-5, atol=1e-5)


def test_what_is_logged_changes_nothing_that_is_learnt(monkeypatch: pytest.MonkeyPatch) -> None:
    changes = OBJECTIVES["neighbours"]
    quiet, loud = make_step(**changes), make_step(**changes, sets=["lab", "home"])
    for seed in range(2):
        quiet_loss = quiet(two_sets(seed))
        with monkeypatch.context() as patch:
            log_at_every_step(patch)
            loud_loss = loud(two_sets(seed))
        assert torch.equal(quiet_loss, loud_loss)
    for a, b in zip(quiet.buffers(), loud.buffers(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_mixed_step_asks_the_device_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    log_at_every_step(monkeypatch)
    step = make_step(**OBJECTIVES[name], sets=["lab", "home"])
    batches = [two_sets(seed) for seed in range(2)]
    with Waiting() as waiting:
        for batch in batches:
            step(batch).backward()
    assert waiting.found == []


def _process(rank: int, folder: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    torch.set_num_threads(1)
    ImuPretraining._logs_now = True  # type: ignore[assignment]  # what is logged must not reach the other process
    found = {}
    for name in SHARED:
        wrapped = DistributedDataParallel(make_step(**OBJECTIVES[name], sets=["lab", "home"]))
        losses = []
        for seed in range(2):  # the second has a queue, where there is one
            wrapped.zero_grad()
            loss = wrapped(two_sets(seed, rows=slice(rank * N // 2, (rank + 1) * N // 2)))
            loss.backward()
            losses.append(loss.detach())
        gradients = {key: p.grad for key, p in wrapped.module.named_parameters() if p.grad is not None}
        found[name] = {"losses": losses, "gradients": gradients}
    torch.save(found, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.slow
def test_two_processes_have_one_process_gradient(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("gloo")
    in_processes(_process, (str(folder),), 2)
    parts = [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2)]
    for name in SHARED:
        step = make_step(**OBJECTIVES[name])
        for seed in range(2):
            step.zero_grad()
            loss = step(two_sets(seed))
            loss.backward()
            mean = (parts[0][name]["losses"][seed] + parts[1][name]["losses"][seed]) / 2
            # Float32 sums in another order: 1e-5 of the gradient's own size, as in the tests of the losses.
            torch.testing.assert_close(mean, loss.detach(), rtol=1e-5, atol=1e-5, msg=name)
        for key, p in step.named_parameters():
            for part in parts:
                torch.testing.assert_close(
                    part[name]["gradients"][key], p.grad, rtol=1e-5, atol=1e-5, msg=f"{name} {key}"
                )
