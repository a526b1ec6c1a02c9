"""Two real processes (gloo) under DDP have the gradient of one process with the same global batch."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from lightning_modules.losses.negatives import neighbour_mask
from lightning_modules.losses.sigmoid import SigmoidLoss
from lightning_modules.losses.softmax import SoftmaxLoss
from lightning_modules.losses.temporal_alignment import TemporalAlignmentLoss

N, L, F = 8, 12, 6


class Model(nn.Module):
    """A linear encoder for either modality and one loss, all in one module as a task has them."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.kind = kind
        self.imu, self.video = nn.Linear(5, 4), nn.Linear(7, 4)
        self.loss: nn.Module = {
            "sigmoid": SigmoidLoss,
            "softmax": SoftmaxLoss,
            "alignment": TemporalAlignmentLoss,
        }[kind]()

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        if self.kind == "alignment":
            token_times = torch.arange(L) * 0.25
            loss: Tensor = self.loss(
                self.imu(batch["tokens"]),
                token_times,
                batch["token_mask"],
                self.video(batch["frames"]),
                batch["frame_times"],
                batch["frame_mask"],
            )
            return loss
        negatives = neighbour_mask(batch["recordings"], batch["times"], 2.0)
        pair: Tensor = self.loss(self.imu(batch["tokens"][:, 0]), self.video(batch["frames"][:, 0]), negatives)
        return pair


def global_batch() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(1)
    frame_mask = torch.rand(N, F, generator=generator) < 0.7
    frame_mask[:3] = True  # the two halves hold different numbers of valid frames
    frame_mask[5] = False
    return {
        "tokens": torch.randn(N, L, 5, generator=generator),
        "token_mask": torch.rand(N, L, generator=generator) < 0.9,
        "frames": torch.randn(N, F, 7, generator=generator),
        "frame_times": torch.rand(N, F, generator=generator).sort(1).values * 2.75,
        "frame_mask": frame_mask,
        "recordings": torch.tensor([0, 0, 1, 1, 0, 0, 1, 1]),
        "times": torch.tensor([0.0, 5.0, 0.0, 1.0, 1.0, 6.0, 9.0, 2.0]),
    }


def run(model: nn.Module, batch: dict[str, Tensor]) -> dict[str, Tensor]:
    loss = model(batch)
    loss.backward()
    found = {name.removeprefix("module."): p.grad for name, p in model.named_parameters() if p.grad is not None}
    return {**found, "value": loss.detach()}


def worker(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    half = {key: value[rank * N // 2 : (rank + 1) * N // 2] for key, value in global_batch().items()}
    results = {}
    for kind in ("sigmoid", "softmax", "alignment"):
        found = run(DistributedDataParallel(Model(kind)), half)
        dist.all_reduce(found["value"])
        found["value"] /= 2
        results[kind] = found
    torch.save(results, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, dict[str, Tensor]]]:
    folder = tmp_path_factory.mktemp("gloo")
    mp.spawn(worker, args=(str(folder),), nprocs=2)
    return [torch.load(Path(folder) / f"{rank}.pt", weights_only=True) for rank in range(2)]


@pytest.mark.parametrize("kind", ["sigmoid", "softmax", "alignment"])
def test_two_processes_equal_one(kind: str, two_processes: list[dict[str, dict[str, Tensor]]]) -> None:
    alone = run(Model(kind), global_batch())
    # Encoders, the loss's own parameters, and the loss itself.
    assert len(alone) == (7 if kind == "sigmoid" else 6)
    for results in two_processes:
        assert results[kind].keys() == alone.keys()
        for name, value in alone.items():
            torch.testing.assert_close(results[kind][name], value, rtol=1e-5, atol=1e-6, msg=f"{kind} {name}")
