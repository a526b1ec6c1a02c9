"""Two clocks that disagree by an unknown amount: candidate shifts, their prior, and the loss that averages over them.

Shape legend: n windows of this process, N of all processes, K candidate shifts.

A recording has one shift s, the same in all its windows. With ``l[w, k]`` the log-likelihood of window w under
candidate k and a prior ``p[k]``, what is minimised for a recording R is

    -log sum_k p[k] exp(sum_{w in R} l[w, k])

whose gradient is that of each candidate's log-likelihood, weighted by its posterior: what
expectation-maximisation does, in one step.

Nothing in the likelihood says what a shift of zero is: encoders that represent one moment later, all of them, explain
clocks as well that are all off by that much more. What decides is the prior. One that is centred at zero makes the
loss smallest where the shifts are; its pull is a fixed slope per *recording*, small beside the frames' evidence about
where a recording lies, but the only thing along the direction in which all recordings move together.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lightning_modules.losses.all_gather import all_gather_rows, global_mean


def candidate_shifts(max_shift_s: float, step_s: float) -> Tensor:
    """Shifts from ``-max_shift_s`` to ``max_shift_s`` about ``step_s`` apart, zero in their middle.

    Args:
        max_shift_s: seconds; 0 gives the one candidate 0.
        step_s: seconds; the steps are equal and not longer than this.

    Returns:
        (K,) float64, K odd, ascending.

    Raises:
        ValueError: a negative shift, or a step that isn't above zero.
    """
    if not (math.isfinite(max_shift_s) and max_shift_s >= 0):
        raise ValueError(f"max_shift_s must be 0 or more seconds, found {max_shift_s}")
    if not step_s > 0:
        raise ValueError(f"shift_step_s must be above 0 seconds, found {step_s}")
    half = math.ceil(max_shift_s / step_s - 1e-9)
    return torch.arange(-half, half + 1, dtype=torch.float64) * (max_shift_s / max(half, 1))


def log_prior(shifts_s: Tensor, deviation_s: float) -> Tensor:
    """A Gaussian about zero on the candidates; it sums to 1.

    Args:
        shifts_s: (K,) seconds.
        deviation_s: its standard deviation; infinite is uniform.

    Returns:
        (K,) log-probabilities.

    Raises:
        ValueError: the deviation isn't above zero.
    """
    if not deviation_s > 0:
        raise ValueError(f"the prior's standard deviation must be above 0 seconds, found {deviation_s}")
    return (-0.5 * (shifts_s / deviation_s).square()).log_softmax(0)


def recording_evidence(log_likelihood: Tensor, recordings: Tensor | None) -> tuple[Tensor, Tensor]:
    """What all windows of a window's recording say together, those of other processes too.

    Args:
        log_likelihood: (n, K).
        recordings: (n,) int64, a number for each recording, the same on all processes; None takes each
            window as a recording of its own.

    Returns:
        (n, K) sums over the windows of each row's recording, and (n,) how many windows those are.
    """
    if recordings is None:
        return log_likelihood, torch.ones_like(log_likelihood[:, 0])
    everywhere = all_gather_rows(log_likelihood)
    together = (recordings.unsqueeze(1) == all_gather_rows(recordings).unsqueeze(0)).to(log_likelihood.dtype)
    return together @ everywhere, together.sum(1)


def marginal_loss(
    log_likelihood: Tensor,
    prior: Tensor,
    count: Tensor,
    recordings: Tensor | None = None,
    evidence: float = 1.0,
) -> Tensor:
    """Minus the logarithm of the mean likelihood over shifts, summed over recordings, per counted item.

    Equal to one big batch on any number of processes; see ``all_gather.global_mean`` for the value of one.

    Args:
        log_likelihood: (n, K) of each window under each shift, differentiable.
        prior: (K,) log-probabilities.
        count: () this process's items, e.g. frames, of which the mean is taken.
        recordings: see ``recording_evidence``.
        evidence: log-likelihoods count this times when shifts are weighed against each other. Items that depend on
            each other say less than their number; towards 0 all shifts weigh what the prior says.

    Returns:
        A scalar.
    """
    if len(prior) == 1:  # nothing to weigh, and nothing to gather for it
        return global_mean(-log_likelihood.sum(), count)
    summed, windows = recording_evidence(log_likelihood, recordings)
    per_recording = (prior + evidence * summed).logsumexp(1) / evidence
    return global_mean(-(per_recording / windows).sum(), count)


def shift_posterior(log_likelihood: Tensor, prior: Tensor, recordings: Tensor | None = None) -> Tensor:
    """Probability of each shift of each window's recording, (n, K); arguments as ``marginal_loss`` takes them."""
    return (prior + recording_evidence(log_likelihood, recordings)[0]).softmax(1)
