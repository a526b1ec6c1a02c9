from __future__ import annotations

import pytest
import torch

from encoders.video.heads import (
    MeanHead,
    MeanHeadParams,
    MiddleFrameHead,
    MiddleFrameHeadParams,
    TemporalHead,
    TemporalHeadParams,
    differences,
)


def test_differences_of_a_steady_movement_are_its_speed() -> None:
    times = torch.tensor([[0.0, 0.5, 0.7, 1.7]])
    mask = torch.ones(1, 4, dtype=torch.bool)
    since, until = differences(3 * times.unsqueeze(2), times, mask, per_s=0.5)
    torch.testing.assert_close(since.flatten(), torch.tensor([0.0, 1.5, 1.5, 1.5]))
    torch.testing.assert_close(until.flatten(), torch.tensor([1.5, 1.5, 1.5, 0.0]))


def test_differences_to_a_missing_or_simultaneous_frame_are_zero() -> None:
    times = torch.tensor([[0.0, 0.5, 1.0, 1.0, 1.5]])
    mask = torch.tensor([[True, False, True, True, True]])
    since, _ = differences(torch.randn(1, 5, 2), times, mask, per_s=0.5)
    assert (since[0, :4] == 0).all()
    assert (since[0, 4] != 0).all()


def test_the_order_of_frames_matters() -> None:
    head = TemporalHead(TemporalHeadParams(width=32), 8).eval()
    features, mask = torch.randn(2, 6, 8), torch.ones(2, 6, dtype=torch.bool)
    times = torch.arange(6.0).expand(2, 6) * 0.5
    assert not torch.allclose(head(features, times, mask).pooled, head(features.flip(1), times, mask).pooled, atol=1e-3)


def test_standard_input_uses_the_given_statistics_and_keeps_them() -> None:
    params = TemporalHeadParams(width=32, input_norm="standard")
    head, features = TemporalHead(params, 8).eval(), torch.randn(2, 6, 8) * 3 + 5
    times, mask = torch.arange(6.0).expand(2, 6), torch.ones(2, 6, dtype=torch.bool)
    assert head(features, times, mask).pooled.isnan().any()  # not set: can't go unnoticed
    head.set_input_statistics(torch.full((8,), 5.0), torch.full((8,), 3.0))
    other = TemporalHead(params, 8).eval()
    other.load_state_dict(head.state_dict())
    assert torch.equal(other(features, times, mask).pooled, head(features, times, mask).pooled)
    plain = TemporalHead(TemporalHeadParams(width=32, input_norm="none"), 8).eval()
    plain.load_state_dict(head.state_dict(), strict=False)
    expected = plain((features - 5) / (3 + 1e-3), times, mask).pooled
    torch.testing.assert_close(head(features, times, mask).pooled, expected, rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="which has no statistics"):
        plain.set_input_statistics(torch.zeros(8), torch.ones(8))


def test_mean_head_is_the_mean_of_the_frames_that_are_there() -> None:
    features, mask = torch.randn(2, 3, 4), torch.tensor([[True, True, False], [True, True, True]])
    tokens, pooled = MeanHead(MeanHeadParams(), 4)(features, torch.zeros(2, 3), mask)
    torch.testing.assert_close(pooled[0], features[0, :2].mean(0))
    assert torch.equal(tokens[mask], features[mask])


@pytest.mark.parametrize(
    ("there", "expected"),
    [
        ([0, 1, 2, 3, 4], 2),
        ([0, 1, 2, 3], 2),  # four frames: the later of the two in the middle, which is n // 2
        ([0, 1, 3, 4, 5, 6, 7, 8, 9], 5),
        ([0, 1, 3, 4, 6, 9], 4),
        ([0, 1, 2, 7], 7),  # 2.5 from the middle, as frame 2 is
        ([9], 9),
    ],
)
def test_middle_frame_is_the_nearest_that_is_there(there: list[int], expected: int) -> None:
    count = 10 if max(there) > 4 else len(there)
    features, mask = torch.randn(1, count, 4), torch.zeros(1, count, dtype=torch.bool)
    mask[0, there] = True
    head = MiddleFrameHead(MiddleFrameHeadParams(), 4)
    tokens, pooled = head(features, torch.rand(1, count), mask)
    assert torch.equal(pooled[0], features[0, expected])
    assert torch.equal(tokens[mask], features[mask])
    assert not list(head.parameters())
    assert (head(features, torch.rand(1, count), torch.zeros_like(mask)).pooled == 0).all()


def test_half_precision_features_are_taken() -> None:
    features, mask = torch.randn(2, 3, 4).half(), torch.ones(2, 3, dtype=torch.bool)
    times = torch.arange(3, dtype=torch.float64).expand(2, 3)
    head = TemporalHead(TemporalHeadParams(width=16), 4)
    assert head(features, times, mask).pooled.dtype == torch.float32


def test_bad_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="kernel must be odd, found 4"):
        TemporalHead(TemporalHeadParams(kernel=4), 8)
    with pytest.raises(ValueError, match="input_norm must be"):
        TemporalHead(TemporalHeadParams(input_norm="batch"), 8)
