from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from helpers.forked import in_processes
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from lightning_modules.losses.shift_marginal import (
    candidate_shifts,
    log_prior,
    marginal_loss,
    recording_evidence,
    shift_posterior,
)
from lightning_modules.losses.temporal_alignment import TemporalAlignmentLoss, TemporalAlignmentParams

L, F = 62, 10
TOKEN_TIMES = torch.arange(L, dtype=torch.float64) * 0.08 + 0.03
FRAME_TIMES = (torch.arange(F, dtype=torch.float64) + 0.5) * 0.5


def smooth(times: Tensor) -> Tensor:
    """A unit-length signal that differs from moment to moment, (..., 8)."""
    rates = torch.tensor([0.7, 1.3, 2.1, 3.1], dtype=times.dtype)
    angles = times.unsqueeze(-1) * rates
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


Arguments = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]


def windows(shifts: list[float], later: Tensor | float = 0.0, token_times: Tensor = TOKEN_TIMES) -> Arguments:
    """Windows whose tokens are labelled so much too late, and represent a moment ``later``: the loss's arguments."""
    shift = torch.tensor(shifts, dtype=torch.float64)[:, None]
    start = 2.0 * torch.arange(len(shifts))[:, None]  # another moment in each
    return (
        smooth(start + token_times - shift + later),
        token_times,
        torch.ones(len(shifts), len(token_times), dtype=torch.bool),
        smooth(start + FRAME_TIMES),
        FRAME_TIMES.expand(len(shifts), -1),
        torch.ones(len(shifts), F, dtype=torch.bool),
    )


def loss_of(**params: float) -> TemporalAlignmentLoss:
    return TemporalAlignmentLoss(TemporalAlignmentParams(**params)).double()  # type: ignore[arg-type]


