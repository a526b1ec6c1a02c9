"""Two and four real processes (gloo) under DDP train as one process does on the whole batch.

Two steps of gradient descent on two batches: the second step's loss and gradients depend on the first's gradients
and, where there is a queue, on what it pushed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from helpers.forked import in_processes
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from lightning_modules.losses.distillation import DistillationLoss
from lightning_modules.losses.frame_order import FrameOrderLoss, draw_priorities
from lightning_modules.losses.masked_reconstruction import TokenDecoder, mask_patches, masked_reconstruction_loss
from lightning_modules.losses.negatives import neighbour_mask
from lightning_modules.losses.neighbours import NeighbourLoss
from lightning_modules.losses.sigmoid import SigmoidLoss
from lightning_modules.losses.soft_targets import SoftTargetLoss
from lightning_modules.losses.softmax import SoftmaxLoss
from lightning_modules.losses.temporal_alignment import TemporalAlignmentLoss
from lightning_modules.losses.view_consistency import view_consistency_loss

N, L, F, STEPS = 8, 12, 6, 2


class Model(nn.Module):
    """A linear encoder for either modality and one loss, all in one module as a task has them."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.imu, self.video = nn.Linear(5, 4), nn.Linear(7, 4)

    def encode(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """A window and its clip by a token and a frame of theirs, and which pairs are no negatives."""
        negatives = neighbour_mask(batch["recordings"], batch["times"], 2.0)
        return self.imu(batch["tokens"][:, 0]), self.video(batch["frames"][:, 0]), negatives

    def after_step(self, batch: dict[str, Tensor]) -> None:
        """Fill the queue, if there is one."""


class Pairs(Model):
    def __init__(self, loss: nn.Module) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        found: Tensor = self.loss(*self.encode(batch))
        return found


class Alignment(Model):
    def __init__(self) -> None:
        super().__init__()
        self.loss = TemporalAlignmentLoss()

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        token_times = torch.arange(L) * 0.25
        imu, frames = self.imu(batch["tokens"]), self.video(batch["frames"])
        found: Tensor = self.loss(
            imu, token_times, batch["token_mask"], frames, batch["frame_times"], batch["frame_mask"]
        )
        return found


class Order(Model):
    def __init__(self) -> None:
        super().__init__()
        self.loss = FrameOrderLoss()

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        token_times = torch.arange(L) * 0.25
        imu, frames = self.imu(batch["tokens"]), self.video(batch["frames"])
        priorities = draw_priorities(F, 6, torch.Generator().manual_seed(0))
        found: Tensor = self.loss(
            imu, token_times, batch["token_mask"], frames, batch["frame_times"], batch["frame_mask"], priorities
        )
        return found


class Views(Model):
    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        unused = 0 * (self.video.weight.sum() + self.video.bias.sum())
        first, second = self.imu(batch["tokens"][:, 0]), self.imu(batch["tokens"][:, 1])
        return view_consistency_loss(first, second, 0.2) + unused


class Distillation(Model):
    """The queue has room for one and a half batches."""

    def __init__(self) -> None:
        super().__init__()
        self.loss = DistillationLoss(4, queue_size=12)
        self.video.requires_grad_(False)

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        imu, video, _ = self.encode(batch)
        found: Tensor = self.loss(imu, video)
        return found

    def after_step(self, batch: dict[str, Tensor]) -> None:
        self.loss.queue.push(self.encode(batch)[1])


class Neighbours(Model):
    """The queue starts with two pairs, and has room for less than a batch and these."""

    def __init__(self) -> None:
        super().__init__()
        self.loss = NeighbourLoss(4, 4, queue_size=9)
        with torch.no_grad():
            for queue in (self.loss.videos, self.loss.windows):
                queue.rows[:2] = torch.randn(2, 4)
                queue.pushed += 2

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        imu, video, negatives = self.encode(batch)
        other_view = self.imu(batch["tokens"][:, 1])
        unused = 0 * video.sum()  # finds neighbours, but has no gradient
        found: Tensor = self.loss(imu, other_view, video, negatives)
        return found + unused

    def after_step(self, batch: dict[str, Tensor]) -> None:
        imu, video, _ = self.encode(batch)
        self.loss.push(video, imu)


class Masked(Model):
    """Windows differ in how many samples were measured, so the processes hide different numbers of them."""

    def __init__(self) -> None:
        super().__init__()
        self.decoder = TokenDecoder(4, 5, step=1, rate_hz=4.0)

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        unused = 0 * (self.video.weight.sum() + self.video.bias.sum())
        masked = batch["tokens"].masked_fill(batch["hidden"], 0)
        prediction, _ = self.decoder(self.imu(masked), torch.arange(L) / 4, L)
        return masked_reconstruction_loss(prediction, batch["tokens"], batch["hidden"]) + unused


MODELS = {
    "sigmoid": lambda: Pairs(SigmoidLoss()),
    "softmax": lambda: Pairs(SoftmaxLoss()),
    "soft_targets": lambda: Pairs(SoftTargetLoss(temperature=0.5)),
    "soft_targets_sharp": lambda: Pairs(SoftTargetLoss(temperature=0.5, sharp=True)),
    "alignment": Alignment,
    "order": Order,
    "views": Views,
    "distillation": Distillation,
    "neighbours": Neighbours,
    "masked": Masked,
}


def global_batch(step: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(step)
    frame_mask = torch.rand(N, F, generator=generator) < 0.7
    frame_mask[:3] = True  # the processes hold different numbers of valid frames
    frame_mask[5] = False
    tokens = torch.randn(N, L, 5, generator=generator)
    token_mask = torch.rand(N, L, generator=generator) < 0.9
    token_mask[4:6, 6:] = False
    _, hidden = mask_patches(tokens, token_mask, torch.ones(N, 5).bool(), 0.4, 2, generator)
    return {
        "tokens": tokens,
        "token_mask": token_mask,
        "hidden": hidden,
        "frames": torch.randn(N, F, 7, generator=generator),
        "frame_times": torch.rand(N, F, generator=generator).sort(1).values * 2.75,
        "frame_mask": frame_mask,
        "recordings": torch.tensor([0, 0, 1, 1, 0, 0, 1, 1]),
        "times": torch.tensor([0.0, 5.0, 0.0, 1.0, 1.0, 6.0, 9.0, 2.0]),
    }


def train(model: Model, outer: nn.Module, rank: int, world: int) -> dict[str, Tensor]:
    """Losses and gradients of each step, and what the model holds in the end."""
    found: dict[str, Tensor] = {}
    for step in range(STEPS):
        batch = {key: value.chunk(world)[rank] for key, value in global_batch(step).items()}
        outer.zero_grad()
        loss = outer(batch)
        model.after_step(batch)
        loss.backward()
        value = loss.detach().clone()
        if world > 1:
            dist.all_reduce(value)
        found[f"loss {step}"] = value / world
        with torch.no_grad():
            for name, p in model.named_parameters():
                if p.grad is not None:
                    found[f"gradient {step} {name}"] = p.grad.clone()
                    p.sub_(0.1 * p.grad)
    return {**found, **{f"final {name}": value.clone() for name, value in model.state_dict().items()}}


class Largest(TorchDispatchMode):
    """Notes the largest tensor that anything makes."""

    numel = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor):
                self.numel = max(self.numel, tensor.numel())
        return result


def largest_of_sigmoid() -> int:
    """Numbers in the largest tensor of a step with 16 pairs a process, 4 wide."""
    imu, video = torch.randn(2, 16, 4).requires_grad_()
    loss = SigmoidLoss()
    with Largest() as noted:
        loss(imu, video).backward()
    return noted.numel


def worker(rank: int, world: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=world)
    results = {}
    for kind, make in MODELS.items():
        model = make()
        results[kind] = train(model, DistributedDataParallel(model), rank, world)
    results["largest"] = {"numel": torch.tensor(largest_of_sigmoid())}
    torch.save(results, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


Results = list[dict[str, dict[str, Tensor]]]


@pytest.fixture(scope="module", params=[2, 4], ids=["two", "four"])
def processes(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Results:
    world = request.param
    folder = tmp_path_factory.mktemp("gloo")
    in_processes(worker, (world, str(folder)), world)
    return [torch.load(Path(folder) / f"{rank}.pt", weights_only=True) for rank in range(world)]


@pytest.mark.parametrize("kind", MODELS)
def test_processes_equal_one(kind: str, processes: Results) -> None:
    model = MODELS[kind]()
    alone = train(model, model, 0, 1)
    trained = [p for p in model.parameters() if p.requires_grad]
    assert sum(name.startswith("gradient") for name in alone) == STEPS * len(trained)
    assert alone["gradient 1 imu.weight"].abs().max() > 1e-3
    for results in processes:
        assert results[kind].keys() == alone.keys()
        for name, value in alone.items():
            # float32, summed in another order.
            torch.testing.assert_close(results[kind][name], value, rtol=1e-5, atol=1e-6, msg=f"{kind} {name}")
            if "queue" in name or "pushed" in name:
                assert torch.equal(results[kind][name], processes[0][kind][name])


@pytest.mark.parametrize(("kind", "size"), [("distillation", 12), ("neighbours", 9)])
def test_queues_have_gone_round(kind: str, size: int, processes: Results) -> None:
    pushed = {name: value for name, value in processes[0][kind].items() if name.endswith("pushed")}
    assert pushed
    assert all(value > size for value in pushed.values())


def test_sigmoid_never_holds_more_than_its_own_pairs(processes: Results) -> None:
    assert [results["largest"]["numel"].item() for results in processes] == [16 * 16] * len(processes)
