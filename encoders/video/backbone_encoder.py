"""What video encoders around a pretrained network share: freezing, precision, fingerprints and checkpoints.

Frozen, the network has no gradients, never leaves eval mode, and puts nothing into a checkpoint but its fingerprint,
which is compared when the checkpoint is loaded. Not frozen, it is a module like any other: it trains in train mode,
in the precision of whoever trains it, and its weights are in the checkpoint.
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
    """A checkpoint was trained against another video encoder than the one that is there."""


class BackboneEncoder(VideoEncoder):
    """A video encoder around ``backbone``; subclasses say what else than its weights changes the features.

    Attributes:
        backbone: the network.
        frozen: never trained, see the module's docstring.
        weights_description: one line for people that says which weights are loaded.
    """

    def __init__(self, backbone: nn.Module, weights_description: str, frozen: bool, precision: str) -> None:
        """Take the network over.

        Args:
            backbone: the network.
            weights_description: see above.
            frozen: see above.
            precision: of a frozen network: ``float32``, ``bfloat16`` (autocast), or ``auto``, bfloat16 on CUDA only.

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
        """Kind and version of the encoder, and the settings that change the features, as plain values."""

    def train(self, mode: bool = True) -> Self:
        """As every module's, but a frozen backbone stays in eval mode."""
        super().train(mode)
        if self.frozen:
            self.backbone.eval()
        return self

    @contextmanager
    def running(self, device: str) -> Iterator[None]:
        """Where the backbone is run: frozen without gradients and in its own precision, else as it comes."""
        if not self.frozen:
            yield
            return
        low = self.precision_on(device) == "bfloat16"
        with torch.no_grad(), torch.autocast(device, dtype=torch.bfloat16, enabled=low):
            yield

    def precision_on(self, device: str) -> str:
        """What a frozen network computes in on this type of device, ``float32`` or ``bfloat16``."""
        if self.precision == "auto":
            return "bfloat16" if device == "cuda" else "float32"
        return self.precision

    def refuse_other_frames(self, frames: Tensor) -> None:
        """Raise a ValueError for frames that are not uint8 (B, F, 3, H, W) with H = W = ``frame_size``."""
        if frames.dtype != torch.uint8 or frames.ndim != 5 or frames.shape[2:] != (3, *[self.frame_size] * 2):
            raise ValueError(
                f"frames must be uint8 (B, F, 3, {self.frame_size}, {self.frame_size}), "
                f"found {frames.dtype} {tuple(frames.shape)}"
            )

    def fingerprint(self) -> str:
        """SHA-256 over ``identity`` and every weight's name, type, shape and bytes.

        Where a file lies, whether the encoder is frozen and how much goes through at once are left out. With
        ``precision=auto`` features from CUDA and CPU differ by bfloat16's rounding under one fingerprint.
        """
        kind, settings = self.identity()
        digest = hashlib.sha256(f"{kind} {json.dumps(settings, sort_keys=True)}".encode())
        for name, value in sorted(self.backbone.state_dict().items()):
            digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
            digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
        return digest.hexdigest()

    def get_extra_state(self) -> dict[str, str]:
        """What a checkpoint holds beside (or, frozen, instead of) the weights."""
        return {"fingerprint": self.fingerprint() if self.frozen else ""}

    def set_extra_state(self, state: Mapping[str, str]) -> None:
        """Compare a checkpoint's fingerprint with this encoder's.

        Raises:
            FingerprintError: they differ.
        """
        expected = state["fingerprint"]
        if self.frozen and expected and (found := self.fingerprint()) != expected:
            raise FingerprintError(
                f"the checkpoint was trained against a video encoder with fingerprint {expected[:12]}, "
                f"this one ({self.weights_description}) has {found[:12]}: load the same "
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
    # Strict loading looks for every weight; a frozen encoder offers those it has.
    for key, value in module.backbone.state_dict().items():
        state[f"{prefix}backbone.{key}"] = value
