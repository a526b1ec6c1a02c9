"""Masked reconstruction of the IMU alone: hide some patches of each channel and predict them from the rest.

PatchTST (Nie et al. 2023) and the paper's IMU-only baseline (its code: transformers' ``PatchTSTForPretraining`` with a
random share of 0.4) are pretrained like this. Patches are drawn for each channel separately, the same number for every
fully measured channel. Zeros replace the hidden samples. The loss is the mean squared error over the hidden samples.

Shape legend: B windows, T samples, C channels, P patches, L IMU tokens, D width, G groups.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from encoders.contract import ImuEncoder, ImuInput
from lightning_modules.losses.all_gather import global_mean


def mask_patches(
    imu: Tensor,
    sample_mask: Tensor,
    channel_mask: Tensor,
    share: float,
    patch: int,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor]:
    """Hide whole patches, drawn for each window and channel separately.

    Patches are adjacent and end with the window, as PatchTST's do; left-over samples at its start are never hidden. Of
    a channel's patches with at least one measured sample, ``share`` are hidden (rounded, and never all).

    Args:
        imu: (B, T, C).
        sample_mask: (B, T) bool.
        channel_mask: (B, C) bool.
        share: share of hidden patches, between 0 and 1.
        patch: samples per patch.
        generator: random generator, on any device; torch's default if None.

    Returns:
        (B, T, C) with zeros where hidden, and a mask (B, T, C) of the hidden measured samples.

    Raises:
        ValueError: ``share`` or ``patch`` is out of range.
    """
    B, T, C = imu.shape
    if not 0 < share < 1:
        raise ValueError(f"the share of hidden patches must lie between 0 and 1, found {share}")
    if not 1 <= patch <= T:
        raise ValueError(f"patches must have 1 ... {T} samples (the window's), found {patch}")
    measured = sample_mask.unsqueeze(2) & channel_mask.unsqueeze(1)
    P = T // patch
    first = T - P * patch
    valid = measured[:, first:].reshape(B, P, patch, C).any(2)
    device = imu.device if generator is None else generator.device
    draw = torch.rand(B, P, C, generator=generator, device=device).to(imu.device)
    place = draw.masked_fill(~valid, torch.inf).argsort(1).argsort(1)  # 0 ... P - 1, patches without a sample last
    count = valid.sum(1, keepdim=True)
    hidden_patches = place < torch.minimum((share * count).round(), count - 1)
    hidden = torch.zeros_like(measured)
    hidden[:, first:] = hidden_patches.repeat_interleave(patch, dim=1)
    hidden &= measured
    return imu.masked_fill(hidden, 0), hidden


def masked_reconstruction_loss(prediction: Tensor, target: Tensor, hidden: Tensor) -> Tensor:
    """Compute the mean squared error over the hidden samples of all processes (see ``all_gather.global_mean``).

    Args:
        prediction: (B, T, C); arbitrary where not hidden.
        target: (B, T, C).
        hidden: (B, T, C) bool.

    Returns:
        () float32 at least; zero if nothing is hidden.

    Raises:
        ValueError: shapes don't match.
    """
    if not prediction.shape == target.shape == hidden.shape:
        raise ValueError(
            "prediction, target and hidden must have one shape, found "
            f"{tuple(prediction.shape)}, {tuple(target.shape)} and {tuple(hidden.shape)}"
        )
    dtype = torch.promote_types(prediction.dtype, torch.float32)
    with torch.autocast(prediction.device.type, enabled=False):
        errors = torch.where(hidden, prediction.to(dtype) - target.to(dtype), 0)
        return global_mean(errors.square().sum(), hidden.sum())


class TokenDecoder(nn.Module):
    """A linear map from each token to the samples around its time.

    With ``groups`` = C and ``patchtst``, whose token is a concatenation of its channels' tokens, this is PatchTST's own
    head: one map for all channels, each predicted from its own token.

    Args:
        token_width: D.
        channels: C.
        step: samples predicted by each token; at most the distance between tokens.
        rate_hz: samples per second.
        groups: concatenated parts of a token; each predicts C / groups channels with one shared map.

    Raises:
        ValueError: widths or channels can't be split into the groups, or ``step`` is below 1.
    """

    def __init__(self, token_width: int, channels: int, step: int, rate_hz: float, groups: int = 1) -> None:
        super().__init__()
        if groups < 1 or token_width % groups or channels % groups:
            raise ValueError(f"{groups} groups must divide the tokens' width {token_width} and {channels} channels")
        if step < 1:
            raise ValueError(f"each token must predict at least one sample, found {step}")
        self.channels = channels
        self.step = step
        self.rate_hz = rate_hz
        self.groups = groups
        self.samples = nn.Linear(token_width // groups, step * (channels // groups))

    @classmethod
    def for_encoder(cls, encoder: ImuEncoder, imu_input: ImuInput, groups: int = 1) -> TokenDecoder:
        """Create a decoder whose ``step`` is the distance of an encoder's tokens, found by encoding an empty window."""
        device = next(encoder.parameters()).device
        imu = torch.zeros(1, imu_input.samples, imu_input.channels, device=device)
        with torch.no_grad():
            measured = torch.ones_like(imu, dtype=torch.bool)
            # Use a copy to keep mode and statistics of the encoder unchanged.
            times = copy.deepcopy(encoder).eval()(imu, measured[:, 0], measured[:, :, 0]).token_times
        distances = times.diff() * imu_input.rate_hz
        step = round(distances.median().item()) if len(times) > 1 else imu_input.samples
        return cls(encoder.token_width, imu_input.channels, step, imu_input.rate_hz, groups)

    def forward(self, tokens: Tensor, token_times: Tensor, samples: int) -> tuple[Tensor, Tensor]:
        """Predict a window of ``samples`` samples; sample i is at i / rate_hz seconds.

        Args:
            tokens: (B, L, D).
            token_times: (L,) centre of each token's receptive field, seconds.
            samples: T.

        Returns:
            (B, T, C), and a mask (T,) of the predicted samples. The nearest token predicts a sample; samples too far
            from every token are zero.
        """
        B, L, D = tokens.shape
        # Centres lie at halves of a sample; round away the error of float32 seconds.
        centres = (token_times.double() * self.rate_hz * 8).round() / 8
        starts = (centres - (self.step - 1) / 2 + 0.5).floor().long()
        i = torch.arange(samples, device=tokens.device)
        token = (i.unsqueeze(1) - centres.unsqueeze(0)).abs().argmin(1)
        offset = i - starts[token]
        predicted = (offset >= 0) & (offset < self.step)
        values = self.samples(tokens.reshape(B, L, self.groups, D // self.groups))
        values = values.reshape(B, L, self.groups, self.step, -1).transpose(2, 3).reshape(B, L * self.step, -1)
        index = torch.where(predicted, token * self.step + offset, 0)
        return values[:, index].masked_fill(~predicted.unsqueeze(1), 0), predicted
