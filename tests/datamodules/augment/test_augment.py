"""Augmentations keep the physics that they say they keep."""

import math
from collections.abc import Sized

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from core.settings import SettingError
from datamodules.augment import AugmentationError, AugmentSettings, Draws, ImuAugmentation
from datamodules.augment.draws import window_keys
from datamodules.augment.rotation import orientations, random_rotation, rotation_about, turned, uniform_rotation

RATE_HZ = 50.0
EVERYTHING = ImuAugmentation(
    AugmentSettings.only(
        rotation_deg=20,
        noise=0.1,
        scale=0.1,
        shift_s=0.3,
        time_warp=0.15,
        trim=0.2,
        rotation_about_gravity=0.5,
        rotation_any=0.5,
        accelerometer_noise=0.01,
        gyroscope_noise=0.001,
        accelerometer_bias=0.3,
        gyroscope_bias=0.02,
        drop_gyroscope=0.5,
        placement_jitter_cm=5,
    )
)


def _window(batch: int = 4, samples: int = 250) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    times = torch.arange(samples) / RATE_HZ
    phase = torch.arange(batch)[:, None, None] * 0.3
    imu = torch.sin(times[None, :, None] * torch.arange(1, 7) + phase)
    frame_times = (torch.arange(10) + 0.5).expand(batch, -1) * 0.5
    return imu, torch.ones(batch, samples, dtype=torch.bool), frame_times


def _all(imu: torch.Tensor) -> torch.Tensor:
    return torch.ones(len(imu), 6, dtype=torch.bool)


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _draws(windows: Sized, seed: int = 0) -> Draws:
    return Draws(window_keys(seed, 0, np.arange(len(windows))))


def test_all_off_changes_nothing() -> None:
    imu, mask, frame_times = _window()
    seen, seen_mask, _, seen_times = ImuAugmentation(AugmentSettings.only())(
        imu, mask, _all(imu), frame_times, RATE_HZ, _draws(imu)
    )
    assert torch.equal(seen, imu)
    assert torch.equal(seen_mask, mask)
    assert torch.equal(seen_times, frame_times)


def test_rotation_matrices_are_rotations() -> None:
    turn = random_rotation(60.0, _draws(range(100)))
    # float32 products of unit vectors: 1e-5 is some 100 roundings.
    torch.testing.assert_close(turn @ turn.transpose(1, 2), torch.eye(3).expand(100, 3, 3), atol=1e-5, rtol=0)
    torch.testing.assert_close(torch.linalg.det(turn), torch.ones(100), atol=1e-5, rtol=0)


