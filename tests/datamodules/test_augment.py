"""Augmentations keep the physics that they say they keep."""

import math

import pytest
import torch

from datamodules.augment import ImuAugmentation, random_rotation

RATE_HZ = 50.0


def _window(batch: int = 4, samples: int = 250) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    times = torch.arange(samples) / RATE_HZ
    phase = torch.arange(batch)[:, None, None] * 0.3
    imu = torch.sin(times[None, :, None] * torch.arange(1, 7) + phase)
    frame_times = (torch.arange(10) + 0.5).expand(batch, -1) * 0.5
    return imu, torch.ones(batch, samples, dtype=torch.bool), frame_times


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_all_off_changes_nothing() -> None:
    imu, mask, frame_times = _window()
    seen, seen_mask, seen_times = ImuAugmentation()(imu, mask, frame_times, RATE_HZ, _generator())
    assert torch.equal(seen, imu)
    assert torch.equal(seen_mask, mask)
    assert torch.equal(seen_times, frame_times)


def test_rotation_matrices_are_rotations() -> None:
    turn = random_rotation(100, 60.0, _generator())
    # float32 products of unit vectors: 1e-5 is some 100 roundings.
    torch.testing.assert_close(turn @ turn.transpose(1, 2), torch.eye(3).expand(100, 3, 3), atol=1e-5, rtol=0)
    torch.testing.assert_close(torch.linalg.det(turn), torch.ones(100), atol=1e-5, rtol=0)


def test_rotation_turns_both_sensors_together() -> None:
    imu, mask, frame_times = _window()
    seen, _, _ = ImuAugmentation(rotation_deg=40)(imu, mask, frame_times, RATE_HZ, _generator())
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
    augment = ImuAugmentation(shift_s=0.3, time_warp=0.15)
    seen, seen_mask, seen_times = augment(imu, mask, frame_times, RATE_HZ, _generator())
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
    seen, seen_mask, seen_times = ImuAugmentation(time_warp=0.15)(imu, mask, frame_times, RATE_HZ, _generator())
    speed = (frame_times[:, 1] - frame_times[:, 0]) / (seen_times[:, 1] - seen_times[:, 0])
    for window in range(64):
        valid = seen[window][seen_mask[window]]
        torch.testing.assert_close(valid[:, 3], speed[window].expand(len(valid)), atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(valid[:, 0], torch.ones(len(valid)), atol=1e-6, rtol=0)
    assert speed.min() < 0.95
    assert speed.max() > 1.05


def test_nothing_is_made_up_outside_the_mask() -> None:
    imu, mask, frame_times = _window(32)
    mask = mask.clone()
    mask[:, 150:] = False
    imu = imu * mask[..., None]
    everything = ImuAugmentation(20, 0.1, 0.1, 0.3, 0.15, 0.2)
    seen, seen_mask, _ = everything(imu, mask, frame_times, RATE_HZ, _generator())
    assert (seen[~seen_mask] == 0).all()
    assert seen_mask.any(dim=1).all()
    assert (seen_mask.sum(1) < 190).all()


def test_same_generator_same_view() -> None:
    imu, mask, frame_times = _window()
    everything = ImuAugmentation(20, 0.1, 0.1, 0.3, 0.15, 0.2)
    first = everything(imu, mask, frame_times, RATE_HZ, _generator(5))
    second = everything(imu, mask, frame_times, RATE_HZ, _generator(5))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
