"""The registries of IMU encoders, video encoders and video heads.

An encoder is one file in ``encoders/imu`` or ``encoders/video``: a dataclass of its settings and a
class::

    @dataclass
    class MyParams:
        width: int = 64

    @imu_encoder("my_net", MyParams)
    class MyNet(ImuEncoder):
        def __init__(self, params: MyParams, imu_input: ImuInput) -> None: ...

It is found by its name; nothing else has to be edited. A video encoder is made from its settings alone, and a
video head (``@video_head``) from its settings and the width of the frame features. Encoders that live in
another package are found through the entry point groups ``imu_video_har.imu_encoders``,
``imu_video_har.video_encoders`` and ``imu_video_har.video_heads`` (each naming a module that registers them),
or simply by importing that module.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from core.registry import Component, Registry, build, register
from encoders.contract import ImuEncoder, ImuInput, VideoEncoder, VideoHead

C = TypeVar("C", bound=Callable[..., Any])

IMU_ENCODERS: Registry[Component[ImuEncoder]] = Registry("IMU encoder", "encoders.imu", "imu_video_har.imu_encoders")
VIDEO_ENCODERS: Registry[Component[VideoEncoder]] = Registry(
    "video encoder", "encoders.video", "imu_video_har.video_encoders"
)
VIDEO_HEADS: Registry[Component[VideoHead]] = Registry("video head", "encoders.video", "imu_video_har.video_heads")


def imu_encoder(name: str, params: type) -> Callable[[C], C]:
    """Register an IMU encoder: a class made from ``(params, imu_input)``."""
    return register(IMU_ENCODERS, name, params)


def video_encoder(name: str, params: type) -> Callable[[C], C]:
    """Register a video encoder: a class made from ``(params)``."""
    return register(VIDEO_ENCODERS, name, params)


def video_head(name: str, params: type) -> Callable[[C], C]:
    """Register a video head: a class made from ``(params, frame_width)``."""
    return register(VIDEO_HEADS, name, params)


def imu_encoders() -> dict[str, Component[ImuEncoder]]:
    """All IMU encoders by name."""
    return IMU_ENCODERS.entries()


def video_encoders() -> dict[str, Component[VideoEncoder]]:
    """All video encoders by name."""
    return VIDEO_ENCODERS.entries()


def video_heads() -> dict[str, Component[VideoHead]]:
    """All video heads by name."""
    return VIDEO_HEADS.entries()


def build_imu_encoder(name: str, params: Mapping[str, Any], imu_input: ImuInput) -> ImuEncoder:
    """Build the IMU encoder called ``name`` for windows of the shape ``imu_input``.

    Raises:
        UnknownNameError: no such encoder, or it has no such setting; says what was probably meant.
        ValueError: a setting's value doesn't fit.
    """
    return build(IMU_ENCODERS, name, params, imu_input)


def build_video_encoder(name: str, params: Mapping[str, Any]) -> VideoEncoder:
    """Build the video encoder called ``name``; raises as ``build_imu_encoder`` does."""
    return build(VIDEO_ENCODERS, name, params)


def build_video_head(name: str, params: Mapping[str, Any], frame_width: int) -> VideoHead:
    """Build the video head called ``name`` for frame features of ``frame_width``; raises as the others do."""
    return build(VIDEO_HEADS, name, params, frame_width)
