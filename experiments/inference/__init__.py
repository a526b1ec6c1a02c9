"""Use of what was pretrained: an encoder for arrays, a saved head, and predictions for recordings of any length.

``load_imu_encoder`` and ``ImuFeatures`` are for other people's programs; the commands ``adapt`` and ``predict`` use the
rest. :mod:`encoders` gives ``load_imu_encoder`` too, without importing this package before it is asked for.
"""

from experiments.inference.encoder import PretrainedImuEncoder, load_imu_encoder
from experiments.inference.errors import InferenceError
from experiments.inference.transformer import ImuFeatures

__all__ = ["ImuFeatures", "InferenceError", "PretrainedImuEncoder", "load_imu_encoder"]
