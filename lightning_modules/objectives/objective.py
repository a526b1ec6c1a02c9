"""The contract of objectives, and their registry.

An objective is one term of the loss. It is one file in this folder: a dataclass of its settings, with its weight, and
a class; and one line in ``lightning_modules/settings.py``, which gives it a name in the configuration::

    @dataclass
    class MySettings(ObjectiveSettings):
        weight: float = setting(0.0, "weight of my loss; 0 leaves it out", at_least=0)
        sharpness: float = setting(2.0, "...", above=0)

    @objective(MySettings)
    class MyObjective(Objective):
        def __init__(self, settings: MySettings, parts: Parts) -> None: ...
        def forward(self, step: Step) -> Tensor: ...
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from torch import Tensor, nn

from core.registry import Component, Registry
from core.settings import setting
from encoders.contract import ImuEncoder, ImuInput, VideoHead
from lightning_modules.objectives.step import Step

C = TypeVar("C", bound=Callable[..., Any])


@dataclass
class ObjectiveSettings:
    """Settings that every objective has."""

    weight: float = setting(0.0, "weight in the loss; 0 leaves the objective out", at_least=0)

    def check_windows(self, windows: int) -> None:
        """Raise a ``ValueError`` where an epoch of so many windows is too short for the objective."""


@dataclass(frozen=True)
class Parts:
    """The parts of the module that objectives are made for.

    Attributes:
        imu_encoder: the encoder that learns.
        imu_input: the shape of its windows.
        video_head: over the frame features; None without video.
        shared_width: width of the space that IMU and video share.
        expert_width: number of handcrafted features that come with a window; 0 without any.
        classes: activities of each set whose labels come with the windows.
    """

    imu_encoder: ImuEncoder
    imu_input: ImuInput
    video_head: VideoHead | None
    shared_width: int
    expert_width: int = 0
    classes: Sequence[Sequence[str]] = ()

    @property
    def video(self) -> VideoHead:
        """The video head.

        Raises:
            ValueError: there is none.
        """
        if self.video_head is None:
            raise ValueError("loss: an objective that learns from video has a weight, but there is no video head")
        return self.video_head


class Objective(nn.Module, ABC):
    """One term of the loss.

    Attributes:
        uses_video: needs ``Step.video``.
        shares_space: needs embeddings of both modalities in one space.
        targets: what a batch must hold besides motion and video; see ``datamodules.pretraining.targets``.
    """

    uses_video: bool = False
    shares_space: bool = False
    targets: tuple[str, ...] = ()

    @abstractmethod
    def forward(self, step: Step) -> Tensor:
        """Compute the term, a scalar: the mean over views; over processes, see ``losses.all_gather``."""

    def parameters_to_log(self) -> dict[str, Tensor]:
        """Return learnt scalars worth a curve: name -> value."""
        return {}


OBJECTIVES: Registry[Component[Objective]] = Registry("objective", "lightning_modules.objectives")


def objective(settings: type[ObjectiveSettings]) -> Callable[[C], C]:
    """Register the class of an objective under the dataclass of its settings."""

    def decorate(create: C) -> C:
        OBJECTIVES.add(settings.__name__, Component(settings.__name__, settings, create), create)
        return create

    return decorate
