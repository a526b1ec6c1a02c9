"""Base class of video encoders around a pretrained network: freezing, precision, fingerprints and checkpoints.

A frozen network has no gradients and stays in eval mode. A checkpoint holds only its fingerprint, which is compared
when the checkpoint is loaded. An unfrozen network is an ordinary module: it uses train mode and the precision of the
training, and its weights are in the checkpoint.
"""

from __future__ import annotations

import hashlib
import json
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import Self

from core.errors import MendableError
from encoders.contract import VideoEncoder

PRECISIONS = ("auto", "float32", "bfloat16")


class FingerprintError(MendableError, RuntimeError):
    """A checkpoint belongs to another video encoder than the present one."""


class BackboneEncoder(VideoEncoder):
    """A video encoder around ``backbone``; subclasses define the settings that change the features.

    Attributes:
        backbone: the network.
        frozen: True if the network is never trained, see the module's docstring.
        weights_description: one line for people about the loaded weights.
    """

    def __init__(self, backbone: nn.Module, weights_description: str, frozen: bool, precision: str) -> None:
        """Wrap the network.

        Args:
            backbone: the network.
            weights_description: one line for people about the loaded weights.
            frozen: True freezes the network.
            precision: precision of a frozen network: ``float32``, ``bfloat16`` (autocast), or ``auto``, which is
                bfloat16 on CUDA and float32 elsewhere.

        Raises:
            ValueError: there is no such precision.
        """
        super().__init__()
        if precision not in PRECISIONS:
            raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}; found '{precision}'")
        self.backbone = backbone
        self.weights_description = weights_description
        self.frozen = frozen
        self.precision = precision
        if frozen:
            self.backbone.requires_grad_(False)
            self.backbone.eval()
            self.register_state_dict_post_hook(_drop_weights)  # type: ignore[no-untyped-call]
            self.register_load_state_dict_pre_hook(_keep_weights)  # type: ignore[no-untyped-call]

    @abstractmethod
    def identity(self) -> tuple[str, dict[str, Any]]:
        """Return kind and version of the encoder, and the settings that change the features, as plain values."""

    def train(self, mode: bool = True) -> Self:
        """Set train or eval mode; a frozen backbone stays in eval mode."""
        super().train(mode)
        if self.frozen:
            self.backbone.eval()
        return self

    @contextmanager
    def running(self, device: str) -> Iterator[None]:
        """Run a frozen backbone inside the block without gradients, in its precision; do nothing if not frozen."""
        if not self.frozen:
            yield
            return
        low = self.precision_on(device) == "bfloat16"
        with torch.no_grad(), torch.autocast(device, dtype=torch.bfloat16, enabled=low):
            yield

    def precision_on(self, device: str) -> str:
        """Return the precision of a frozen network on this type of device, ``float32`` or ``bfloat16``."""
        if self.precision == "auto":
            return "bfloat16" if device == "cuda" else "float32"
        return self.precision

    def check_frames(self, frames: Tensor) -> None:
        """Check that frames are uint8 (B, F, 3, H, W) with H = W = ``frame_size``.

        Raises:
            ValueError: type or shape differ.
        """
        if frames.dtype != torch.uint8 or frames.ndim != 5 or frames.shape[2:] != (3, *[self.frame_size] * 2):
            raise ValueError(
                f"frames must be uint8 (B, F, 3, {self.frame_size}, {self.frame_size}), "
                f"found {frames.dtype} {tuple(frames.shape)}"
            )

    def fingerprint(self) -> str:
        """Compute the SHA-256 of ``identity`` and of every weight's name, type, shape and bytes.

        The path of the weights, ``frozen`` and ``chunk`` are left out. With ``precision=auto``, features from CUDA and
        CPU have the same fingerprint, although they differ by bfloat16's rounding.
        """
        kind, settings = self.identity()
        digest = hashlib.sha256(f"{kind} {json.dumps(settings, sort_keys=True)}".encode())
        for name, value in sorted(self.backbone.state_dict().items()):
            digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
            digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
        return digest.hexdigest()

    def get_extra_state(self) -> dict[str, str]:
        """Return the fingerprint for a checkpoint; empty if the encoder is not frozen."""
        return {"fingerprint": self.fingerprint() if self.frozen else ""}

    def set_extra_state(self, state: Mapping[str, str]) -> None:
        """Compare a checkpoint's fingerprint with this encoder's.

        Raises:
            FingerprintError: the fingerprints differ.
        """
        expected = state["fingerprint"]
        if self.frozen and expected and (found := self.fingerprint()) != expected:
            raise FingerprintError(
                f"the checkpoint was trained with a video encoder with fingerprint {expected[:12]}, "
                f"but this one ({self.weights_description}) has {found[:12]}: load the same "
                "weights, with the same model, frame size, normalisation and pooling"
            )


def _drop_weights(module: nn.Module, state: dict[str, Any], prefix: str, metadata: Any) -> None:
    for key in [key for key in state if key.startswith(f"{prefix}backbone.")]:
        del state[key]


def _keep_weights(module: nn.Module, state: dict[str, Any], prefix: str, *arguments: Any) -> None:
    assert isinstance(module, BackboneEncoder)
    if any(key.startswith(f"{prefix}backbone.") for key in state):
        raise FingerprintError(
            "the checkpoint holds a trained video backbone, but this encoder is frozen: set frozen=false to load it"
        )
    # Strict loading needs every weight, so add the frozen encoder's own weights to the state.
    for key, value in module.backbone.state_dict().items():
        state[f"{prefix}backbone.{key}"] = value
