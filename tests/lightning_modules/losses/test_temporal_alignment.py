from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lightning_modules.losses.temporal_alignment import (
    TemporalAlignmentLoss,
    TemporalAlignmentParams,
    alignment_target,
)
from lightning_modules.losses.token_interpolation import interpolate_tokens, similarity_at
from lightning_modules.monitoring.clock_shift import alignment_error_ms, find_shift, recording_shift, shift_scores


def window(B: int = 3, L: int = 26, F: int = 10, D: int = 5) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(0)
    frame_times = torch.rand(B, F, generator=generator, dtype=torch.float64).sort(1).values * 5
    return (
        torch.randn(B, L, D, generator=generator, dtype=torch.float64),
        torch.arange(L, dtype=torch.float64) * 0.2,
        torch.ones(B, L, dtype=torch.bool),
        torch.randn(B, F, D, generator=generator, dtype=torch.float64),
        frame_times,
        torch.ones(B, F, dtype=torch.bool),
    )


@settings(max_examples=30, deadline=None)
@given(slope=st.floats(-5, 5), seed=st.integers(0, 99))
def test_interpolation_is_exact_on_a_line(slope: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    token_times = torch.rand(9, generator=generator, dtype=torch.float64).cumsum(0) + 0.1
    times = token_times[0] + torch.rand(2, 7, generator=generator, dtype=torch.float64) * (
        token_times[-1] - token_times[0]
    )
    tokens = (slope * token_times + 1)[None, :, None].expand(2, 9, 3)
    found, valid = interpolate_tokens(tokens, token_times, torch.ones(2, 9, dtype=torch.bool), times)
    assert valid.all()
    torch.testing.assert_close(found, (slope * times + 1).unsqueeze(2).expand(2, 7, 3))


def test_interpolation_at_masks_and_ends() -> None:
    tokens = torch.tensor([10.0, 20.0, 1e9, 40.0]).reshape(1, 4, 1)
    mask = torch.tensor([[True, True, False, True]])
    times = torch.tensor([[-0.6, -0.4, 0.5, 1.4, 1.6, 2.0, 2.6, 3.5, 3.6, math.nan]])
    found, valid = interpolate_tokens(tokens, torch.arange(4.0), mask, times)
    # The nearest token decides: half a step beyond the ends and beside a gap, and no further.
    assert valid[0, :9].tolist() == [False, True, True, True, False, False, True, True, False]
    torch.testing.assert_close(found[0, [1, 2, 3, 6, 7], 0], torch.tensor([10.0, 15.0, 20.0, 40.0, 40.0]))
    assert (found[~valid] == 0).all()


def test_interpolation_is_differentiable_and_takes_one_token() -> None:
    tokens, token_times, mask, _, times, _ = window(B=2, L=6, F=3, D=2)
    mask[0, 2] = False
    tokens.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: interpolate_tokens(x, token_times, mask, times)[0], (tokens,))
    one, valid = interpolate_tokens(tokens[:, :1], token_times[:1], mask[:, :1], times)
    assert valid.all()
    assert torch.equal(one, tokens[:, :1].expand(2, 3, 2))


@pytest.mark.parametrize("size", [1e-20, 1.0, 1e15])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_similarity_at_other_times_is_that_of_interpolated_tokens(size: float, dtype: torch.dtype) -> None:
    tokens, token_times, mask, frames, _, _ = window(B=2, L=9, F=4, D=5)
    mask[0, 3], mask[1, 7:] = False, False
    tokens, frames = size * tokens.to(dtype), torch.nn.functional.normalize(frames, dim=2).to(dtype)
    times = torch.linspace(-0.3, 2.0, 40, dtype=dtype).expand(2, -1)
    found, valid = similarity_at(tokens, token_times, mask, frames, times)
    slow, expected = interpolate_tokens(tokens, token_times, mask, times)
    assert torch.equal(valid, expected)
    unit = slow / slow.norm(dim=2, keepdim=True).where(valid.unsqueeze(2), torch.ones((), dtype=dtype))
    # The length comes from a sum in which neighbours may cancel, here down to about a tenth.
    torch.testing.assert_close(
        found, unit @ frames.transpose(1, 2), rtol=0, atol=1e-5 if dtype == torch.float32 else 1e-12
    )
    one, valid = similarity_at(tokens[:, :1], token_times[:1], mask[:, :1], frames, times)
    unit = torch.nn.functional.normalize(tokens[:, :1], dim=2)
    torch.testing.assert_close(one, (unit @ frames.transpose(1, 2)).expand(-1, 40, -1))
    assert valid.all()


