"""Registries of IMU encoders, video encoders and video heads.

An encoder is one file in ``encoders/imu`` or ``encoders/video``, with a dataclass of settings and a class::

    @dataclass
    class MyParams:
        width: int = 64

    @imu_encoder("my_net", MyParams)
    class MyNet(ImuEncoder):
        def __init__(self, params: MyParams, imu_input: ImuInput) -> None: ...

The registry finds it by its name; no other file needs an edit. An encoder that takes any number of channels may derive
its settings from ``encoders.layers.orientation.OrientationParams``: they can give it gravity-aligned channels.

A video encoder is made from its settings alone. A video head (``@video_head``) is made from its settings and the width
of the frame features. Encoders of another package are found through the entry point groups
``imu_video_har.imu_encoders``, ``imu_video_har.video_encoders`` and ``imu_video_har.video_heads`` (an entry names a
module that registers them), or by importing that module.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from core.registry import Component, Registry, build, component_params, register
from encoders.contract import ImuEncoder, ImuInput, VideoEncoder, VideoHead
from encoders.layers.orientation import build_oriented

C = TypeVar("C", bound=Callable[..., Any])

IMU_ENCODERS: Registry[Component[ImuEncoder]] = Registry("IMU encoder", "encoders.imu", "imu_video_har.imu_encoders")
VIDEO_ENCODERS: Registry[Component[VideoEncoder]] = Registry(
    "video encoder", "encoders.video", "imu_video_har.video_encoders"
)
VIDEO_HEADS: Registry[Component[VideoHead]] = Registry("video head", "encoders.video", "imu_video_har.video_heads")


def imu_encoder(name: str, params: type) -> Callable[[C], C]:
    """Register an IMU encoder, a class whose constructor takes ``(params, imu_input)``."""
    return register(IMU_ENCODERS, name, params)


def video_encoder(name: str, params: type) -> Callable[[C], C]:
    """Register a video encoder, a class whose constructor takes ``(params)``."""
    return register(VIDEO_ENCODERS, name, params)


def video_head(name: str, params: type) -> Callable[[C], C]:
    """Register a video head, a class whose constructor takes ``(params, frame_width)``."""
    return register(VIDEO_HEADS, name, params)


def imu_encoders() -> dict[str, Component[ImuEncoder]]:
    """Return all IMU encoders by name."""
    return IMU_ENCODERS.entries()


def video_encoders() -> dict[str, Component[VideoEncoder]]:
    """Return all video encoders by name."""
    return VIDEO_ENCODERS.entries()


def video_heads() -> dict[str, Component[VideoHead]]:
    """Return all video heads by name."""
    return VIDEO_HEADS.entries()


def build_imu_encoder(name: str, params: Mapping[str, Any], imu_input: ImuInput) -> ImuEncoder:
    """Build the IMU encoder called ``name`` for windows of the shape ``imu_input``.

    Raises:
        UnknownNameError: there is no such encoder, or it has no such setting; the message suggests a similar name.
        ValueError: a setting has an invalid value.
    """
    return build_oriented(IMU_ENCODERS.entry(name).create, component_params(IMU_ENCODERS, name, params), imu_input)


def build_video_encoder(name: str, params: Mapping[str, Any]) -> VideoEncoder:
    """Build the video encoder called ``name``; raises as ``build_imu_encoder`` does."""
    return build(VIDEO_ENCODERS, name, params)


def build_video_head(name: str, params: Mapping[str, Any], frame_width: int) -> VideoHead:
    """Build the video head called ``name`` for frame features of ``frame_width``; raises as the others do."""
    return build(VIDEO_HEADS, name, params, frame_width)
