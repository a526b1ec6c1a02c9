"""The contract of objectives: a new one is a file with its settings and its class, and a line in the loss."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields

import pytest
import torch
from helpers.made_training import make_batch, make_step, settings
from torch import Tensor

from core.settings import setting
from lightning_modules.objectives.build import objective_class, uses_video
from lightning_modules.objectives.objective import OBJECTIVES, Objective, ObjectiveSettings, Parts, objective
from lightning_modules.objectives.step import Step
from lightning_modules.pretraining import ImuPretraining
from lightning_modules.settings import LossSettings


@dataclass
class NormSettings(ObjectiveSettings):
    """Pooled features of a given length."""

    weight: float = setting(0.0, "weight; 0 leaves it out", at_least=0)
    length: float = setting(1.0, "length that is asked for", above=0)


@dataclass
class ExtendedLossSettings(LossSettings):
    """The loss with a line more."""

    norm: NormSettings = setting(NormSettings(), "pooled features of a given length")


@pytest.fixture(autouse=True)
def new_objective() -> Iterator[None]:
    @objective(NormSettings)
    class NormObjective(Objective):
        def __init__(self, settings: NormSettings, parts: Parts) -> None:
            super().__init__()
            self.length = settings.length

        def forward(self, step: Step) -> Tensor:
            return (step.imu.pooled.norm(dim=1) - self.length).square().mean()

    yield
    OBJECTIVES.remove("NormSettings")


def test_every_line_of_the_loss_has_a_class() -> None:
    for field in fields(LossSettings):
        own = getattr(LossSettings(), field.name)
        assert isinstance(own, ObjectiveSettings)
        assert issubclass(objective_class(own), Objective)


def test_a_new_objective_is_trained_with_its_weight() -> None:
    off = {field.name: {"weight": 0.0} for field in fields(LossSettings)}
    alone = {**settings(loss=off, video_head=None), "loss": ExtendedLossSettings(norm=NormSettings(2.0, 3.0))}
    for name in off:
        getattr(alone["loss"], name).weight = 0.0
    step = make_step()
    torch.manual_seed(0)
    step.module = ImuPretraining(**alone)
    step.module.log = lambda *_, **__: None  # type: ignore[method-assign]
    batch = make_batch()
    imu = step.module.imu_encoder
    pooled = torch.cat([imu(v["imu"], v["channel_mask"], v["sample_mask"]).pooled for v in batch["views"]])
    expected = 2 * (pooled.norm(dim=1) - 3.0).square().mean()
    step.eval()
    torch.testing.assert_close(step(batch), expected, rtol=1e-4, atol=1e-4)  # sums in another order
    assert list(step.module.objectives) == ["norm"]
    assert step.module.hparams["loss"]["norm"] == {"weight": 2.0, "length": 3.0}
    assert not uses_video(alone["loss"].chosen())


def test_the_default_from_python_is_the_default_of_the_commands() -> None:
    from experiments.settings.schema import Config

    module = ImuPretraining(
        imu_encoder=settings()["imu_encoder"],
        imu_input=settings()["imu_input"],
        video_head=settings()["video_head"],
        frame_width=12,
    )
    config = Config()
    assert asdict(module.settings.loss) == asdict(config.loss)
    assert asdict(module.settings.optim) == asdict(config.optim)
    assert asdict(module.settings.shared_space) == asdict(config.shared_space)
    assert list(module.objectives) == ["contrastive", "order", "consistency"]
