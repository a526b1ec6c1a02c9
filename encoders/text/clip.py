"""Text half of a CLIP model, by open_clip, which embeds names of activities in the space of the image half.

A name is put into several sentences, as in the paper's zero-shot experiments (Radford et al. 2021, section 3.1.4).
The embedding is the normalised mean of the sentences' unit vectors. The sentences are a selection of those that the
paper's authors used for actions (UCF101, Kinetics).

Shape legend: A names, N pictures, H = W size of pictures, E width of the common space of text and pictures.
"""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Sequence
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor
from torch.nn import functional as F

from core.errors import MendableError
from core.suggestions import did_you_mean
from encoders.contract import VideoEncoder
from encoders.video.vit_backbone import normalise_frames

TEMPLATES = (
    "a photo of a person {}.",
    "a video of a person {}.",
    "a photo of a person doing {}.",
    "a video of a person doing {}.",
    "a photo of a person during {}.",
    "a video of a person during {}.",
)
RANDOM = "random"
SUFFIXES = (".safetensors", ".pt", ".pth", ".bin")
# Largest distance of two unit vectors from the same weights: float32 costs about 1e-6, another kind of GELU far more.
MAX_DISTANCE = 5e-4


class TextEncoderError(MendableError, RuntimeError):
    """A text encoder is unavailable or does not fit the video encoder; the message names the remedy."""


class ClipText:
    """A whole, frozen CLIP model on the CPU; it embeds names, and pictures to compare it with a video encoder.

    Attributes:
        model: open_clip's name of the architecture.
        width: E.
        description: one line for people about the loaded weights.
    """

    def __init__(self, model: str, weights: str, image_size: int | None = None) -> None:
        """Make the model.

        Args:
            model: open_clip's name, e.g. ``ViT-B-32-quickgelu``.
            weights: a file of the whole model (.safetensors; .pt, .pth and .bin are read with ``weights_only``), a tag
                of open_clip, e.g. ``openai``, which may be downloaded, or ``random``, which must be set explicitly.
            image_size: size of pictures, if it differs from the model's own; position embeddings are resampled.

        Raises:
            TextEncoderError: open_clip is not installed or doesn't know the name, or the weights are unavailable.
        """
        library = _open_clip()
        _check_known(library, model, weights)
        self.model = model
        self.description = f"RANDOM weights for {model}" if weights == RANDOM else f"weights for {model}: {weights}"
        self._clip = _create(library, model, weights, image_size)
        try:
            self._tokenise = library.get_tokenizer(model)
        except (OSError, ImportError) as error:
            raise TextEncoderError(f"the tokeniser of '{model}' could not be loaded: {error}") from error
        self.width = int(self._sentences(["a person"]).shape[1])

    def embed(self, names: Sequence[str]) -> Tensor:
        """Names in the space shared with pictures, (A, E) float32 unit vectors; underscores are read as blanks."""
        found = []
        for name in names:
            spoken = " ".join(name.replace("_", " ").split())
            sentences = self._sentences([template.format(spoken) for template in TEMPLATES])
            found.append(F.normalize(sentences.mean(0), dim=0))
        return torch.stack(found) if found else torch.zeros(0, self.width)

    @torch.inference_mode()
    def embed_images(self, frames: Tensor) -> Tensor:
        """Embed pictures (N, 3, H, W) uint8 with the model's own normalisation -> (N, E) float32 unit vectors."""
        visual = self._clip.visual
        pixels = normalise_frames(frames, torch.tensor(visual.image_mean), torch.tensor(visual.image_std))
        return F.normalize(self._clip.encode_image(pixels).float(), dim=1).clone()

    def fingerprint(self) -> str:
        """Compute the SHA-256 of the architecture's name, the sentences, and every weight of the text half."""
        digest = hashlib.sha256(f"clip text 1 {self.model} {TEMPLATES}".encode())
        for name, value in sorted(self._clip.state_dict().items()):
            if not name.startswith("visual."):
                digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
                digest.update(value.detach().contiguous().flatten().view(torch.uint8).numpy())
        return digest.hexdigest()

    @torch.inference_mode()
    def check_same_model(self, video_encoder: VideoEncoder) -> None:
        """Check that a video encoder's frame tokens lie in this model's space: compare embeddings of test pictures.

        Args:
            video_encoder: encoder on the CPU, in float32: bfloat16's rounding would hide another activation function.

        Raises:
            TextEncoderError: width, weights, activation function or normalisation differ.
        """
        if video_encoder.token_width != self.width:
            raise TextEncoderError(
                f"the video encoder's frames are {video_encoder.token_width} wide, text by '{self.model}' {self.width}:"
                " they are not halves of one CLIP model"
            )
        pictures = _test_pictures(video_encoder.frame_size)
        mask = torch.ones(1, len(pictures), dtype=torch.bool)
        seen = video_encoder(pictures.unsqueeze(0), mask).frame_tokens[0]
        distance = (F.normalize(seen.float(), dim=1) - self.embed_images(pictures)).norm(dim=1).max().item()
        if not distance < MAX_DISTANCE:
            raise TextEncoderError(
                f"the video encoder and the image half of '{self.model}' ({self.description}) embed the same picture"
                f" differently ({distance:.2g} apart, expected less than {MAX_DISTANCE}): weights, activation"
                " function (quickgelu or not), pooling or normalisation are not the same"
            )

    @torch.inference_mode()
    def _sentences(self, sentences: list[str]) -> Tensor:
        encoded: Tensor = self._clip.encode_text(self._tokenise(sentences)).float()
        return F.normalize(encoded, dim=1).clone()


