"""From a frozen encoder's frame features to a clip's: a trainable temporal head, a plain mean, or one frame.

Shape legend: B batch, F frames, D' width of the frame features, D width of the head's tokens.

A frozen image model sees no motion; differences between neighbouring frames and mixing over time bring it
back, at the cost of a few hundred thousand weights trained on cached features.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from encoders.contract import VideoFeatures, VideoHead
from encoders.layers.masking import masked_mean, mean_and_max
from encoders.layers.transformer import TimedTransformer
from encoders.registry import video_head


@dataclass
class TemporalHeadParams:
    """Settings of the ``temporal`` head.

    Attributes:
        width: D.
        depth: transformer blocks after the convolution.
        heads: attention heads.
        kernel: frames that the temporal convolution sees, odd; 1 leaves it out.
        ffn_ratio: hidden width of the feed-forward networks over ``width``.
        dropout: inside the transformer.
        input_dropout: on the frame features; they are many and wide, the pairs are few.
        input_norm: ``layer``; ``standard``, with the statistics of ``set_input_statistics``; or ``none``.
        differences: also see each frame's rate of change since the last frame and until the next.
        difference_s: rates of change are per this many seconds, about the frames' spacing.
        shortest_period_s: fastest rotary rotation, seconds.
        longest_period_s: slowest, seconds.
    """

    width: int = 256
    depth: int = 2
    heads: int = 4
    kernel: int = 3
    ffn_ratio: float = 2.0
    dropout: float = 0.1
    input_dropout: float = 0.3
    input_norm: str = "layer"
    differences: bool = True
    difference_s: float = 0.5
    shortest_period_s: float = 1.5
    longest_period_s: float = 100.0


def differences(x: Tensor, times: Tensor, mask: Tensor, per_s: float) -> tuple[Tensor, Tensor]:
    """Rates of change to the neighbouring frames.

    Args:
        x: (B, F, D).
        times: (B, F) seconds, not descending over valid frames.
        mask: (B, F) bool.
        per_s: the unit of time.

    Returns:
        Since the last frame and until the next one, (B, F, D) each; zero where that neighbour is missing, is
        invalid or has the same time.
    """
    elapsed = times[:, 1:] - times[:, :-1]
    usable = mask[:, 1:] & mask[:, :-1] & (elapsed > 0)
    rate = torch.where(usable, per_s / torch.where(usable, elapsed, 1), 0).to(x.dtype)
    change = (x[:, 1:] - x[:, :-1]) * rate.unsqueeze(2)
    return F.pad(change, (0, 0, 1, 0)), F.pad(change, (0, 0, 0, 1))


@video_head("temporal", TemporalHeadParams)
class TemporalHead(VideoHead):
    """Features and their differences, a temporal convolution, a transformer; pooled: mean and maximum."""

    input_mean: Tensor
    input_std: Tensor

    def __init__(self, params: TemporalHeadParams, frame_width: int) -> None:
        super().__init__()
        if params.kernel < 1 or params.kernel % 2 == 0:
            raise ValueError(f"kernel must be odd, found {params.kernel}")
        if params.input_norm not in ("layer", "standard", "none"):
            raise ValueError(f"input_norm must be 'layer', 'standard' or 'none', found '{params.input_norm}'")
        self.params = params
        self.token_width = params.width
        self.pooled_width = 2 * params.width
        self.input_norm = nn.LayerNorm(frame_width) if params.input_norm == "layer" else nn.Identity()
        if params.input_norm == "standard":
            # NaN until they are set or loaded: forgetting it can't go unnoticed.
            self.register_buffer("input_mean", torch.full((frame_width,), torch.nan))
            self.register_buffer("input_std", torch.full((frame_width,), torch.nan))
        self.input_dropout = nn.Dropout(params.input_dropout)
        self.input = nn.Linear(frame_width, params.width)
        self.still_norm = nn.LayerNorm(params.width)
        self.mix = nn.Linear(params.width * (3 if params.differences else 1), params.width)
        self.conv = nn.Conv1d(params.width, params.width, params.kernel, padding=params.kernel // 2)
        self.transformer = TimedTransformer(
            params.width,
            params.depth,
            params.heads,
            params.ffn_ratio,
            params.dropout,
            params.shortest_period_s,
            params.longest_period_s,
        )

    def set_input_statistics(self, mean: Tensor, std: Tensor) -> None:
        """Set what ``input_norm='standard'`` subtracts and divides by; checkpoints keep it.

        Args:
            mean: (D',) mean of the frame features over the training subjects' valid frames.
            std: (D',) their standard deviation.

        Raises:
            ValueError: ``input_norm`` is another one.
        """
        if self.params.input_norm != "standard":
            raise ValueError(f"input_norm is '{self.params.input_norm}': it takes no statistics")
        self.input_mean.copy_(mean)
        self.input_std.copy_(std)

    def _normalised(self, x: Tensor) -> Tensor:
        if self.params.input_norm != "standard":
            return self.input_norm(x)  # type: ignore[no-any-return]
        # A width that hardly varies over the training frames must not blow up on a strange one.
        return ((x - self.input_mean) / (self.input_std + 1e-3)).clamp(-6, 6)

    def forward(self, frame_features: Tensor, frame_times: Tensor, frame_mask: Tensor) -> VideoFeatures:
        """See ``VideoHead``."""
        valid = frame_mask.unsqueeze(2)
        times = torch.where(frame_mask, frame_times, 0)
        features = torch.where(valid, frame_features, 0).to(self.input.weight.dtype)
        x = self.input(self.input_dropout(self._normalised(features)))
        parts = [self.still_norm(x)]
        if self.params.differences:
            parts.extend(differences(x, times, frame_mask, self.params.difference_s))
        y = torch.where(valid, F.gelu(self.mix(torch.cat(parts, dim=2))), 0)
        if self.params.kernel > 1:
            y = y + F.gelu(self.conv(y.transpose(1, 2))).transpose(1, 2)
        tokens = self.transformer(y, times, frame_mask)
        return VideoFeatures(tokens, mean_and_max(tokens, frame_mask))


@dataclass
class MeanHeadParams:
    """The ``mean`` head has no settings."""


@video_head("mean", MeanHeadParams)
class MeanHead(VideoHead):
    """The frame features as they are; pooled: their mean, as in the paper. Has no weights."""

    def __init__(self, params: MeanHeadParams, frame_width: int) -> None:
        super().__init__()
        self.token_width = self.pooled_width = frame_width

    def forward(self, frame_features: Tensor, frame_times: Tensor, frame_mask: Tensor) -> VideoFeatures:
        """See ``VideoHead``."""
        tokens = torch.where(frame_mask.unsqueeze(2), frame_features, 0).float()
        return VideoFeatures(tokens, masked_mean(tokens, frame_mask))


@dataclass
class MiddleFrameHeadParams:
    """The ``middle_frame`` head has no settings."""


@video_head("middle_frame", MiddleFrameHeadParams)
class MiddleFrameHead(VideoHead):
    """The frame features as they are; pooled: those of the frame nearest to the window's middle. Has no weights.

    IMU2CLIP's (Moon et al. 2023). Frames lie at the centres of F equal parts of the window, so the middle one is told
    by its place, whatever augmentation does to its time; of two equally near ones it is the later, as in that paper's
    code, and where the middle one is missing the nearest that is there.
    """

    def __init__(self, params: MiddleFrameHeadParams, frame_width: int) -> None:
        super().__init__()
        self.token_width = self.pooled_width = frame_width

    def forward(self, frame_features: Tensor, frame_times: Tensor, frame_mask: Tensor) -> VideoFeatures:
        """See ``VideoHead``."""
        tokens = torch.where(frame_mask.unsqueeze(2), frame_features, 0).float()
        count = frame_mask.shape[1]
        place = torch.arange(count, device=frame_mask.device)
        # Twice the distance, less for later frames: whole numbers, so that a tie is one.
        distance = 2 * (2 * place - (count - 1)).abs() - (2 * place > count - 1).long()
        chosen = distance.expand_as(frame_mask).masked_fill(~frame_mask, 4 * count).argmin(1)
        return VideoFeatures(tokens, tokens[torch.arange(len(tokens), device=tokens.device), chosen])
