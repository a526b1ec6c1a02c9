"""Encoders by name: those that come with the package, those of others, and those on Hugging Face.

* ``default`` lies in ``encoders/pretrained``, as package data.
* ``limu_bert_x`` is an architecture whose published weights the user has as a file.
* ``owner/name`` is fetched from Hugging Face, by the package ``huggingface_hub``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from core.digest import file_digest
from core.suggestions import did_you_mean
from datamodules.windows.settings import WindowSettings
from encoders.contract import ImuEncoder, ImuInput
from encoders.registry import build_imu_encoder
from encoders.weights import WeightsError, load_weights
from experiments.inference.encoder_files import CONFIG, WEIGHTS, EncoderConfig
from experiments.inference.errors import InferenceError

CARD = "README.md"
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_HUB = "huggingface_hub is not installed; run: pip install 'imu-video-har[hub]'"


@dataclass(frozen=True)
class External:
    """An encoder of others, whose weights are not ours to ship.

    Attributes:
        params: of the architecture of the same name.
        imu_input: length and rate of the windows that it is given.
        normalisation: of these windows.
        source: where its weights are published.
    """

    params: dict[str, Any]
    imu_input: ImuInput
    normalisation: str
    source: str


EXTERNAL = {
    # 20 Hz are its own rate, and acceleration in g times 9.80665 / 9.8 its own unit: encoders/imu/limu_bert_x.py.
    "limu_bert_x": External(
        {"units": "physical"}, ImuInput(100, 20.0), "physical", "https://github.com/WANDS-HKUST/LIMU-BERT-X"
    ),
}


def shipped() -> list[str]:
    """List the names of the encoders that come with the package."""
    folder = resources.files("encoders") / "pretrained"
    return sorted(entry.name for entry in folder.iterdir() if (entry / CONFIG).is_file())


@contextmanager
def shipped_folder(name: str) -> Iterator[Path]:
    """Give the folder of a shipped encoder, also where the package is in a zip archive."""
    with resources.as_file(resources.files("encoders") / "pretrained" / name) as folder:
        yield folder


def read_external(name: str, weights: str | Path | None) -> tuple[ImuEncoder, EncoderConfig]:
    """Make an encoder of others from its published weights.

    Raises:
        InferenceError: the file was not given, is missing, or holds something else.
    """
    known = EXTERNAL[name]
    if weights is None:
        raise InferenceError(
            f"{name}: its weights do not come with this package ({known.source}); expected"
            f" load_imu_encoder('{name}', weights='PATH.safetensors')"
        )
    module = build_imu_encoder(name, known.params, known.imu_input)
    try:
        load_weights(module, Path(weights))
    except WeightsError as error:
        raise InferenceError(f"{name}: {error}") from error
    duration = known.imu_input.duration_s
    window = WindowSettings(duration_s=duration, stride_s=duration, imu_rate_hz=known.imu_input.rate_hz)
    digest = file_digest(Path(weights))
    config = EncoderConfig(
        name, dict(known.params), known.imu_input, known.normalisation, window, None, False, digest, None
    )
    return module, config


def is_repository(name: str) -> bool:
    """Say if a name can be one on Hugging Face, ``owner/name``, and is no folder that was begun here."""
    return bool(_REPOSITORY.fullmatch(name)) and not Path(name).parent.exists()


def fetch(repository: str) -> Path:
    """Fetch an encoder's three files from Hugging Face into its cache.

    Args:
        repository: ``owner/name``.

    Returns:
        The folder that they are in.

    Raises:
        InferenceError: they could not be had.
    """
    snapshot_download: Callable[..., str] = _hub().snapshot_download
    try:
        return Path(snapshot_download(repository, allow_patterns=[CONFIG, WEIGHTS, CARD]))
    except (OSError, ValueError, RuntimeError) as error:
        why = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InferenceError(
            f"{repository}: there is no such folder here, and it could not be fetched from Hugging Face: {why}"
        ) from error


def push(folder: Path, repository: str, *, private: bool, token: str | None, message: str) -> str:
    """Upload an encoder's folder to Hugging Face; the repository is made where it is missing.

    Returns:
        The address of the commit.

    Raises:
        InferenceError: the name is none, or huggingface_hub is missing.
    """
    if not _REPOSITORY.fullmatch(repository):
        raise InferenceError(f"push: expected a repository as OWNER/NAME; found '{repository}'")
    api = _hub().HfApi(token=token)
    api.create_repo(repo_id=repository, private=private, exist_ok=True)
    return str(api.upload_folder(repo_id=repository, folder_path=str(folder), commit_message=message))


def names_hint(name: str) -> str:
    """What a wrong name may have meant, for a message."""
    known = [*shipped(), *EXTERNAL]
    return f"{did_you_mean(name, known)} (there are: {', '.join(known)}; or OWNER/NAME on Hugging Face)"


def _hub() -> Any:
    try:
        import huggingface_hub
    except ImportError as error:
        raise InferenceError(_HUB) from error
    return huggingface_hub