def test_rotation_turns_both_sensors_together() -> None:
    imu, mask, frame_times = _window()
    seen, *_ = ImuAugmentation(AugmentSettings.only(rotation_deg=40))(
        imu, mask, _all(imu), frame_times, RATE_HZ, _draws(imu)
    )
    for before, after in ((imu[..., :3], seen[..., :3]), (imu[..., 3:], seen[..., 3:])):
        torch.testing.assert_close(after.norm(dim=-1), before.norm(dim=-1), atol=1e-5, rtol=1e-5)
    # What is invariant only if both turn by the same rotation: their scalar product.
    dot_before = (imu[..., :3] * imu[..., 3:]).sum(-1)
    dot_after = (seen[..., :3] * seen[..., 3:]).sum(-1)
    torch.testing.assert_close(dot_after, dot_before, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(seen, imu, atol=1e-2)


def test_frames_stay_with_what_the_imu_measured() -> None:
    """Channel 0 holds its own sample's time; at a frame's new time it must read the frame's old time."""
    imu, mask, frame_times = _window()
    imu = imu.clone()
    imu[..., 0] = torch.arange(250) / RATE_HZ
    augment = ImuAugmentation(AugmentSettings.only(shift_s=0.3, time_warp=0.15, warp_acceleration=False))
    seen, seen_mask, _, seen_times = augment(imu, mask, _all(imu), frame_times, RATE_HZ, _draws(imu))
    assert not torch.allclose(seen_times, frame_times, atol=1e-2)
    checked = 0
    for window in range(len(imu)):
        for old, new in zip(frame_times[window], seen_times[window], strict=True):
            position = float(new) * RATE_HZ
            low = math.floor(position)
            if low < 0 or low + 1 >= 250 or not bool(seen_mask[window, low] & seen_mask[window, low + 1]):
                continue
            share = position - low
            read = (1 - share) * seen[window, low, 0] + share * seen[window, low + 1, 0]
            # Linear in time, so linear interpolation is exact up to float32.
            assert float(read) == pytest.approx(float(old), abs=1e-4)
            checked += 1
    assert checked > 25


def test_warp_multiplies_the_angular_rate() -> None:
    imu, mask, frame_times = _window(64)
    imu = torch.ones_like(imu)
    seen, seen_mask, _, seen_times = ImuAugmentation(AugmentSettings.only(time_warp=0.15))(
        imu, mask, _all(imu), frame_times, RATE_HZ, _draws(imu)
    )
    speed = (frame_times[:, 1] - frame_times[:, 0]) / (seen_times[:, 1] - seen_times[:, 0])
    for window in range(64):
        valid = seen[window][seen_mask[window]]
        torch.testing.assert_close(valid[:, 3], speed[window].expand(len(valid)), atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(valid[:, 0], torch.ones(len(valid)), atol=1e-6, rtol=0)
    assert speed.min() < 0.95
    assert speed.max() > 1.05


def test_nothing_is_made_up_outside_the_masks() -> None:
    imu, mask, frame_times = _window(32)
    mask = mask.clone()
    mask[:, 150:] = False
    mask[::4, 60:80] = False
    channels = _all(imu)
    channels[:8, 3:] = False
    channels[8:12, 1] = False
    channels[12:16, 5] = False
    imu = imu * mask[..., None] * channels[:, None]
    seen, seen_mask, seen_channels, _ = EVERYTHING(imu, mask, channels, frame_times, RATE_HZ, _draws(imu))
    assert (seen[~seen_mask] == 0).all()
    assert (seen.transpose(1, 2)[~seen_channels] == 0).all()
    assert not (seen_channels & ~channels).any()
    assert seen_mask.any(dim=1).all()
    assert (seen_mask.sum(1) < 190).all()
    assert torch.isfinite(seen).all()


def test_same_draws_same_view() -> None:
    imu, mask, frame_times = _window(16)
    first, again, other = (
        EVERYTHING(imu, mask, _all(imu), frame_times, RATE_HZ, _draws(imu, seed)) for seed in (5, 5, 6)
    )
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first.imu, other.imu)


def test_draws_leave_the_global_generator_alone() -> None:
    imu, mask, frame_times = _window()
    before = torch.get_rng_state()
    EVERYTHING(imu, mask, _all(imu), frame_times, RATE_HZ, _draws(imu))
    assert torch.equal(torch.get_rng_state(), before)


def test_the_input_is_left_alone() -> None:
    imu, mask, frame_times = _window()
    channels = _all(imu)
    kept = [tensor.clone() for tensor in (imu, mask, channels, frame_times)]
    EVERYTHING(imu, mask, channels, frame_times, RATE_HZ, _draws(imu))
    assert all(torch.equal(a, b) for a, b in zip(kept, (imu, mask, channels, frame_times), strict=True))


@pytest.mark.parametrize("share", ["rotation_about_gravity", "rotation_any"])
def test_every_rotation_turns_both_sensors_together(share: str) -> None:
    imu, mask, frame_times = _window(16)
    imu[..., 2] += 1
    augment = ImuAugmentation(AugmentSettings.only(rotation_deg=10, **{share: 1.0}))
    seen = augment(imu, mask, _all(imu), frame_times, RATE_HZ, _draws(imu)).imu
    # Lengths and angles within and between the sensors, at all times, are what a common rotation keeps.
    both = [torch.cat([x[..., :3], x[..., 3:]], dim=1) for x in (imu, seen)]
    before, after = (x @ x.transpose(1, 2) for x in both)
    torch.testing.assert_close(after, before, atol=2e-5, rtol=1e-5)  # sums of 3 products of float32 of size 3
    # ... and of a mirror image, which triple products tell apart.
    volume = [torch.linalg.det(x[:, [10, 90, 170], :3]) for x in (imu, seen)]
    torch.testing.assert_close(volume[1], volume[0], atol=1e-4, rtol=1e-4)
    assert ((seen - imu).abs().amax(dim=(1, 2)) > 0.05).float().mean() > 0.9


def test_heading_rotation_keeps_the_vertical() -> None:
    imu, mask, frame_times = _window(64)
    imu[..., :3] = 0.1 * imu[..., :3] + torch.tensor([0.6, 0.0, 0.8])
    mask = mask.clone()
    mask[:, 200:] = False
    imu = imu * mask[..., None]
    augment = ImuAugmentation(AugmentSettings.only(rotation_about_gravity=1))
    seen = augment(imu, mask, _all(imu), frame_times, RATE_HZ, _draws(imu)).imu
    vertical, still = imu[..., :3].sum(1) / 200, seen[..., :3].sum(1) / 200
    torch.testing.assert_close(still, vertical, atol=1e-5, rtol=0)  # means of 200 float32 of size 1
    up = torch.nn.functional.normalize(vertical, dim=1)[:, None]
    for part in (slice(0, 3), slice(3, 6)):
        heights = [(x[..., part] * up).sum(-1) for x in (imu, seen)]
        torch.testing.assert_close(heights[1], heights[0], atol=1e-5, rtol=0)
    # Any angle: the horizontal part of the first sample's rate goes all around.
    flat = [x[:, 5, 3:] - (x[:, 5, 3:] * up[:, 0]).sum(-1, keepdim=True) * up[:, 0] for x in (imu, seen)]
    cosine = torch.nn.functional.cosine_similarity(flat[0], flat[1])
    assert cosine.min() < -0.8
    assert cosine.max() > 0.8


def test_no_vertical_no_heading() -> None:
    """In free fall, or without an accelerometer, there is no axis; the window stays as it is."""
    imu, mask, frame_times = _window(3)
    imu[0, :, :3] *= 0.01
    imu[1, :, 2] += 1
    imu[1, :, 0] = 0
    imu[2, :, 2] += 1
    channels = _all(imu)
    channels[1, 0] = False
    seen = ImuAugmentation(AugmentSettings.only(rotation_about_gravity=1))(
        imu, mask, channels, frame_times, RATE_HZ, _draws(imu)
    ).imu
    assert torch.equal(seen[:2], imu[:2])
    assert not torch.allclose(seen[2], imu[2], atol=0.1)


def test_any_rotation_is_uniform() -> None:
    """Under the Haar measure each axis' image is uniform on the sphere, and E[trace^2] is 1 (that of SO(3))."""
    turn = uniform_rotation(_draws(range(20000)))
    torch.testing.assert_close(turn @ turn.transpose(1, 2), torch.eye(3).expand(20000, 3, 3), atol=1e-5, rtol=0)
    # Entries are uniform in -1..1, with variance 1/3: their means over 20000 lie within 4 * 0.0041 of 0.
    assert turn.mean(dim=0).abs().max() < 0.017
    assert (turn.square().mean(dim=0) - 1 / 3).abs().max() < 0.01
    trace = turn.diagonal(dim1=1, dim2=2).sum(1)
    assert abs(float(trace.square().mean()) - 1) < 0.04  # four times its standard error of 0.01


@pytest.mark.parametrize("share", [0.25, 1.0])
def test_shares_are_of_windows(share: float) -> None:
    imu, mask, frame_times = _window(2000, 20)
    imu[..., 2] += 3
    for augment in (
        ImuAugmentation(AugmentSettings.only(rotation_about_gravity=share)),
        ImuAugmentation(AugmentSettings.only(rotation_any=share)),
    ):
        seen = augment(imu, mask, _all(imu), frame_times, RATE_HZ, _draws(imu)).imu
        same = (seen == imu).all(dim=(1, 2))
        assert abs(float((~same).float().mean()) - share) < 0.04  # four standard errors of 2000 draws


def test_orientations_add_up_to_a_constant_turn() -> None:
    axis = torch.tensor([[0.0, 0.6, 0.8]])
    rate = (2.0 * axis)[:, None].expand(1, 301, 3)
    way = orientations(rate, 100.0)
    vector = torch.tensor([1.0, 0.0, 0.0]).expand(1, 301, 3)
    expected = rotation_about(axis.expand(301, 3), 2.0 * torch.arange(301) / 100) @ vector[0, ..., None]
    # 300 products of float32 quaternions.
    torch.testing.assert_close(turned(way, vector)[0], expected[..., 0], atol=1e-4, rtol=0)


@given(st.integers(1, 70), st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_orientations_by_doubling_are_those_step_by_step(samples: int, seed: int) -> None:
    rate = torch.randn(2, samples, 3, generator=_generator(seed), dtype=torch.float32) * 5
    vector = torch.randn(2, samples, 3, generator=_generator(seed + 1))
    way = orientations(rate, 20.0)
    for window in range(2):
        turn = torch.eye(3)
        for t in range(samples):
            if t:
                step = (rate[window, t - 1] + rate[window, t]) / 40
                turn = turn @ rotation_about(step[None] / step.norm(), step.norm()[None])[0]
            torch.testing.assert_close(turned(way, vector)[window, t], turn @ vector[window, t], atol=1e-4, rtol=0)


def test_noise_and_bias_have_their_physical_size() -> None:
    imu, frame_times = torch.zeros(4000, 50, 6), torch.zeros(4000, 1)
    mask = torch.ones(4000, 50, dtype=torch.bool)
    levels = {"accelerometer_noise": 0.02, "gyroscope_noise": 0.003, "accelerometer_bias": 0.2, "gyroscope_bias": 0.01}
    for normalisation, units in (("physical", (9.80665, math.pi)), ("none", (1.0, 1.0))):
        augment = ImuAugmentation(AugmentSettings.only(**levels), normalisation=normalisation)
        seen = augment(imu, mask, _all(imu), frame_times, RATE_HZ, _draws(imu)).imu
        for part, name, unit in ((seen[..., :3], "accelerometer", units[0]), (seen[..., 3:], "gyroscope", units[1])):
            mean = part.mean(dim=1, keepdim=True)
            # 12000 draws: 0.7 % of a standard deviation; a mean over 50 samples keeps 1/50 of the noise's variance.
            assert float(mean.std() * unit) == pytest.approx(levels[f"{name}_bias"], rel=0.04)
            deviation = (part - mean).square().sum(dim=(1, 2)).div(49 * 3).sqrt() * unit
            most = levels[f"{name}_noise"] * math.sqrt(RATE_HZ / 2)
            # Uniform between windows: the mean is half of the most, and the most is nearly reached.
            assert float(deviation.mean()) == pytest.approx(most / 2, rel=0.05)
            assert 0.9 * most < float(deviation.max()) < 1.2 * most


def test_gyroscopes_are_dropped_whole_and_only_beside_an_accelerometer() -> None:
    imu, mask, frame_times = _window(1000, 20)
    channels = _all(imu)
    channels[:100, :3] = False
    imu = imu * channels[:, None]
    augment = ImuAugmentation(AugmentSettings.only(drop_gyroscope=0.3))
    seen, _, seen_channels, _ = augment(imu, mask, channels, frame_times, RATE_HZ, _draws(imu))
    lost = ~seen_channels[:, 3:].any(dim=1)
    assert torch.equal(lost, ~seen_channels[:, 3:].all(dim=1))
    assert not lost[:100].any()
    assert torch.equal(seen_channels[:, :3], channels[:, :3])
    assert abs(float(lost[100:].float().mean()) - 0.3) < 0.06  # four standard errors of 900 draws
    assert (seen[lost][..., 3:] == 0).all()
    assert torch.equal(seen[lost][..., :3], imu[lost][..., :3])
    assert torch.equal(seen[~lost], imu[~lost])


def test_a_window_of_which_nothing_would_be_left_stays() -> None:
    imu, mask, frame_times = _window(8)
    mask = torch.zeros_like(mask)
    mask[:, 3] = True  # one sample: between two times of the view, nearly always
    imu = imu * mask[..., None]
    augment = ImuAugmentation(AugmentSettings.only(time_warp=0.15, shift_s=0.3))
    assert all(
        torch.equal(a, b)
        for a, b in zip(
            augment(imu, mask, _all(imu), frame_times, RATE_HZ, _draws(imu)),
            (imu, mask, _all(imu), frame_times),
            strict=True,
        )
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rotation_any": 1.5}, "augment.rotation_any: expected a number at least 0 and at most 1, found 1.5"),
        ({"drop_gyroscope": -0.1}, "augment.drop_gyroscope: .*found -0.1"),
        ({"trim": 0.6}, "augment.trim: expected a number at least 0 and at most 0.5, found 0.6"),
        ({"noise": math.nan}, "augment.noise: expected a number at least 0, found nan"),
        ({"normalisation": "minmax"}, "'minmax'; expected one of physical, window, none"),
        ({"placement_jitter_cm": 3.0, "normalisation": "window"}, "augment.placement_jitter_cm is 3.0, but under"),
        ({"gyroscope_bias": 0.1, "normalisation": "window"}, "'physical' or 'none'"),
    ],
)
def test_what_cannot_be_is_refused(change: dict[str, object], message: str) -> None:
    normalisation = str(change.pop("normalisation", "physical"))
    with pytest.raises((AugmentationError, SettingError), match=message):
        ImuAugmentation(AugmentSettings.only(**change), normalisation)


def test_the_default_recipe_is_for_every_normalisation() -> None:
    imu, mask, frame_times = _window()
    for normalisation in ("physical", "window", "none"):
        augment = ImuAugmentation(AugmentSettings(), normalisation=normalisation)
        seen = augment(imu, mask, _all(imu), frame_times, RATE_HZ, _draws(imu)).imu
        assert torch.isfinite(seen).all()


def test_only_switches_everything_else_off() -> None:
    for name in vars(AugmentSettings()):
        levels = {**vars(AugmentSettings.only()), name: 0.25}
        assert vars(AugmentSettings.only(**{name: 0.25})) == levels
    assert not any(vars(AugmentSettings.only()).values())
