"""A pretrained IMU encoder for other people's programs: arrays in, features with times out.

::

    from encoders import load_imu_encoder

    encoder = load_imu_encoder("default")  # or "runs/simulator/default", a checkpoint, a folder, "owner/name"
    found = encoder.embed(array, rate_hz=100, acceleration_unit="g", gyroscope_unit="deg/s")
    found.pooled  # (windows, features), with found.starts and found.ends in seconds

Shape legend: N samples, W windows, T samples of a window, L tokens, D token width, P pooled width.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from core.durable import write_text
from core.shown_text import visible
from datamodules.recording import FloatArray, ImuStream
from datamodules.signal import BoolArray, normalise
from datamodules.windows.cut import Exclusion, Window
from datamodules.windows.quality.possible import without_impossible
from datamodules.windows.quality.stuck import find_hung
from datamodules.windows.settings import WindowSettings
from encoders.contract import ImuEncoder, ImuFeatures, ImuInput
from experiments.inference.arrays import ArrayFormat, stream_of
from experiments.inference.encoder_card import encoder_card
from experiments.inference.encoder_files import EncoderConfig, read_encoder, weights_digest, write_encoder
from experiments.inference.errors import InferenceError
from experiments.inference.named_encoders import (
    CARD,
    EXTERNAL,
    fetch,
    is_repository,
    names_hint,
    push,
    read_external,
    shipped,
    shipped_folder,
)
from experiments.inference.parts import channels_of, on_a_grid, parts_of

_BATCH = 40  # windows: what a layer makes of them then fits a core's cache


@dataclass(frozen=True)
class Embedded:
    """Features of windows.

    Attributes:
        recording: (W,) which recording each window is of, from 0.
        starts: (W,) seconds on the recording's clock.
        ends: (W,) seconds.
        pooled: (W, P) float32, one vector a window: for classifiers.
        tokens: (W, L, D) float32, a series of vectors a window.
        token_times: (W, L) seconds on the recording's clock, the centres of what tokens depend on.
        token_mask: (W, L) False for a token without a measured sample.
        left_out: windows that were not encoded, each with the reason: gaps, lost samples, a sensor at its limit.
    """

    recording: NDArray[np.int64]
    starts: FloatArray
    ends: FloatArray
    pooled: NDArray[np.float32]
    tokens: NDArray[np.float32]
    token_times: FloatArray
    token_mask: BoolArray
    left_out: tuple[Exclusion, ...]

    def __len__(self) -> int:
        return len(self.starts)


class PretrainedImuEncoder:
    """An encoder with all that its input needs: rate, length, normalisation.

    Args:
        module: the network.
        config: what it was made from and trained with.
    """

    def __init__(self, module: ImuEncoder, config: EncoderConfig) -> None:
        self.module = module.eval()
        self.config = config
        self.window: WindowSettings = on_a_grid(config.window)

    def __repr__(self) -> str:
        about, window = self.config, self.config.window
        people = "simulated people" if about.simulated else "people"
        return (
            f"<{type(self).__name__} {about.name}: {self.pooled_width} features of each {window.duration_s:g} s at"
            f" {window.imu_rate_hz:g} Hz; pretrained on {people}>"
        )

    @property
    def imu_input(self) -> ImuInput:
        """Length and rate of its windows."""
        return self.config.imu_input

    @property
    def pooled_width(self) -> int:
        """P."""
        return self.module.pooled_width

    def digest(self) -> str:
        """SHA-256 of the weights."""
        return weights_digest(self.module)

    def embed(
        self,
        motion: Any,
        *,
        rate_hz: float | None = None,
        acceleration_unit: str,
        gyroscope_unit: str = "rad/s",
        times: Any = None,
        columns: Sequence[str] = (),
    ) -> Embedded:
        """Encode recordings of any length and rate.

        Each is resampled to the encoder's rate without aliasing and without filling gaps, cut into windows one behind
        the other, and normalised as in pretraining. A recording shorter than a window is one window, padded. What is
        left over at the end, less than a window, is not encoded.

        Args:
            motion: one recording, or a list of them. Each is (N, 3) acceleration, or (N, 6) acceleration and angular
                velocity; an array or a pandas frame. Acceleration includes gravity. NaN is a lost sample.
            rate_hz: samples a second, where ``times`` is not given.
            acceleration_unit: ``m/s^2``, ``g`` or ``mg``.
            gyroscope_unit: ``rad/s`` or ``deg/s``.
            times: (N,) seconds of one recording, or a list of them.
            columns: of pandas frames, see :class:`experiments.inference.arrays.ArrayFormat`.

        Returns:
            Features of all windows; those with faults are listed in ``left_out``.

        Raises:
            InferenceError: shape, rate or units can't be right; the message says what to do.
        """
        form = ArrayFormat(rate_hz, acceleration_unit, gyroscope_unit, columns)
        several = isinstance(motion, list | tuple) and len(motion) > 0 and np.ndim(motion[0]) >= 2
        recordings: Sequence[Any] = motion if several else [motion]
        stamps: Sequence[ArrayLike | None]
        stamps = [None] * len(recordings) if times is None else times if several else [times]
        streams = [
            stream_of(one, form, self.window, at, f"recording {i}" if several else "the array")
            for i, (one, at) in enumerate(zip(recordings, stamps, strict=True))
        ]
        return self.embed_streams(streams)

    def embed_streams(self, streams: Iterable[ImuStream]) -> Embedded:
        """Encode streams of a source, which are in m/s^2 and rad/s already."""
        numbers: list[int] = []
        starts: list[float] = []
        found: list[ImuFeatures] = []
        left_out: list[Exclusion] = []
        for number, stream in enumerate(streams):
            possible, _ = without_impossible(stream)
            hung = find_hung(possible.times, possible.values)
            for part in parts_of([stream], channels_of(stream.values), self.window):
                windows, excluded = part.cut(self.window, hung)
                left_out += [replace(e, recording=str(number)) for e in excluded]
                if windows:
                    numbers += [number] * len(windows)
                    starts += [window.start_s for window in windows]
                    found.append(self.encode(windows))
        begin = np.array(starts, np.float64)
        tokens, times, mask, pooled = _joined(found, self)
        return Embedded(
            recording=np.array(numbers, np.int64),
            starts=begin,
            ends=begin + self.window.duration_s,
            pooled=pooled,
            tokens=tokens,
            token_times=begin[:, None] + times,
            token_mask=mask,
            left_out=tuple(left_out),
        )

    @torch.inference_mode()
    def encode(self, windows: Sequence[Window]) -> ImuFeatures:
        """Encode windows as the evaluation does."""
        imu, sample_mask, channel_mask = stacked(windows)
        scaled = normalise(imu, sample_mask, channel_mask, self.config.normalisation)
        parts = [
            self.module(*(torch.from_numpy(a[i : i + _BATCH]) for a in (scaled, channel_mask, sample_mask)))
            for i in range(0, len(imu), _BATCH)
        ]
        times = parts[0].token_times
        joined = (torch.cat([getattr(p, name) for p in parts]) for name in ("tokens", "token_mask", "pooled"))
        tokens, mask, pooled = joined
        return ImuFeatures(tokens.float(), times, mask, pooled.float())

    def save_pretrained(self, folder: str | Path) -> Path:
        """Write a folder in the layout of Hugging Face, which ``load_imu_encoder`` reads.

        It has ``config.json``, ``model.safetensors``, and a model card, ``README.md``. A card that is there already
        is kept.

        Returns:
            The folder.
        """
        folder = write_encoder(Path(folder), self.module, self.config)
        card = folder / CARD
        if not card.exists():
            n_weights = sum(p.numel() for p in self.module.parameters())
            write_text(card, visible(encoder_card(self.config, n_weights, self.digest())))
        return folder

    def push(
        self, repository: str, *, private: bool = True, token: str | None = None, message: str = "Upload an encoder"
    ) -> str:
        """Upload the folder that ``save_pretrained`` writes to Hugging Face, so that others can load it by name.

        Args:
            repository: ``owner/name``; it is made where it is missing.
            private: of a new repository; False lets everybody see it.
            token: of an account; None takes the one that ``hf auth login`` stored.
            message: of the commit.

        Returns:
            The address of the commit.

        Raises:
            InferenceError: the name is none, or huggingface_hub is missing.
        """
        with TemporaryDirectory() as folder:
            return push(self.save_pretrained(folder), repository, private=private, token=token, message=message)


def load_imu_encoder(
    path: str | Path, weights: str | Path | None = None, allow_incomplete: bool = False
) -> PretrainedImuEncoder:
    """Load a pretrained encoder.

    Args:
        path: a run's folder (its last checkpoint is taken), a checkpoint, or a folder that ``save_pretrained`` or
            ``experiments.adapt`` wrote (or its ``.safetensors`` file). Or a name: ``default`` comes with this package,
            ``limu_bert_x`` needs ``weights``, and ``owner/name`` is fetched from Hugging Face.
        weights: file of an encoder of others.
        allow_incomplete: take the checkpoint of a training that was stopped, too; ``config.incomplete`` and every card
            then say how far it came.

    Raises:
        InferenceError: there is no encoder at that path or of that name, or its files are damaged.
        CheckpointError: a checkpoint that can't be used.
        IncompleteError: a checkpoint of a training that is not complete.
    """
    name = str(path)
    if name in EXTERNAL and not Path(path).exists():
        return PretrainedImuEncoder(*read_external(name, weights))
    if weights is not None:
        raise InferenceError(f"weights: expected only with one of {', '.join(EXTERNAL)}; '{name}' has its own")
    if not Path(path).exists():
        if name in shipped():
            with shipped_folder(name) as folder:
                return PretrainedImuEncoder(*read_encoder(folder))
        if is_repository(name):
            return PretrainedImuEncoder(*read_encoder(fetch(name)))
        raise InferenceError(
            f"{name}: there is no such file or folder; expected a run's folder, a checkpoint, or a name"
            f"{names_hint(name)}"
        )
    return PretrainedImuEncoder(*read_encoder(Path(path), allow_incomplete))


def stacked(windows: Sequence[Window]) -> tuple[NDArray[np.float32], BoolArray, BoolArray]:
    """Values (W, T, 6), sample mask (W, T) and channel mask (W, 6) of windows."""
    return (
        np.stack([window.imu for window in windows]),
        np.stack([window.sample_mask for window in windows]),
        np.stack([window.channel_mask for window in windows]),
    )


def _joined(
    parts: Sequence[ImuFeatures], encoder: PretrainedImuEncoder
) -> tuple[NDArray[np.float32], FloatArray, BoolArray, NDArray[np.float32]]:
    """Tokens (W, L, D), their times (L,), their mask (W, L), pooled (W, P); W may be 0."""
    if not parts:
        return (
            np.empty((0, 0, encoder.module.token_width), np.float32),
            np.empty(0),
            np.empty((0, 0), bool),
            np.empty((0, encoder.pooled_width), np.float32),
        )

    def numpy_of(tensors: Iterator[torch.Tensor]) -> Any:
        return torch.cat(list(tensors)).numpy()

    return (
        numpy_of(part.tokens for part in parts),
        parts[0].token_times.double().numpy(),
        numpy_of(part.token_mask for part in parts),
        numpy_of(part.pooled for part in parts),
    )
