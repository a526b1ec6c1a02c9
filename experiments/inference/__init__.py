"""Use of what was pretrained: an encoder for arrays, a saved head, and predictions for recordings of any length.

``load_imu_encoder`` and ``ImuFeatures`` are for other people's programs; the commands ``adapt`` and ``predict`` use the
rest. :mod:`encoders` gives ``load_imu_encoder`` too, without importing this package before it is asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from experiments.inference.errors import InferenceError

if TYPE_CHECKING:
    from experiments.inference.encoder import PretrainedImuEncoder, load_imu_encoder
    from experiments.inference.transformer import ImuFeatures

__all__ = ["ImuFeatures", "InferenceError", "PretrainedImuEncoder", "load_imu_encoder"]

# Imported when somebody asks for them: torch takes 300 MB, and the process that reads recordings does without it.
_LATER = {"ImuFeatures": "transformer", "PretrainedImuEncoder": "encoder", "load_imu_encoder": "encoder"}


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