def test_opposite_neighbours_have_no_direction_between_them_and_a_finite_gradient() -> None:
    tokens = torch.tensor([[[1.0, 0.0], [-1.0, 0.0]]], requires_grad=True)
    frames, mask = torch.tensor([[[1.0, 0.0]]]), torch.ones(1, 2, dtype=torch.bool)
    found, _ = similarity_at(tokens, torch.tensor([0.0, 1.0]), mask, frames, torch.tensor([[0.5]]))
    found.sum().backward()
    assert found.item() == 0
    assert tokens.grad is not None
    assert tokens.grad.isfinite().all()


@pytest.mark.parametrize("shape", ["gaussian", "band"])
def test_target_towards_zero_width_is_the_identity(shape: str) -> None:
    times = torch.tensor([[0.0, 0.1, 0.25, 1.0]])
    valid = torch.tensor([[True, True, True, False]])
    for width in (0.0, 1e-4):
        torch.testing.assert_close(
            alignment_target(times, valid, width, shape)[0], torch.diag(torch.tensor([1.0, 1.0, 1.0, 0.0]))
        )


def test_target_is_a_gaussian_in_time_over_valid_frames() -> None:
    times = torch.tensor([[0.0, 0.5, 0.7, 2.0]])
    valid = torch.tensor([[True, True, False, True]])
    target = alignment_target(times, valid, 0.5)
    weights = torch.tensor([1.0, math.exp(-0.5), 0.0, math.exp(-8.0)])
    torch.testing.assert_close(target[0, 0], weights / weights.sum())
    torch.testing.assert_close(target[0].sum(1), torch.tensor([1.0, 1.0, 0.0, 1.0]))
    wide = alignment_target(times, valid, 1e6)
    torch.testing.assert_close(wide[0, 0], torch.tensor([1.0, 1.0, 0.0, 1.0]) / 3)
    band = alignment_target(times, valid, 0.5, "band")
    torch.testing.assert_close(band[0, 1], torch.tensor([0.5, 0.5, 0.0, 0.0]))


def naive_loss(imu: Tensor, frames: Tensor, times: Tensor, width: float, temperature: float) -> float:
    """One window whose frames fall on tokens, row by row and column by column."""
    unit = imu / imu.norm(dim=1, keepdim=True), frames / frames.norm(dim=1, keepdim=True)
    s = (unit[0] @ unit[1].T) / temperature
    total = 0.0
    for i in range(len(times)):
        w = torch.exp(-((times[i] - times) ** 2) / (2 * width**2))
        w = w / w.sum()
        total += float(-(w * (s[i] - s[i].logsumexp(0))).sum() - (w * (s[:, i] - s[:, i].logsumexp(0))).sum()) / 2
    return total / len(times)


def test_loss_equals_the_formula() -> None:
    tokens, token_times, mask, frames, _, frame_mask = window(B=1)
    times = token_times[None, 3:23:2]
    loss = TemporalAlignmentLoss(TemporalAlignmentParams(width_s=0.3, temperature=0.2))
    found = loss(tokens, token_times, mask, frames, times, frame_mask)
    expected = naive_loss(tokens[0, 3:23:2], frames[0], times[0], 0.3, 0.2)
    assert found.item() == pytest.approx(expected, rel=1e-6)  # the temperature is a float32


def test_loss_closed_forms() -> None:
    loss = TemporalAlignmentLoss(TemporalAlignmentParams(width_s=0.0, temperature=0.1))
    times, mask = torch.arange(4.0), torch.ones(1, 4, dtype=torch.bool)
    eye = torch.eye(4)[None]
    aligned = loss(eye, times, mask, eye, times[None], mask)
    torch.testing.assert_close(aligned, torch.tensor(math.log(1 + 3 * math.exp(-10))), rtol=1e-3, atol=1e-7)
    same = torch.ones(1, 4, 4)
    torch.testing.assert_close(loss(same, times, mask, same, times[None], mask), torch.tensor(math.log(4)))


