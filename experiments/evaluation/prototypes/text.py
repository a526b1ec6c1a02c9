"""Prototypes from the names of activities, without a label and without a video.

The video encoder may be the image half of a CLIP model. Its text half then embeds a name where a picture of the
activity would be. The trained video head and projection take the name as a still clip that shows it in every frame.
IMU windows take the nearest name.

Names and pictures are known to lie in separate cones of CLIP's space (Liang et al. 2022, "Mind the Gap"). A head that
has seen only pictures is not trained for the difference.

Shape legend: A names, F frames, D width of CLIP's space, E width of the space shared with the IMU.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from core.digest import digest_of
from datamodules.labels.label_column import UNLABELLED, distinct
from datamodules.labels.natural_order import natural_key
from datamodules.windows.cut import WindowSettings
from encoders.contract import VideoEncoder
from encoders.registry import build_video_encoder
from encoders.text.clip import ClipText, TextEncoderError
from encoders.weights import WeightsError
from experiments.artifacts.video_encoder import video_encoder_params
from experiments.evaluation.prototypes.video import NoPrototypesError, Prototypes
from experiments.evaluation.targets import Target
from experiments.runtime.console import console
from experiments.runtime.errors import UserError
from experiments.settings.schema import Config
from lightning_modules.pretraining import ImuPretraining


@dataclass(frozen=True)
class NamedActivities:
    """Names of activities, embedded in CLIP's space.

    Attributes:
        names: (A,).
        embeddings: (A, D) unit vectors.
        video_encoder: fingerprint of the video encoder, the text encoder's twin.
        origin: digest of the names, the sentences around them, and the text encoder with its weights.
    """

    names: list[str]
    embeddings: Tensor
    video_encoder: str
    origin: str


def activities_of(targets: Sequence[Target]) -> list[str]:
    """List all activities of the targets, in natural order."""
    names = {name for target in targets for name in distinct(target.shards.table["activity"])} - {UNLABELLED}
    return sorted(names, key=natural_key)


def embed_names(config: Config, names: Sequence[str]) -> NamedActivities:
    """Embed names by the text encoder of the settings, after a check that it is the video encoder's twin.

    Args:
        config: ``text_encoder`` and ``video_encoder`` are used.
        names: activities.

    Raises:
        NoPrototypesError: the video encoder shares no space with text, no text encoder is set, the text encoder is not
            available, or it is not the video encoder's twin. The message names the settings to change.
    """
    _refuse_without_joint_space(config)
    settings = config.text_encoder
    if not settings.name:
        raise NoPrototypesError(
            "no text encoder: set text_encoder.name to open_clip's name of the video encoder's CLIP model, e.g."
            " ViT-B-32-quickgelu, and text_encoder.weights to its weights"
        )
    video_encoder = _video_encoder(config)
    try:
        text = ClipText(settings.name, settings.weights, video_encoder.frame_size)
        text.check_same_model(_video_encoder(config, precision="float32") if _is_low(config) else video_encoder)
    except TextEncoderError as error:
        raise NoPrototypesError(f"text_encoder: {error}") from error
    console.print(f"text encoder: {text.description}", highlight=False)
    names = list(names)
    return NamedActivities(
        names, text.embed(names), video_encoder.fingerprint(), digest_of([names, text.fingerprint()])
    )


@torch.inference_mode()
def text_prototypes(
    model: ImuPretraining, named: NamedActivities, window: WindowSettings, device: torch.device | str = "cpu"
) -> Prototypes:
    """Build prototypes of named activities: each name is embedded as if it were every frame of a clip.

    Args:
        model: the checkpoint; its video head and projection are used.
        named: names in the space of the frame features that the checkpoint was trained on.
        window: length and number of frames of a clip, used if the checkpoint does not record its own.
        device: device to compute on.

    Raises:
        NoPrototypesError: the checkpoint was trained with another video encoder.
    """
    trained_with = str((model.settings.video_encoder or {}).get("fingerprint"))
    if trained_with != named.video_encoder:
        raise NoPrototypesError(
            f"the checkpoint was trained with video encoder {trained_with[:12]}..., but the settings give"
            f" {named.video_encoder[:12]}...: use the settings of its pretraining"
        )
    if model.settings.window:
        window = WindowSettings(**model.settings.window)
    n_names, n_frames = len(named.names), window.frames
    times = (torch.arange(n_frames) + 0.5) * window.duration_s / n_frames  # the builder of shards places frames so
    model = model.to(device).eval()
    vectors = model.embed_video(
        named.embeddings[:, None].repeat(1, n_frames, 1).to(device),
        times.repeat(n_names, 1).to(device),
        torch.ones(n_names, n_frames, dtype=torch.bool, device=device),
    )
    origin = digest_of([named.origin, named.video_encoder, window.duration_s, window.frames])
    return Prototypes(list(named.names), vectors.float().cpu().numpy(), [0] * n_names, origin, False)


def _refuse_without_joint_space(config: Config) -> None:
    encoder = config.video_encoder
    pooling = encoder.params.get("pooling")
    if encoder.name != "vit" or pooling != "joint" or encoder.weights == "self_supervised":
        raise NoPrototypesError(
            f"the video encoder ({encoder.name}, weights {encoder.weights}"
            f"{f', pooling {pooling}' if pooling else ''}) has no space that it shares with text: pretrain with"
            " video_encoder.name=vit, weights of a CLIP model, e.g. video_encoder.weights=pretrained and"
            " video_encoder.params.model=vit_base_patch32_clip_quickgelu_224.openai, and"
            " video_encoder.params.pooling=joint"
        )


def _is_low(config: Config) -> bool:
    return config.video_encoder.params.get("precision") == "bfloat16"


def _video_encoder(config: Config, **others: Any) -> VideoEncoder:
    """Build the settings' video encoder, or one with other settings, without reading any video."""
    encoder = config.video_encoder
    try:
        torch.manual_seed(config.video_pretraining.seed)  # only weights='random' draws numbers, as in pretraining
        params = {**video_encoder_params(config), "weights": encoder.weights, **others}
        return build_video_encoder(encoder.name, params).eval()
    except (WeightsError, ValueError, UserError) as error:
        raise NoPrototypesError(f"video_encoder: {error}") from error
