"""Every registered encoder and head keeps the contract; a new one is tested here without another line.

An encoder whose defaults can't be built offline names settings that can in ``OFFLINE``.
"""

from __future__ import annotations

import pytest
import torch
from helpers.made_video_models import SMALL
from helpers.waiting import Waiting

from encoders.contract import ImuEncoder, ImuInput
from encoders.registry import (
    build_imu_encoder,
    build_video_encoder,
    build_video_head,
    imu_encoders,
    video_encoders,
    video_heads,
)

OFFLINE: dict[str, dict[str, object]] = {
    "vit": {
        "weights": "random",
        "frame_size": 32,
        "kwargs": {"embed_dim": 32, "depth": 2, "num_heads": 2, "patch_size": 8},
    },
    **{name: {"weights": "random", "frame_size": 32, "config": config} for name, config in SMALL.items()},
}
IMU = ImuInput(samples=250, rate_hz=50.0)


def batch(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Four windows: whole, padded at its end, with a gap, and without a gyroscope."""
    imu = torch.randn(4, IMU.samples, 6, generator=torch.Generator().manual_seed(seed))
    channels = torch.ones(4, 6, dtype=torch.bool)
    samples = torch.ones(4, IMU.samples, dtype=torch.bool)
    samples[1, 130:] = False
    samples[2, 60:120] = False
    channels[3, 3:] = False
    return imu * samples.unsqueeze(2) * channels.unsqueeze(1), channels, samples


def imu_encoder_of(name: str) -> ImuEncoder:
    torch.manual_seed(0)
    return build_imu_encoder(name, OFFLINE.get(name, {}), IMU).eval()


@pytest.mark.parametrize("name", imu_encoders())
class TestImuEncoder:
    def test_training_asks_the_device_nothing(self, name: str) -> None:
        encoder = imu_encoder_of(name).train()
        given = batch()
        with Waiting() as waiting:
            features = encoder(*given)
            (features.tokens.sum() + features.pooled.sum()).backward()
        assert waiting.found == []

    def test_shapes_types_and_times(self, name: str) -> None:
        encoder = imu_encoder_of(name)
        tokens, times, mask, pooled = encoder(*batch())
        L = len(times)
        assert tokens.shape == (4, L, encoder.token_width)
        assert pooled.shape == (4, encoder.pooled_width)
        assert mask.shape == (4, L)
        assert tokens.dtype == pooled.dtype == torch.float32
        assert mask.dtype == torch.bool
        assert (times.diff() > 0).all()
        assert times[0] >= 0
        assert times[-1] <= IMU.duration_s
        assert torch.isfinite(tokens).all()
        assert torch.isfinite(pooled).all()

    def test_mask_follows_the_samples(self, name: str) -> None:
        _, times, mask, _ = imu_encoder_of(name)(*batch())
        assert mask.any(1).all()
        assert mask[0].all()
        assert not mask[1, times > 3.1].any()  # nothing after 2.6 s, and no token sees half a second ahead
        assert mask[1, times < 2.4].all()

    def test_invalid_values_do_not_matter(self, name: str) -> None:
        encoder = imu_encoder_of(name)
        imu, channels, samples = batch()
        noise = torch.where(samples.unsqueeze(2) & channels.unsqueeze(1), imu, 1e3)
        clean, dirty = encoder(imu, channels, samples), encoder(noise, channels, samples)
        # The very same arithmetic runs on the very same numbers.
        assert torch.equal(clean.tokens[clean.token_mask], dirty.tokens[dirty.token_mask])
        assert torch.equal(clean.pooled, dirty.pooled)

    def test_rows_are_independent(self, name: str) -> None:
        encoder = imu_encoder_of(name)
        imu, channels, samples = batch()
        together = encoder(imu, channels, samples).pooled
        alone = torch.cat([encoder(*(x[i : i + 1] for x in (imu, channels, samples))).pooled for i in range(4)])
        torch.testing.assert_close(alone, together, rtol=1e-4, atol=1e-5)  # batched products sum in another order

    def test_each_token_group_is_about_its_channels(self, name: str) -> None:
        encoder = imu_encoder_of(name)
        groups = encoder.token_groups
        assert encoder.token_width % groups == 0
        assert IMU.channels % groups == 0
        imu, channels, samples = batch()
        before = encoder(imu, channels, samples).tokens.unflatten(2, (groups, -1))
        share = IMU.channels // groups
        for group in range(groups):
            other = imu.clone()
            other[:, :, group * share : (group + 1) * share] **= 3
            after = encoder(other, channels, samples).tokens.unflatten(2, (groups, -1))
            changed = (after - before).abs().amax((0, 1, 3)) > 1e-4  # float32 noise is far below
            assert changed.tolist() == [g == group for g in range(groups)]

    def test_gradients_are_finite_and_reach_every_weight(self, name: str) -> None:
        encoder = imu_encoder_of(name).train()
        features = encoder(*batch())
        (features.tokens.square().mean() + features.pooled.square().mean()).backward()
        for weight_name, weight in encoder.named_parameters():
            if weight.requires_grad:
                assert weight.grad is not None, weight_name
                assert torch.isfinite(weight.grad).all(), weight_name

    def test_a_window_without_samples_gives_no_nan(self, name: str) -> None:
        encoder = imu_encoder_of(name).train()
        imu, channels, samples = batch()
        samples[0] = False
        features = encoder(imu, channels, samples)
        features.pooled.sum().backward()
        assert torch.isfinite(features.tokens).all()
        assert torch.isfinite(features.pooled).all()
        assert all(torch.isfinite(w.grad).all() for w in encoder.parameters() if w.grad is not None)

    def test_weights_survive_a_state_dict(self, name: str) -> None:
        encoder, other = imu_encoder_of(name), build_imu_encoder(name, OFFLINE.get(name, {}), IMU).eval()
        other.load_state_dict(encoder.state_dict())
        assert torch.equal(encoder(*batch()).pooled, other(*batch()).pooled)


@pytest.mark.parametrize("name", video_encoders())
class TestVideoEncoder:
    def test_shapes_masks_and_fingerprint(self, name: str) -> None:
        encoder = build_video_encoder(name, OFFLINE.get(name, {})).eval()
        side = encoder.frame_size
        frames = torch.randint(0, 256, (2, 3, 3, side, side), dtype=torch.uint8)
        mask = torch.tensor([[True, True, True], [True, False, False]])
        tokens, pooled = encoder(frames, mask)
        assert tokens.shape == (2, 3, encoder.token_width)
        assert pooled.shape == (2, encoder.pooled_width)
        assert tokens.dtype == pooled.dtype == torch.float32
        assert torch.isfinite(tokens).all()
        assert torch.isfinite(pooled).all()
        frames[1, 1:] = 255 - frames[1, 1:]
        again = encoder(frames, mask)
        assert torch.equal(again.pooled, pooled)
        assert torch.equal(again.frame_tokens[mask], tokens[mask])
        assert encoder.fingerprint() == encoder.fingerprint()
        assert len(bytes.fromhex(encoder.fingerprint())) >= 16


@pytest.mark.parametrize("name", video_heads())
class TestVideoHead:
    def test_shapes_and_masks(self, name: str) -> None:
        head = build_video_head(name, {}, 24).eval()
        features = torch.randn(3, 5, 24)
        times = torch.arange(5.0).repeat(3, 1) * 0.5
        mask = torch.tensor([[True] * 5, [True] * 2 + [False] * 3, [False] * 5])
        tokens, pooled = head(features, times, mask)
        assert tokens.shape == (3, 5, head.token_width)
        assert pooled.shape == (3, head.pooled_width)
        assert torch.isfinite(tokens).all()
        assert torch.isfinite(pooled).all()
        spoilt = head(torch.where(mask.unsqueeze(2), features, torch.nan), torch.where(mask, times, torch.nan), mask)
        assert torch.equal(spoilt.pooled, pooled)
        assert torch.equal(spoilt.frame_tokens, tokens)
        # Padding a clip changes nothing: other shapes sum in another order, hence the tolerance.
        short = head(features[1:2, :2], times[1:2, :2], mask[1:2, :2])
        torch.testing.assert_close(short.pooled, pooled[1:2], rtol=1e-4, atol=1e-5)