def test_gradients_in_float64() -> None:
    tokens, token_times, mask, frames, times, frame_mask = window(B=2, L=6, F=4, D=3)
    times, mask[0, 2], frame_mask[1, 1] = times / 5, False, False
    loss = TemporalAlignmentLoss().double()

    def value(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
        loss.log_scale.data = t.detach()
        return torch.func.functional_call(loss, {"log_scale": t}, (a, token_times, mask, b, times, frame_mask))

    inputs = (tokens.requires_grad_(), frames.requires_grad_(), torch.tensor(1.0).double().requires_grad_())
    assert torch.autograd.gradcheck(value, inputs)


def test_masked_frames_and_tokens_do_not_matter() -> None:
    tokens, token_times, mask, frames, times, frame_mask = window()
    frame_mask[0, 7:], mask[1, 20:] = False, False
    loss = TemporalAlignmentLoss()
    clean = loss(tokens, token_times, mask, frames, times, frame_mask)
    dirty_frames = torch.where(frame_mask.unsqueeze(2), frames, 1e3)
    dirty_times = torch.where(frame_mask, times, math.nan)
    dirty_tokens = torch.where(mask.unsqueeze(2), tokens, 1e3)
    assert torch.equal(loss(dirty_tokens, token_times, mask, dirty_frames, dirty_times, frame_mask), clean)
    order = torch.tensor([2, 0, 1])
    permuted = loss(*(x[order] if x.ndim > 1 else x for x in (tokens, token_times, mask, frames, times, frame_mask)))
    torch.testing.assert_close(permuted, clean)


def test_windows_with_fewer_than_two_valid_frames_contribute_nothing() -> None:
    tokens, token_times, mask, frames, times, frame_mask = window()
    frame_mask[0, 1:] = False
    loss = TemporalAlignmentLoss()
    whole = loss(tokens, token_times, mask, frames, times, frame_mask)
    rest = loss(tokens[1:], token_times, mask[1:], frames[1:], times[1:], frame_mask[1:])
    torch.testing.assert_close(whole, rest)
    tokens.requires_grad_()
    nothing = loss(tokens, token_times, mask, frames, times, torch.zeros_like(frame_mask))
    nothing.backward()
    assert float(nothing.detach()) == 0
    assert tokens.grad is not None
    assert (tokens.grad == 0).all()


def test_widths_are_checked() -> None:
    tokens, token_times, mask, frames, times, frame_mask = window()
    with pytest.raises(ValueError, match="IMU tokens are 5 wide, frame tokens 4"):
        TemporalAlignmentLoss()(tokens, token_times, mask, frames[..., :4], times, frame_mask)
    with pytest.raises(ValueError, match="must be 'gaussian' or 'band'"):
        alignment_target(times, frame_mask, 0.1, "box")


def smooth(times: Tensor) -> Tensor:
    """A unit-length signal that differs from moment to moment, (..., 8)."""
    rates = torch.tensor([0.7, 1.3, 2.1, 3.1], dtype=times.dtype)
    angles = times.unsqueeze(-1) * rates
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


@settings(max_examples=30, deadline=None)
@given(shift=st.floats(-0.9, 0.9), seed=st.integers(0, 99), masked=st.booleans())
def test_find_shift_recovers_a_planted_shift(shift: float, seed: int, masked: bool) -> None:
    generator = torch.Generator().manual_seed(seed)
    token_times = torch.arange(62, dtype=torch.float64) * 0.08 + 0.03
    frame_times = (torch.arange(20) + torch.rand(2, 20, generator=generator, dtype=torch.float64)) * 0.25
    # The token labelled t was measured at t - shift.
    tokens = smooth(token_times - shift).expand(2, -1, -1)
    frame_mask, token_mask = torch.ones(2, 20, dtype=torch.bool), torch.ones(2, 62, dtype=torch.bool)
    if masked:
        frame_mask[:, 14:], token_mask[:, :5] = False, False
    candidates = torch.arange(-1.0, 1.01, 0.1, dtype=torch.float64)
    found = find_shift(tokens, token_times, token_mask, smooth(frame_times), frame_times, frame_mask, candidates)
    # Candidates are 100 ms apart; parabolas and straight lines between tokens leave some ms.
    torch.testing.assert_close(found, torch.full((2,), shift, dtype=torch.float64), rtol=0, atol=0.01)


def test_alignment_error_is_small_for_a_perfect_model_and_large_for_none() -> None:
    generator = torch.Generator().manual_seed(0)
    token_times = torch.arange(62) * 0.08 + 0.03
    frame_times = torch.rand(64, 20, generator=generator).sort(1).values * 5
    masks = torch.ones(64, 62, dtype=torch.bool), torch.ones(64, 20, dtype=torch.bool)
    shifts = torch.rand(64, generator=generator) - 0.5
    candidates = torch.arange(-10, 11) * 0.1
    tokens, frames = smooth(token_times).expand(64, -1, -1), smooth(frame_times)
    good = alignment_error_ms(tokens, token_times, masks[0], frames, frame_times, masks[1], shifts, candidates)
    assert good.abs().max() < 10
    noise = torch.randn(64, 62, 8, generator=generator)
    bad = alignment_error_ms(noise, token_times, masks[0], frames, frame_times, masks[1], shifts, candidates)
    assert bad.abs().median() > 200


def test_find_shift_says_nan_where_nothing_can_be_compared() -> None:
    tokens, token_times, mask, frames, times, frame_mask = window()
    frame_mask[1, 1:] = False
    found = find_shift(tokens, token_times, mask, frames, times, frame_mask, torch.linspace(-1, 1, 11))
    assert found.isnan().tolist() == [False, True, False]


def test_find_shift_at_the_last_candidate_is_that_candidate() -> None:
    token_times, frame_times = torch.arange(62) * 0.08 + 0.03, torch.arange(20).expand(1, 20) * 0.25
    tokens = smooth(token_times - 0.5).unsqueeze(0)
    masks = torch.ones(1, 62, dtype=torch.bool), torch.ones(1, 20, dtype=torch.bool)
    for candidates in (torch.arange(-3, 5) * 0.1, torch.tensor([0.4]), torch.tensor([0.0, 0.4])):
        found = find_shift(tokens, token_times, masks[0], smooth(frame_times), frame_times, masks[1], candidates)
        torch.testing.assert_close(found, torch.tensor([0.4]))


def noisy_windows(shift: float, noise: float, count: int = 12) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Windows of one recording, for the functions of ``clock_shift`` and the loss."""
    generator = torch.Generator().manual_seed(3)
    token_times = torch.arange(62, dtype=torch.float64) * 0.08 + 0.03
    frame_times = ((torch.arange(20, dtype=torch.float64) + 0.5) * 0.25).expand(count, -1)
    start = 5.0 * torch.arange(count, dtype=torch.float64)[:, None]
    tokens = smooth(start + token_times - shift)
    tokens = tokens + noise * torch.randn(tokens.shape, generator=generator, dtype=torch.float64)
    masks = torch.ones(count, 62, dtype=torch.bool), torch.ones(count, 20, dtype=torch.bool)
    return tokens, token_times, masks[0], smooth(start + frame_times), frame_times, masks[1]


CANDIDATES = torch.arange(-10, 11, dtype=torch.float64) * 0.05


@pytest.mark.parametrize("kind", ["cosine", "likelihood"])
@pytest.mark.parametrize("shift", [-0.33, 0.0, 0.212])
def test_windows_of_a_recording_find_their_shift_together(kind: str, shift: float) -> None:
    arguments = noisy_windows(shift, 1.0)
    if kind == "cosine":
        scores = shift_scores(*arguments, CANDIDATES)
    else:
        scores = TemporalAlignmentLoss().log_likelihood(*arguments, CANDIDATES)[0]
    found = recording_shift(scores, CANDIDATES)
    single = torch.tensor([recording_shift(row[None], CANDIDATES).shift_s for row in scores])
    assert found.windows == 12
    # Noise is sqrt(8) times as long as the signal: together windows are better than alone, and know how good.
    assert abs(found.shift_s - shift) < min(3 * found.spread_s, float((single - shift).square().mean().sqrt()))
    assert found.spread_s < 0.06
    clean = recording_shift(shift_scores(*noisy_windows(shift, 0.0), CANDIDATES), CANDIDATES)
    assert clean.shift_s == pytest.approx(shift, abs=0.003)  # the parabola's error, of candidates 50 ms apart
    assert clean.spread_s < 0.003


def test_spread_is_that_of_many_recordings() -> None:
    """Scores are parabolas about a shift of each window: their sum peaks at the mean, whose error is known."""
    generator = torch.Generator().manual_seed(0)
    own = 0.1 * torch.randn(25, 1, generator=generator, dtype=torch.float64)
    scores = -(CANDIDATES - own).square()
    found = recording_shift(scores, CANDIDATES, resamples=2000)
    assert found.shift_s == pytest.approx(own.mean().item(), abs=1e-9)
    # The standard deviation of 2000 resamples is itself known to 1 / sqrt(4000) = 1.6 %.
    assert found.spread_s == pytest.approx(own.std(correction=0).item() / 5, rel=0.06)


def test_windows_that_say_nothing_have_no_vote() -> None:
    scores = -(CANDIDATES - 0.1).square().expand(3, -1).clone()
    scores[1] = -torch.inf
    scores[2, :4] = -torch.inf
    found = recording_shift(scores, CANDIDATES)
    assert found.windows == 2
    assert found.shift_s == pytest.approx(0.1, abs=1e-9)
    none = recording_shift(scores[1:2], CANDIDATES)
    assert none.windows == 0
    assert math.isnan(none.shift_s)
    one = recording_shift(scores[:1], CANDIDATES)
    assert one.shift_s == pytest.approx(0.1, abs=1e-9)
    assert math.isnan(one.spread_s)
    # A candidate that most windows can't say anything about is no answer, however good it is for the rest.
    alone = scores[:1].repeat(3, 1)
    alone[1:, 12] = -torch.inf
    alone[0, 12] = 100.0
    assert abs(recording_shift(alone, CANDIDATES, resamples=10).shift_s - 0.1) == pytest.approx(0.05)
