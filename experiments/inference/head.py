"""A saved head: features of windows -> calibrated probabilities of activities.

The folder of a head has all that predicting needs: ``head.json`` (classes, preprocessing, calibration, and where it
comes from), ``head.safetensors`` (its numbers), and ``encoder/`` if it uses an encoder. Nothing in it is code.

Shape legend: W windows, P features, C classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save

from core.digest import digest_of, file_digest, sealed
from core.durable import write_atomically, write_json
from datamodules.handcrafted import FEATURE_NAMES, handcrafted_features
from datamodules.windows.cut import Window
from datamodules.windows.settings import WindowSettings
from experiments.inference.encoder import PretrainedImuEncoder, load_imu_encoder, stacked
from experiments.inference.encoder_files import read_tensors
from experiments.inference.errors import InferenceError
from experiments.inference.head_facts import BLOCKS, FORMAT, is_private, read_facts
from experiments.inference.json_files import ENCODER, HEAD
from experiments.inference.parts import on_a_grid
from lightning_modules.probe import LinearProbe, Standardisation

NUMBERS = "head.safetensors"
_TENSORS = ("mean", "scale", "factor", "weight", "bias")


@dataclass(frozen=True)
class Head:
    """A fitted head.

    Attributes:
        method: that it was fitted by, a key of ``BLOCKS``.
        classes: activities, (C,).
        probe: standardisation, weights and bias.
        temperature: that logits are divided by.
        window: settings that windows are cut with.
        encoder: of the pretrained features; None without.
        gyroscope: False masks the gyroscope, as in the study.
        about: data, people, estimate and more, plain values for the model card.
    """

    method: str
    classes: tuple[str, ...]
    probe: LinearProbe
    temperature: float
    window: WindowSettings
    encoder: PretrainedImuEncoder | None
    gyroscope: bool = True
    about: Mapping[str, Any] = field(default_factory=dict)

    @property
    def grid(self) -> WindowSettings:
        """Settings for recordings of any length: windows one behind the other."""
        return on_a_grid(self.window)

    @property
    def calibrated(self) -> LinearProbe:
        """The probe with the temperature in its numbers."""
        return replace(self.probe, weight=self.probe.weight / self.temperature, bias=self.probe.bias / self.temperature)

    @property
    def private(self) -> bool:
        """Whether the people of its study go by pseudonyms."""
        return is_private(self.about)

    def features(self, windows: Sequence[Window]) -> NDArray[np.float32]:
        """Compute features of windows, (W, P), as the evaluation does."""
        if not self.gyroscope:
            windows = [_without_gyroscope(window) for window in windows]
        blocks: dict[str, Callable[[], NDArray[np.float32]]] = {
            "handcrafted": lambda: handcrafted_features(*stacked(windows), self.window.imu_rate_hz),
            "pretrained": lambda: self._pretrained(windows),
        }
        return np.concatenate([blocks[name]() for name in BLOCKS[self.method]], axis=1)

    def probabilities(self, windows: Sequence[Window]) -> NDArray[np.float64]:
        """Predict calibrated probabilities, (W, C)."""
        if not windows:
            return np.empty((0, len(self.classes)))
        return self.calibrated.probabilities(self.features(windows))

    def _pretrained(self, windows: Sequence[Window]) -> NDArray[np.float32]:
        assert self.encoder is not None
        return np.asarray(self.encoder.encode(windows).pooled.numpy())


def save_head(head: Head, folder: Path) -> Path:
    """Write a head's files; ``head.json`` comes last, with digests of the others.

    Returns:
        The folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    s = head.probe.standardisation
    values = {
        "mean": s.mean,
        "scale": s.scale,
        "factor": np.broadcast_to(np.asarray(s.factor, np.float64), s.mean.shape),
        "weight": head.probe.weight,
        "bias": head.probe.bias,
    }
    tensors = {name: torch.from_numpy(np.array(value, np.float64, order="C")) for name, value in values.items()}
    write_atomically(folder / NUMBERS, lambda path: path.write_bytes(save(tensors)))
    encoder = None
    if head.encoder is not None:
        head.encoder.save_pretrained(folder / ENCODER)
        encoder = {"weights": head.encoder.digest(), "checkpoint": head.encoder.config.checkpoint}
    content = {
        "format": FORMAT,
        "method": head.method,
        "classes": list(head.classes),
        "temperature": head.temperature,
        "clip": None if np.isinf(s.clip) else s.clip,
        "window": asdict(head.window),
        "gyroscope": head.gyroscope,
        "handcrafted": digest_of(list(FEATURE_NAMES)),
        "numbers": file_digest(folder / NUMBERS),
        "encoder": encoder,
        "about": dict(head.about),
    }
    write_json(folder / HEAD, sealed(content))
    return folder


def load_head(folder: str | Path) -> Head:
    """Load a head.

    Raises:
        InferenceError: a file is missing or damaged, or two don't belong together; one sentence says which.
    """
    folder = Path(folder)
    facts = read_facts(folder)
    path, numbers = folder / HEAD, folder / NUMBERS
    method, classes = facts.method, facts.classes
    tensors = read_tensors(numbers)
    if file_digest(numbers) != facts.numbers:
        raise InferenceError(f"{numbers}: damaged, or of another head: its digest is not the one in {path}")
    encoder = _encoder(folder, method, facts.encoder, path)
    probe = _probe(tensors, len(classes), facts.clip, numbers)
    widths = {"handcrafted": len(FEATURE_NAMES), "pretrained": encoder.pooled_width if encoder else 0}
    width = sum(widths[block] for block in BLOCKS[method])
    if len(probe.standardisation.mean) != width:
        raise InferenceError(f"{numbers}: {len(probe.standardisation.mean)} features; {method} has {width}")
    return Head(method, classes, probe, facts.temperature, facts.window, encoder, facts.gyroscope, facts.about)


def _encoder(folder: Path, method: str, reference: Any, path: Path) -> PretrainedImuEncoder | None:
    if "pretrained" not in BLOCKS[method]:
        return None
    encoder = load_imu_encoder(folder / ENCODER)
    if not isinstance(reference, Mapping) or reference.get("weights") != encoder.digest():
        raise InferenceError(f"{folder / ENCODER}: not the encoder that {path} was fitted with")
    return encoder


def _probe(tensors: Mapping[str, torch.Tensor], n_classes: int, clip: float, path: Path) -> LinearProbe:
    if set(tensors) != set(_TENSORS):
        raise InferenceError(f"{path}: it has {', '.join(sorted(tensors))}; expected {', '.join(_TENSORS)}")
    mean, scale, factor, weight, bias = (tensors[name].double().numpy() for name in _TENSORS)
    shapes = [mean.shape, scale.shape, factor.shape, weight.shape, bias.shape]
    width = mean.shape
    if shapes != [width, width, width, (n_classes, *width), (n_classes,)] or mean.ndim != 1:
        raise InferenceError(f"{path}: shapes {shapes} don't fit {n_classes} classes")
    if not all(np.isfinite(value).all() for value in (mean, scale, factor, weight, bias)):
        raise InferenceError(f"{path}: damaged: it has numbers that are not finite")
    return LinearProbe(Standardisation(mean, scale, clip, factor), weight, bias)


def _without_gyroscope(window: Window) -> Window:
    imu, channel_mask = window.imu.copy(), window.channel_mask.copy()
    imu[:, 3:], channel_mask[3:] = 0, False
    return replace(window, imu=imu, channel_mask=channel_mask)
