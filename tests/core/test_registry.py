from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from omegaconf import OmegaConf

from core.registry import Component, Registry, UnknownNameError, build, register
from encoders.contract import ImuInput
from encoders.registry import build_imu_encoder, imu_encoders, video_encoders

IMU = ImuInput(250, 50.0)


def test_finds_the_files_of_the_folder() -> None:
    assert {"cnn_transformer", "patchtst"} <= imu_encoders().keys()
    assert "vit" in video_encoders()


def test_unknown_encoder_says_what_was_meant_and_what_there_is() -> None:
    with pytest.raises(UnknownNameError, match=r"'patchtts'.*did you mean 'patchtst'\?.*cnn_transformer"):
        build_imu_encoder("patchtts", {}, IMU)


def test_unknown_setting_says_what_was_meant_and_what_there_is() -> None:
    with pytest.raises(UnknownNameError, match=r"IMU encoder 'patchtst'.*'widht'.*did you mean 'width'\?.*heads"):
        build_imu_encoder("patchtst", {"widht": 64}, IMU)


def test_value_of_the_wrong_type_names_the_setting() -> None:
    with pytest.raises(ValueError, match=r"'patchtst', setting 'width'.*'wide'"):
        build_imu_encoder("patchtst", {"width": "wide"}, IMU)


def test_settings_may_be_omegaconf_and_arrive_plain() -> None:
    @dataclass
    class Params:
        sizes: list[int] = field(default_factory=lambda: [1])
        rate: float = 0.5

    registry: Registry[Component[object]] = Registry("part", "core", "imu_video_har.tests")

    @register(registry, "part", Params)
    class Part:
        def __init__(self, params: Params) -> None:
            self.params = params

    part = build(registry, "part", OmegaConf.create({"sizes": [2, 3]}))
    assert isinstance(part, Part)
    assert part.params == Params([2, 3], 0.5)
    assert type(part.params.sizes) is list


def test_two_parts_of_one_name_are_refused() -> None:
    registry: Registry[Component[object]] = Registry("part", "core", "imu_video_har.tests")

    @dataclass
    class Params:
        pass

    register(registry, "part", Params)(type("First", (), {}))
    with pytest.raises(ValueError, match="two parts are named 'part'"):
        register(registry, "part", Params)(type("Second", (), {}))