def _open_clip() -> Any:
    """Import open_clip, which only this encoder needs."""
    try:
        return importlib.import_module("open_clip")
    except ImportError as error:
        raise TextEncoderError(
            "text needs the package open_clip_torch, which is not installed: run `make setup`, or"
            " `pip install '.[clip]'` in the checkout"
        ) from error


def _check_known(library: Any, model: str, weights: str) -> None:
    known: list[str] = library.list_models()
    if model not in known:
        hint = did_you_mean(model, known, most=5) or "; open_clip.list_models() lists them"
        raise TextEncoderError(f"open_clip {library.__version__} has no model '{model}'{hint}")
    if weights == RANDOM or Path(weights).is_file():
        return
    if Path(weights).suffix in SUFFIXES or "/" in weights:
        raise TextEncoderError(f"there is no weights file {weights}")
    tags: list[str] = library.list_pretrained_tags_by_model(model)
    if weights not in tags:
        raise TextEncoderError(
            f"weights for '{model}' must be a file or one of open_clip's tags ({', '.join(tags) or 'it has none'});"
            f" found '{weights}'. Random weights must be set explicitly: weights=random"
        )


def _create(library: Any, model: str, weights: str, image_size: int | None) -> Any:
    settings = {"force_image_size": image_size, "pretrained_image": False, "pretrained_text": False}
    if weights == RANDOM:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return library.create_model(model, **settings).eval().requires_grad_(False)
    path = Path(weights)
    if path.is_file() and path.suffix not in SUFFIXES:
        raise TextEncoderError(f"{path}: expected a file that ends in {', '.join(SUFFIXES)}")
    try:
        made = library.create_model(model, pretrained=weights, require_pretrained=True, **settings)
    except (OSError, RuntimeError, KeyError, UnpicklingError, SafetensorError) as error:
        reason = " ".join(str(error).split()).split(". ")[0]  # torch goes on to advise weights_only=False
        raise TextEncoderError(
            f"weights for '{model}' could not be loaded from '{weights}' ({type(error).__name__}: {reason}). Offline,"
            " either fill the hub's cache on a machine with a network (HF_HOME) and copy it here, or name a local"
            " .safetensors file of the whole model"
        ) from error
    return made.eval().requires_grad_(False)


def _test_pictures(size: int) -> Tensor:
    """Generate four fixed pictures, (4, 3, size, size) uint8: smooth colours (two), stripes and noise."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(2, 3, 4, 4, generator=generator)
    smooth = F.interpolate(coarse, size=(size, size), mode="bilinear")
    stripes = (torch.arange(size) // max(1, size // 8) % 2).float().expand(1, 3, size, size)
    noise = torch.rand(1, 3, size, size, generator=generator)
    return (torch.cat([smooth, stripes, noise]) * 255).to(torch.uint8)
