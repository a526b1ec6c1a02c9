"""Gravity-aligned channels: a closed form, what no rotation changes, masks, and encoders that are given them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from helpers.waiting import Waiting
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from torch import Tensor

from core.registry import UnknownNameError
from core.settings import SettingError
from encoders.contract import ImuEncoder, ImuInput
from encoders.layers.orientation import ALIGNED_CHANNELS, GravityAligned, OrientedEncoder, horizontal_basis
from encoders.registry import build_imu_encoder

SHAPE = ImuInput(100, 50.0)
SMALL: dict[str, dict[str, object]] = {
    "cnn_transformer": {"width": 16, "depth": 1, "heads": 2, "stem_channels": [8, 16]},
    "conv_norms": {"channels": [8, 8], "kernels": [5, 3], "groups": 2},
    "patchtst": {"width": 8, "depth": 1, "heads": 2, "norm": "layer"},
}
CHOICES = [(name, choice) for name in SMALL for choice in ("raw+gravity", "gravity")]
AHEAD, SIDEWAYS, UP, ABOUT_AHEAD, ABOUT_SIDEWAYS, ABOUT_UP, HORIZONTAL, TURNING = range(len(ALIGNED_CHANNELS))
UNITS = st.floats(-1, 1, allow_nan=False, width=32)


def masks(windows: int, samples: int = SHAPE.samples) -> tuple[Tensor, Tensor]:
    return torch.ones(windows, 6, dtype=torch.bool), torch.ones(windows, samples, dtype=torch.bool)


def level(samples: int = 200) -> Tensor:
    """A sensor with z up that is pushed along x in short, hard pushes, in g and in the unit of angular rates."""
    t = torch.arange(samples, dtype=torch.float64) / samples
    pushes = torch.exp(-(((10 * t) % 1 - 0.5) ** 2) / 0.005)
    imu = torch.zeros(1, samples, 6, dtype=torch.float64)
    imu[0, :, 0] = pushes - pushes.mean()
    imu[0, :, 1] = 0.1 * torch.sin(2 * math.pi * 10 * t)
    imu[0, :, 2] = 1 + 0.2 * torch.sin(2 * math.pi * 20 * t)
    imu[0, :, 3:] = torch.stack([torch.sin(9 * t), torch.cos(7 * t), t], dim=1)
    imu[0, :, 1] -= imu[0, :, 1].mean()
    return imu.float()


def turned(imu: Tensor, turn: Rotation) -> Tensor:
    matrix = turn.as_matrix()
    parts = [imu[..., part].double().numpy() @ matrix.T for part in (slice(0, 3), slice(3, 6))]
    return torch.from_numpy(np.concatenate(parts, axis=-1)).float()


def aligned(
    imu: Tensor, channel_mask: Tensor | None = None, sample_mask: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    channels, samples = masks(len(imu), imu.shape[1])
    found: tuple[Tensor, Tensor] = GravityAligned(raw=False)(
        imu, channels if channel_mask is None else channel_mask, samples if sample_mask is None else sample_mask
    )
    return found


@st.composite
def rotations(draw: st.DrawFn) -> Rotation:
    quaternion = [draw(UNITS) for _ in range(4)]
    if sum(x * x for x in quaternion) < 0.01:
        quaternion[0] = 1.0
    return Rotation.from_quat(quaternion)


class TestFrame:
    def test_a_sensor_that_lies_level_is_already_in_the_frame(self) -> None:
        """Up is z, ahead is nearly x, and the pushes are towards it."""
        imu = level()
        found, mask = aligned(imu)
        assert mask.all()
        # The principal direction is off x by the covariance of x and y, here below 2 degrees.
        torch.testing.assert_close(found[..., :3], imu[..., :3], atol=0.04, rtol=0)
        torch.testing.assert_close(found[..., 3:6], imu[..., 3:], atol=0.04, rtol=0)
        # Exact but for rounding of float32.
        torch.testing.assert_close(found[..., HORIZONTAL], imu[..., :2].norm(dim=-1), atol=1e-5, rtol=0)
        torch.testing.assert_close(found[..., TURNING], imu[..., 3:5].norm(dim=-1), atol=1e-5, rtol=0)
        torch.testing.assert_close(found[..., UP], imu[..., 2], atol=1e-5, rtol=0)

    @given(turn=rotations())
    @settings(max_examples=60, deadline=None)
    def test_no_rotation_changes_any_channel(self, turn: Rotation) -> None:
        """To float32: values of 1, rounded to 6e-8 and summed over 200 samples; the directions are well apart."""
        imu = level()
        torch.testing.assert_close(aligned(turned(imu, turn))[0], aligned(imu)[0], atol=1e-4, rtol=0)

    @given(angle=st.floats(-math.pi, math.pi), seed=st.integers(0, 2**16))
    @settings(max_examples=40, deadline=None)
    def test_rotation_about_gravity_changes_no_channel_of_any_motion(self, angle: float, seed: int) -> None:
        generator = np.random.default_rng(seed)
        # Skewed noise, three times as strong along one direction: a heading whose sign is not left to chance.
        noise = generator.gamma(0.5, size=(1, 300, 6)) * np.array([1.5, 0.5, 0.5, 1, 1, 1])
        imu = torch.from_numpy(noise - noise.mean(1, keepdims=True) + np.array([0, 0, 4, 0, 0, 0])).float()
        up = np.array(imu[0, :, :3].double().mean(0))
        about = Rotation.from_rotvec(angle * up / np.linalg.norm(up))
        found, mask = aligned(imu)
        again, same = aligned(turned(imu, about))
        assert torch.equal(mask, same)
        # Values up to 10 in float32.
        torch.testing.assert_close(again, found, atol=2e-3, rtol=0)

    @given(turn=rotations())
    @settings(max_examples=60, deadline=None)
    def test_the_frame_is_a_rotation(self, turn: Rotation) -> None:
        """It keeps lengths, and the angle between acceleration and angular rate."""
        imu = turned(level(), turn)
        found, _ = aligned(imu)
        for part in (slice(0, 3), slice(3, 6)):
            torch.testing.assert_close(found[..., part].norm(dim=-1), imu[..., part].norm(dim=-1), atol=1e-5, rtol=0)
        dots = [(x[..., :3] * x[..., 3:6]).sum(-1) for x in (found, imu)]
        torch.testing.assert_close(*dots, atol=1e-5, rtol=0)
        crossed = [torch.linalg.det(torch.stack([x[0, i : i + 3, :3] for i in range(20)])) for x in (found, imu)]
        torch.testing.assert_close(*crossed, atol=1e-5, rtol=0)  # not a mirror

    @given(turn=rotations())
    @settings(max_examples=60, deadline=None)
    def test_basis(self, turn: Rotation) -> None:
        up = torch.from_numpy(turn.as_matrix()[:, 2:].T.copy()).float()
        frame = torch.stack([*horizontal_basis(up), up], dim=1)
        torch.testing.assert_close(frame @ frame.transpose(1, 2), torch.eye(3)[None], atol=1e-5, rtol=0)
        torch.testing.assert_close(torch.linalg.det(frame), torch.ones(1), atol=1e-5, rtol=0)

    def test_pushes_to_the_other_side_turn_the_heading(self) -> None:
        imu = level()
        other = imu * torch.tensor([-1.0, -1, 1, -1, -1, 1])  # by 180 degrees about the vertical
        torch.testing.assert_close(aligned(other)[0], aligned(imu)[0], atol=1e-5, rtol=0)


class TestMasks:
    def test_what_was_not_measured_does_not_matter(self) -> None:
        imu = level()
        samples = masks(1, 200)[1]
        samples[:, 150:] = False
        samples[:, 20:40] = False
        dirty = torch.where(samples[..., None], imu, torch.nan)
        found, mask = aligned(dirty, sample_mask=samples)
        only, _ = aligned(imu[:, samples[0]])
        torch.testing.assert_close(found[:, samples[0]], only, atol=1e-5, rtol=0)  # sums in another order
        assert (found[~samples] == 0).all()
        assert mask.all()

    def test_without_a_gyroscope(self) -> None:
        channels = masks(1)[0]
        channels[:, 3:] = False
        found, mask = aligned(level(), channel_mask=channels)
        assert mask[0].nonzero().flatten().tolist() == [AHEAD, SIDEWAYS, UP, HORIZONTAL]
        assert (found[..., [ABOUT_AHEAD, ABOUT_SIDEWAYS, ABOUT_UP, TURNING]] == 0).all()

    def test_no_direction_gives_zeros(self) -> None:
        """No mean, an axis missing, nothing measured, and all values zero."""
        imu = level().repeat(4, 1, 1)
        imu[0] -= imu[0].mean(0)
        imu[3] = 0
        channels, samples = masks(4, 200)
        channels[1, 1] = False
        samples[2] = False
        found, mask = aligned(imu, channels, samples)
        assert not mask.any()
        assert (found == 0).all()

    def test_at_rest_there_is_a_vertical_and_no_heading(self) -> None:
        imu = torch.zeros(1, 100, 6)
        imu[..., 1] = -1
        imu[..., :3] += 0.002 * torch.randn(1, 100, 3, generator=torch.Generator().manual_seed(0))
        found, mask = aligned(imu)
        assert mask[0].nonzero().flatten().tolist() == [UP, ABOUT_UP, HORIZONTAL, TURNING]
        assert found[..., UP].mean() == pytest.approx(1, abs=1e-3)

    def test_motion_that_is_alike_in_all_directions_has_no_heading(self) -> None:
        t = 2 * math.pi * torch.arange(100) / 100
        imu = torch.zeros(1, 100, 6)
        imu[0, :, :3] = torch.stack([torch.cos(t), torch.sin(t), torch.ones(100)], dim=1)
        found, mask = aligned(imu)
        assert mask[0].nonzero().flatten().tolist() == [UP, ABOUT_UP, HORIZONTAL, TURNING]
        torch.testing.assert_close(found[..., HORIZONTAL], torch.ones(1, 100), atol=1e-5, rtol=0)

    def test_raw_channels_stay_in_front(self) -> None:
        imu, (channels, samples) = level(), masks(1, 200)
        both, mask = GravityAligned(raw=True)(imu, channels, samples)
        assert torch.equal(both[..., :6], imu)
        assert torch.equal(both[..., 6:], aligned(imu)[0])
        assert mask.shape == (1, 14)


def encoder(name: str, **params: object) -> ImuEncoder:
    torch.manual_seed(0)
    return build_imu_encoder(name, {**SMALL[name], **params}, SHAPE).eval()


class TestEncoders:
    @pytest.mark.parametrize("name", SMALL)
    def test_raw_is_the_encoder_itself(self, name: str) -> None:
        """Weights of a checkpoint from before there was the setting fit by name."""
        plain, named = encoder(name), encoder(name, orientation="raw")
        assert type(plain) is type(named)
        assert not isinstance(plain, OrientedEncoder)
        assert not any(key.startswith("encoder.") for key in plain.state_dict())
        named.load_state_dict(plain.state_dict())

    @pytest.mark.parametrize(("name", "choice"), CHOICES)
    def test_a_step_of_training(self, name: str, choice: str) -> None:
        made = encoder(name, orientation=choice).train()
        imu, (channels, samples) = level()[:, :100].repeat(3, 1, 1), masks(3)
        channels[1, 3:] = False
        samples[2] = False
        optimiser = torch.optim.SGD(made.parameters(), lr=0.1)
        with Waiting() as waiting:  # it asks the device nothing
            features = made(imu, channels, samples)
            (features.tokens.square().mean() + features.pooled.square().mean()).backward()
        assert waiting.found == []
        assert made.token_groups == 1
        assert features.tokens.shape == (3, len(features.token_times), made.token_width)
        assert features.pooled.shape == (3, made.pooled_width)
        assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in made.parameters())
        optimiser.step()
        assert torch.isfinite(made(imu, channels, samples).pooled).all()

    @pytest.mark.parametrize("name", SMALL)
    def test_no_rotation_changes_the_features_of_gravity_alone(self, name: str) -> None:
        turn = Rotation.from_rotvec([1.0, -2.0, 0.5])
        imu, given_masks = level()[:, :100], masks(1)
        made, plain = encoder(name, orientation="gravity"), encoder(name)
        before, after = made(imu, *given_masks).pooled, made(turned(imu, turn), *given_masks).pooled
        torch.testing.assert_close(after, before, atol=1e-3, rtol=0)  # float32 through the network
        change = plain(turned(imu, turn), *given_masks).pooled - plain(imu, *given_masks).pooled
        assert change.abs().max() > 0.02  # far above that

    def test_a_misspelt_choice_and_an_encoder_without_it(self) -> None:
        with pytest.raises(SettingError, match=r"imu_encoder\.params\.orientation: expected one of raw, raw\+gravity"):
            encoder("conv_norms", orientation="gravty")
        with pytest.raises(UnknownNameError, match="setting of IMU encoder 'conv_gru' called 'orientation'"):
            build_imu_encoder("conv_gru", {"orientation": "gravity"}, ImuInput(250, 50.0))
        with pytest.raises(ValueError, match="expected windows of 6 channels, found 3"):
            build_imu_encoder("conv_norms", {"orientation": "gravity"}, ImuInput(100, 50.0, 3))
