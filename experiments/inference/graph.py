"""An encoder or a head as one network, for programs without this package: windows in SI units in, numbers out.

Normalisation is inside. Resampling and cutting are not: they depend on a recording's rate and gaps, and a description
of them goes beside the network.

Shape legend: B windows, T samples, L tokens, D token width, P pooled width, F handcrafted features, C classes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from datamodules.handcrafted import handcrafted_features
from datamodules.signal import PHYSICAL_SCALE, BoolArray
from datamodules.windows.settings import WindowSettings
from encoders.contract import ImuEncoder, ImuInput
from experiments.inference.encoder import PretrainedImuEncoder, load_imu_encoder
from experiments.inference.errors import InferenceError
from experiments.inference.head import Head, load_head
from experiments.inference.head_facts import BLOCKS
from experiments.inference.json_files import HEAD
from lightning_modules.probe import LinearProbe


@dataclass(frozen=True)
class Windows:
    """Windows as a network takes them.

    Attributes:
        imu: (B, T, 6) float32, m/s^2 and rad/s, zero where a mask is False.
        channel_mask: (B, 6) False for channels that the device lacks.
        sample_mask: (B, T) False for samples that were not measured.
        labels: (B,) activities; empty where unknown.
        people: (B,) subjects; None where unknown.
    """

    imu: NDArray[np.float32]
    channel_mask: BoolArray
    sample_mask: BoolArray
    labels: NDArray[np.str_]
    people: NDArray[np.str_] | None = None

    def __len__(self) -> int:
        return len(self.imu)


class Normalised(nn.Module):
    """``datamodules.signal.normalise`` in torch.

    Args:
        mode: ``physical``, ``window`` or ``none``.
    """

    scale: Tensor

    def __init__(self, mode: str) -> None:
        super().__init__()
        self.mode = mode
        self.register_buffer("scale", torch.tensor(PHYSICAL_SCALE, dtype=torch.float32))

    def forward(self, imu: Tensor, channel_mask: Tensor, sample_mask: Tensor) -> Tensor:
        """Scale (B, T, 6); zero wherever a mask is False."""
        valid = sample_mask.unsqueeze(2) & channel_mask.unsqueeze(1)
        if self.mode == "physical":
            return torch.where(valid, imu / self.scale, 0)
        values = torch.where(valid, imu, 0)
        if self.mode == "none":
            return values
        wide = values.double()
        count = sample_mask.sum(1).clamp(min=1).double()[:, None, None]
        mean = wide.sum(1, keepdim=True) / count
        centred = torch.where(valid, wide - mean, 0)
        deviation = (centred.square().sum(1, keepdim=True) / count).sqrt()
        return (centred / torch.where(deviation > 1e-6 * (1 + mean.abs()), deviation, 1)).float()


class EncoderGraph(nn.Module):
    """Windows to pooled features, tokens and the tokens' mask."""

    outputs = ("pooled", "tokens", "token_mask")

    def __init__(self, encoder: PretrainedImuEncoder) -> None:
        super().__init__()
        self.normalised = Normalised(encoder.config.normalisation)
        self.encoder: ImuEncoder = encoder.module

    def forward(self, imu: Tensor, channel_mask: Tensor, sample_mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Encode (B, T, 6); returns (B, P), (B, L, D) and (B, L)."""
        found = self.encoder(self.normalised(imu, channel_mask, sample_mask), channel_mask, sample_mask)
        return found.pooled, found.tokens, found.token_mask


class HeadGraph(nn.Module):
    """Windows to calibrated probabilities of activities."""

    outputs = ("probabilities",)
    kept: Tensor

    def __init__(self, head: Head) -> None:
        super().__init__()
        assert head.encoder is not None
        self.encoder = EncoderGraph(head.encoder)
        self.blocks = BLOCKS[head.method]
        self.probe = Probe(head.calibrated)
        self.register_buffer("kept", torch.tensor([True] * 3 + [head.gyroscope] * 3))

    def forward(
        self, imu: Tensor, channel_mask: Tensor, sample_mask: Tensor, handcrafted: Tensor | None = None
    ) -> tuple[Tensor]:
        """Predict (B, T, 6), with handcrafted features (B, F) where the head uses them; returns (B, C)."""
        blocks = {"pretrained": self.encoder(imu, channel_mask & self.kept, sample_mask)[0]}
        if handcrafted is not None:
            blocks["handcrafted"] = handcrafted
        return (torch.softmax(self.probe(torch.cat([blocks[name] for name in self.blocks], dim=1)), dim=1),)


class Probe(nn.Module):
    """``LinearProbe`` in torch; standardisation and clipping in single precision."""

    mean: Tensor
    scale: Tensor
    factor: Tensor

    def __init__(self, probe: LinearProbe) -> None:
        super().__init__()
        s = probe.standardisation
        for name, value in (("mean", s.mean), ("scale", s.scale), ("factor", np.broadcast_to(s.factor, s.mean.shape))):
            self.register_buffer(name, torch.tensor(np.array(value), dtype=torch.float32))
        self.clip = s.clip
        self.linear = nn.Linear(len(s.mean), len(probe.bias))
        self.linear.weight = nn.Parameter(torch.tensor(probe.weight, dtype=torch.float32))
        self.linear.bias = nn.Parameter(torch.tensor(probe.bias, dtype=torch.float32))

    def forward(self, features: Tensor) -> Tensor:
        """Compute logits, (B, P) -> (B, C)."""
        found = (features - self.mean) / self.scale
        if math.isfinite(self.clip):
            found = found.clamp(-self.clip, self.clip)
        return self.linear(found * self.factor)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Exportable:
    """What is exported.

    Attributes:
        graph: the network.
        imu_input: length and rate of its windows.
        window: how windows are cut.
        normalisation: inside the graph.
        classes: of a head; empty for an encoder.
        gyroscope: False: a head that masks it.
        handcrafted: the graph takes handcrafted features too.
        about: where it comes from, for the description.
        fitted_on: the people that a head was fitted on.
    """

    graph: EncoderGraph | HeadGraph
    imu_input: ImuInput
    window: WindowSettings
    normalisation: str
    classes: tuple[str, ...]
    gyroscope: bool
    handcrafted: bool
    about: str
    fitted_on: tuple[str, ...] = ()

    def inputs(self, windows: Windows) -> dict[str, NDArray[np.generic]]:
        """The graph's inputs by name, each with B rows."""
        given: dict[str, NDArray[np.generic]] = {
            "imu": windows.imu,
            "channel_mask": windows.channel_mask,
            "sample_mask": windows.sample_mask,
        }
        if self.handcrafted:
            channels = windows.channel_mask & np.array([True] * 3 + [self.gyroscope] * 3)
            imu = np.where(channels[:, None], windows.imu, 0)
            rate = self.window.imu_rate_hz
            given["handcrafted"] = handcrafted_features(imu, windows.sample_mask, channels, rate)
        return given

    @torch.inference_mode()
    def run(self, windows: Windows, batch: int = 256) -> dict[str, NDArray[np.generic]]:
        """The graph's outputs by name, computed by torch."""
        given = {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in self.inputs(windows).items()}
        parts = [self.graph(*(value[i : i + batch] for value in given.values())) for i in range(0, len(windows), batch)]
        return {
            name: torch.cat(columns).numpy()
            for name, columns in zip(self.graph.outputs, zip(*parts, strict=True), strict=True)
        }


def open_exportable(what: str, allow_incomplete: bool = False) -> Exportable:
    """Open a head's folder, or whatever ``load_imu_encoder`` opens.

    Args:
        what: the folder or name.
        allow_incomplete: see ``load_imu_encoder``.

    Raises:
        InferenceError: there is no such thing, or nothing of it is a network.
        IncompleteError: a checkpoint of a training that is not complete.
    """
    if (Path(what) / HEAD).is_file():
        head = load_head(what)
        if head.encoder is None:
            raise InferenceError(
                f"{what}: a {head.method} head has no network to export; its numbers are in head.safetensors"
            )
        encoder = head.encoder
        return Exportable(
            HeadGraph(head).eval(),
            encoder.imu_input,
            head.grid,
            encoder.config.normalisation,
            head.classes,
            head.gyroscope,
            "handcrafted" in BLOCKS[head.method],
            f"head {head.method}, encoder weights {encoder.digest()}{_stopped(encoder)}",
            tuple(map(str, head.about.get("subjects", ()))),
        )
    encoder = load_imu_encoder(what, allow_incomplete=allow_incomplete)
    return Exportable(
        EncoderGraph(encoder).eval(),
        encoder.imu_input,
        encoder.window,
        encoder.config.normalisation,
        (),
        True,
        False,
        f"encoder {encoder.config.name}, weights {encoder.digest()}{_stopped(encoder)}",
    )


def _stopped(encoder: PretrainedImuEncoder) -> str:
    found = encoder.config.incomplete
    return f", INCOMPLETE TRAINING: {found}" if found else ""
