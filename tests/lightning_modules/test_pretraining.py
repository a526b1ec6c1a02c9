"""The pretraining module: two processes have one process's gradient, frozen parts stay frozen, masks are honoured."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.distributed as dist
from helpers.forked import in_processes
from helpers.made_training import (
    OBJECTIVES,
    N,
    alone,
    make_batch,
    make_step,
    settings,
)
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from lightning_modules.losses.queue import EmbeddingQueue
from lightning_modules.pretraining import ImuPretraining


def part_of(batch: dict[str, Any], rows: slice) -> dict[str, Any]:
    part: dict[str, Any] = {key: value[rows] for key, value in batch.items() if isinstance(value, Tensor)}
    part["views"] = [{key: value[rows] for key, value in view.items()} for view in batch["views"]]
    return part


def gradients(model: nn.Module) -> dict[str, Tensor]:
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


# Hidden patches are drawn by each process for its own windows: their gradient can't be that of one process.
SHARED = [name for name in OBJECTIVES if "masked" not in name]


def _process(rank: int, folder: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    torch.set_num_threads(1)
    found = {}
    for name in SHARED:
        wrapped = DistributedDataParallel(make_step(**OBJECTIVES[name]))
        loss = wrapped(part_of(make_batch(), slice(rank * N // 2, (rank + 1) * N // 2)))
        loss.backward()
        found[name] = {"loss": loss.detach(), "gradients": gradients(wrapped.module)}
    torch.save(found, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    folder = tmp_path_factory.mktemp("gloo")
    in_processes(_process, (str(folder),), 2)
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2)]


@pytest.mark.parametrize("name", SHARED)
def test_two_processes_have_one_process_gradient(two_processes: list[dict[str, Any]], name: str) -> None:
    step = make_step(**OBJECTIVES[name])
    loss = step(make_batch())
    loss.backward()
    expected = gradients(step)
    found = [part[name] for part in two_processes]
    # Float32 sums in another order: 1e-5 of the gradient's own size, as in the tests of the losses.
    torch.testing.assert_close((found[0]["loss"] + found[1]["loss"]) / 2, loss.detach(), rtol=1e-5, atol=1e-5)
    assert found[0]["gradients"].keys() == expected.keys()
    for parameter, gradient in expected.items():
        for part in found:
            torch.testing.assert_close(part["gradients"][parameter], gradient, rtol=1e-5, atol=1e-5, msg=parameter)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_everything_that_is_trained_gets_a_gradient(name: str) -> None:
    step = make_step(**OBJECTIVES[name])
    step(make_batch())  # fills the queues
    step(make_batch(1)).backward()
    missing = [name for name, p in step.named_parameters() if p.grad is None or not torch.isfinite(p.grad).all()]
    assert missing == []


@pytest.mark.parametrize("name", ["masked", "masked patchtst", "views alone"])
def test_without_video_a_batch_needs_none(name: str) -> None:
    batch = make_batch()
    for key in ("features", "frame_times", "frame_mask"):
        del batch[key]
    step = make_step(**OBJECTIVES[name])
    assert torch.isfinite(step(batch))
    assert step.module.video_head is None
    assert not hasattr(step.module, "video_projection")
    logged: dict[str, Tensor] = {}
    step.module.log = lambda name, value, **_: logged.update({name: value})  # type: ignore[method-assign]
    step.module.eval()
    step.module.validation_step(batch, 0)
    assert set(logged) == ({"validation/masked_loss"} if "masked" in name else set())


@pytest.mark.parametrize("name", ["distillation", "neighbours"])
def test_queues_grow_in_training_alone(name: str) -> None:
    step = make_step(**OBJECTIVES[name])
    queues = [m for m in step.modules() if isinstance(m, EmbeddingQueue)]
    assert [queue.filled for queue in queues] == [0] * len(queues) != []
    step(make_batch())
    assert {queue.filled for queue in queues} == {N}
    step.eval()
    step.module.validation_step(make_batch(), 1)
    step(make_batch())
    assert {queue.filled for queue in queues} == {N}


def test_a_teacher_does_not_come_to_its_student() -> None:
    step = make_step(**OBJECTIVES["distillation"])
    batch = make_batch()
    video = step.module.embed_video(batch["features"].float(), batch["frame_times"], batch["frame_mask"])
    mean = (batch["features"].float() * batch["frame_mask"][..., None]).sum(1) / batch["frame_mask"].sum(1, True)
    torch.testing.assert_close(video, torch.nn.functional.normalize(mean, dim=1), rtol=1e-5, atol=1e-6)  # sums' order
    with pytest.raises(ValueError, match=r"set video_head\.name to 'mean'"):
        make_step(**{**OBJECTIVES["distillation"], "video_head": settings()["video_head"]})


def test_losses_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="nothing to minimise"):
        make_step(**alone())
    with pytest.raises(ValueError, match=r"loss\.order\.count must be at least 2"):
        ImuPretraining(**settings(loss={"order": {"weight": 1.0, "count": 1}}))
    with pytest.raises(ValueError, match=r"loss\.contrastive\.pairs is 'sofmax'; expected one of: sigmoid"):
        make_step(loss={"contrastive": {"pairs": "sofmax"}})


def test_what_the_masks_hide_does_not_matter() -> None:
    step = make_step()
    batch = make_batch()
    loss = step(batch)
    for view in batch["views"]:
        view["imu"] = view["imu"].clone()
    batch["features"] = batch["features"].clone()
    batch["features"][~batch["frame_mask"]] = 7
    torch.testing.assert_close(step(batch), loss, rtol=1e-6, atol=1e-6)


def test_neighbours_are_no_negatives() -> None:
    step = make_step(shared_space={"same_recording_gap_s": 6.0})
    mask = step.module._negative_mask(make_batch())
    assert mask is not None
    # Windows 2 i and 2 i + 1 are of one recording, 5 s apart.
    assert mask.sum() == N * 2
    assert make_step().module._negative_mask(make_batch()) is None


def test_overfits_a_batch() -> None:
    torch.manual_seed(0)
    step = make_step(loss={"alignment": {"weight": 0.5}})
    batch = make_batch()
    optimizer = torch.optim.AdamW(step.parameters(), lr=3e-3)
    first = None
    for _ in range(120):
        loss = step(batch)
        first = first if first is not None else loss.item()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    module = step.module.eval()
    imu = module.embed_imu(batch["imu"], batch["channel_mask"], batch["sample_mask"])
    video = module.embed_video(batch["features"].float(), batch["frame_times"], batch["frame_mask"])
    assert first is not None
    assert loss.item() < 0.5 * first
    assert torch.equal((imu @ video.T).argmax(1), torch.arange(N))