@settings(max_examples=50, deadline=None)
@given(most=st.floats(0.01, 3), step=st.floats(0.01, 1))
def test_candidates_are_symmetric_and_no_further_apart_than_asked(most: float, step: float) -> None:
    shifts = candidate_shifts(most, step)
    assert shifts[len(shifts) // 2] == 0
    torch.testing.assert_close(shifts, -shifts.flip(0))
    assert shifts[-1].item() == pytest.approx(most)
    assert shifts.diff().max() <= step * (1 + 1e-6)
    assert len(shifts) <= 2 * math.ceil(most / step) + 1


def test_candidates_of_clocks_that_are_trusted() -> None:
    assert candidate_shifts(0.0, 0.05).tolist() == [0.0]


@pytest.mark.parametrize(
    ("most", "step", "said"), [(-1, 0.1, "max_shift_s"), (math.nan, 0.1, "max_shift_s"), (1, 0, "shift_step_s")]
)
def test_impossible_candidates(most: float, step: float, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        candidate_shifts(most, step)


def test_prior_is_a_gaussian_that_sums_to_one() -> None:
    shifts = candidate_shifts(1.0, 0.25)
    prior = log_prior(shifts, 0.5)
    torch.testing.assert_close(prior.exp().sum(), torch.tensor(1.0, dtype=torch.float64))
    torch.testing.assert_close(prior[4] - prior[8], torch.tensor(2.0, dtype=torch.float64))
    torch.testing.assert_close(log_prior(shifts, math.inf).exp(), torch.full_like(shifts, 1 / 9))
    with pytest.raises(ValueError, match="above 0 seconds, found 0"):
        log_prior(shifts, 0)
    with pytest.raises(ValueError, match="evidence must be above 0"):
        loss_of(evidence=0.0)


def test_marginal_by_hand() -> None:
    log_likelihood = torch.tensor([[0.1, 0.2], [0.3, 0.9], [0.5, 0.6]], dtype=torch.float64).log()
    prior = torch.tensor([0.25, 0.75], dtype=torch.float64).log()
    count = torch.tensor(10)
    together = marginal_loss(log_likelihood, prior, count, torch.tensor([5, 7, 5]))
    expected = -(math.log(0.25 * 0.1 * 0.5 + 0.75 * 0.2 * 0.6) + math.log(0.25 * 0.3 + 0.75 * 0.9)) / 10
    assert together.item() == pytest.approx(expected, rel=1e-12)
    alone = marginal_loss(log_likelihood, prior, count)
    expected = -sum(math.log(0.25 * a + 0.75 * b) for a, b in log_likelihood.exp().tolist()) / 10
    assert alone.item() == pytest.approx(expected, rel=1e-12)
    posterior = shift_posterior(log_likelihood, prior, torch.tensor([5, 7, 5]))
    likely = 0.25 * 0.1 * 0.5 / (0.25 * 0.1 * 0.5 + 0.75 * 0.2 * 0.6)
    torch.testing.assert_close(posterior[:, 0], torch.tensor([likely, 0.1, likely], dtype=torch.float64))


@settings(max_examples=50, deadline=None)
@given(evidence=st.floats(1e-3, 1), seed=st.integers(0, 99))
def test_less_evidence_brings_the_marginal_to_the_prior_mean(evidence: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    log_likelihood = -torch.rand(4, 3, generator=generator, dtype=torch.float64) * 9
    prior = log_prior(candidate_shifts(1.0, 1.0), 1.0)
    count, recordings = torch.tensor(1), torch.tensor([0, 0, 1, 1])
    full, less = (marginal_loss(log_likelihood, prior, count, recordings, e) for e in (1.0, evidence))
    mean = marginal_loss(log_likelihood, prior, count, recordings, 1e-9)
    # Power means grow with their exponent; 1e-9 of a log-likelihood of some tens leaves rounding of 1e-6.
    assert full - 1e-9 <= less <= mean + 1e-5
    assert mean.item() == pytest.approx(-float((log_likelihood @ prior.exp()).sum()), abs=1e-5)


def test_one_candidate_is_the_plain_loss() -> None:
    arguments = windows([0.0, 0.1, -0.2])
    plain = loss_of()(*arguments)
    # By way of many candidates of which the prior allows one.
    forced = loss_of(max_shift_s=0.15, shift_deviation_s=1e-3)(*arguments, torch.tensor([0, 1, 1]))
    torch.testing.assert_close(forced, plain, rtol=1e-12, atol=0)
    assert torch.equal(loss_of(max_shift_s=0.0)(*arguments, torch.tensor([0, 1, 1])), plain)


@settings(max_examples=20, deadline=None)
@given(shift=st.integers(-5, 5))
def test_posterior_finds_a_known_shift(shift: int) -> None:
    loss = loss_of(max_shift_s=0.6, shift_step_s=0.1, shift_deviation_s=math.inf)
    log_likelihood, count = loss.log_likelihood(*windows([shift / 10] * 3 + [0.0]), loss.shifts_s)
    assert count == 4 * (F - 2)
    posterior = shift_posterior(log_likelihood, loss.prior, torch.tensor([0, 0, 0, 1]))
    assert loss.shifts_s[posterior[0].argmax()].item() == pytest.approx(shift / 10)
    assert loss.shifts_s[posterior[3].argmax()].item() == 0
    # Three windows are surer than one of them.
    assert posterior[0].max() > shift_posterior(log_likelihood, loss.prior)[0].max()


def test_all_shifts_are_judged_by_the_same_frames() -> None:
    """Frames lie 0.25 s and more inside the tokens: shifts of 0.6 s take the first and last frame from all shifts."""
    arguments = windows([0.0, 0.3])
    narrow, wide = (loss_of().log_likelihood(*arguments, candidate_shifts(most, 0.1)) for most in (0.2, 0.6))
    assert narrow[1] == 2 * F
    assert wide[1] == 2 * (F - 2)
    frames, frame_times, frame_mask = (x[:, 1:-1] for x in arguments[3:])
    without, _ = loss_of().log_likelihood(*arguments[:3], frames, frame_times, frame_mask, candidate_shifts(0.6, 0.1))
    torch.testing.assert_close(wide[0], without)


def test_gradients_in_float64() -> None:
    tokens, token_times, token_mask, frames, frame_times, frame_mask = windows([0.2, -0.1, 0.0])
    tokens, token_times, token_mask = tokens[:, ::8, :4], token_times[::8], token_mask[:, ::8].clone()
    frames, frame_times, frame_mask = frames[:, ::3, :4], frame_times[:, ::3], frame_mask[:, ::3].clone()
    token_mask[0, 2], frame_mask[1, 1] = False, False
    loss = loss_of(max_shift_s=0.4, shift_step_s=0.2, width_s=0.4)
    recordings = torch.tensor([0, 1, 0])

    def value(a: Tensor, b: Tensor, scale: Tensor) -> Tensor:
        arguments = (a, token_times, token_mask, b, frame_times, frame_mask, recordings)
        found: Tensor = torch.func.functional_call(loss, {"log_scale": scale}, arguments)
        return found

    inputs = (tokens.requires_grad_(), frames.requires_grad_(), torch.tensor(1.0).double().requires_grad_())
    assert torch.autograd.gradcheck(value, inputs)


def test_masked_frames_and_tokens_do_not_matter() -> None:
    tokens, token_times, token_mask, frames, frame_times, frame_mask = windows([0.2, -0.1, 0.0])
    token_mask, frame_mask = token_mask.clone(), frame_mask.clone()
    token_mask[0, 40:], frame_mask[1, 6:] = False, False
    frame_mask[2, 1:] = False  # one frame says nothing about time
    loss, recordings = loss_of(max_shift_s=0.5), torch.tensor([0, 0, 1])
    clean = loss(tokens, token_times, token_mask, frames, frame_times, frame_mask, recordings)
    tokens = torch.where(token_mask.unsqueeze(2), tokens, 1e3).requires_grad_()
    frames = torch.where(frame_mask.unsqueeze(2), frames, 1e3)
    frame_times = torch.where(frame_mask, frame_times, math.nan)
    dirty = loss(tokens, token_times, token_mask, frames, frame_times, frame_mask, recordings)
    torch.testing.assert_close(dirty, clean, rtol=1e-12, atol=0)
    dirty.backward()
    assert tokens.grad is not None
    assert tokens.grad.isfinite().all()
    assert (tokens.grad[~token_mask] == 0).all()
    assert (tokens.grad[2] == 0).all()


@pytest.mark.parametrize("deviation", [0.2, 0.4, math.inf])
@pytest.mark.parametrize("common", [-0.3, 0.0, 0.1, 0.3])
def test_a_centred_prior_undoes_a_shift_common_to_all(deviation: float, common: float) -> None:
    """Clocks off by -0.4 to 0.4 s, and an encoder that represents a later moment, which explains them just as well."""
    token_times = torch.arange(100, dtype=torch.float64) * 0.08 - 1.47  # no frame is lost at the ends
    loss = loss_of(max_shift_s=1.0, shift_deviation_s=deviation)
    later = torch.tensor(common, dtype=torch.float64, requires_grad=True)
    loss(*windows([0.4, 0.2, 0.0, -0.2, -0.4], later, token_times)).backward()
    assert later.grad is not None
    # In each recording a Gaussian prior times a likelihood, nearly Gaussian of variance 0.01 s^2; per frame. A uniform
    # prior has no opinion. Candidates are 50 ms apart, and interpolation between tokens adds some rounding.
    slope = common / (deviation**2 + 0.01) / F
    assert later.grad.item() == pytest.approx(slope, rel=0.03, abs=5e-4)


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.imu, self.video = nn.Linear(8, 4), nn.Linear(8, 4)
        self.loss = TemporalAlignmentLoss(TemporalAlignmentParams(max_shift_s=0.4, shift_step_s=0.1))

    def forward(self, batch: tuple[Tensor, ...]) -> Tensor:
        tokens, token_mask, frames, frame_times, frame_mask, recordings = batch
        found: Tensor = self.loss(
            self.imu(tokens), TOKEN_TIMES, token_mask, self.video(frames), frame_times, frame_mask, recordings
        )
        return found


def global_batch() -> tuple[Tensor, ...]:
    tokens, _, token_mask, frames, frame_times, frame_mask = windows([0.1, 0.1, -0.2, 0.3, 0.1, 0.3, 0.3, 0.3])
    frame_mask = frame_mask.clone()
    frame_mask[0, 4:], frame_mask[6] = False, False  # the two halves hold different numbers of frames
    # Recordings whose windows lie on one process, on the other, and on both.
    recordings = torch.tensor([0, 0, 1, 2, 0, 2, 2, 3])
    return tokens.float(), token_mask, frames.float(), frame_times, frame_mask, recordings


def gradients(model: nn.Module, batch: tuple[Tensor, ...]) -> dict[str, Tensor]:
    loss = model(batch)
    loss.backward()
    found = {name.removeprefix("module."): p.grad for name, p in model.named_parameters() if p.grad is not None}
    return {**found, "value": loss.detach()}


def worker(rank: int, folder: str, size: int) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=size)
    share = 8 // size
    part = tuple(x[rank * share : (rank + 1) * share] for x in global_batch())
    found = gradients(DistributedDataParallel(Model()), part)
    dist.all_reduce(found["value"])
    found["value"] /= size
    torch.save(found, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.parametrize("size", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_several_processes_equal_one(size: int, tmp_path: Path) -> None:
    in_processes(worker, (str(tmp_path), size), size)
    alone = gradients(Model(), global_batch())
    assert len(alone) == 6  # two encoders, the temperature, and the loss itself
    for rank in range(size):
        found = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        assert found.keys() == alone.keys()
        for name, value in alone.items():
            # In float32, sums in another order.
            torch.testing.assert_close(found[name], value, rtol=1e-5, atol=1e-6, msg=name)


def test_evidence_of_windows_that_stand_alone() -> None:
    log_likelihood = torch.arange(6.0).reshape(3, 2)
    summed, count = recording_evidence(log_likelihood, None)
    assert torch.equal(summed, log_likelihood)
    assert count.tolist() == [1, 1, 1]
    summed, count = recording_evidence(log_likelihood, torch.tensor([4, 9, 4]))
    assert summed.tolist() == [[4, 6], [2, 3], [4, 6]]
    assert count.tolist() == [2, 1, 2]
