"""Files of an encoder: checkpoints of pretraining, and folders with ``config.json`` and ``model.safetensors``."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save

from core.digest import file_digest, sealed
from core.durable import write_atomically, write_json
from core.errors import first_line
from core.registry import UnknownNameError
from core.room import out_of_files
from datamodules.labels.natural_order import natural_key
from datamodules.signal import NORMALISATIONS
from datamodules.windows.settings import WindowSettings
from encoders.contract import ImuEncoder, ImuInput
from encoders.registry import build_imu_encoder
from encoders.weights import read_safetensors
from experiments.inference.errors import InferenceError
from experiments.inference.json_files import ENCODER, check_seal, read_json, settings_of

if TYPE_CHECKING:
    from lightning_modules.pretraining import ImuPretraining

CONFIG, WEIGHTS = "config.json", "model.safetensors"
_FORMAT = "imu-video-har encoder 1"


@dataclass(frozen=True)
class EncoderConfig:
    """What an encoder was made from, and how its windows were.

    Attributes:
        name: of the architecture, in the registry.
        params: its settings.
        imu_input: length and rate of its windows.
        normalisation: of its windows.
        window: settings that its windows were cut with.
        pretraining_subjects: "source/subject" of everybody seen in pretraining; None if unknown.
        simulated: pretrained on simulated people.
        checkpoint: SHA-256 of the checkpoint that it comes from.
        seen: the same people by data set, as :func:`seen_sets` gives them; None if unknown.
        incomplete: how far its training came, e.g. ``step 7 of 1,400``; empty if to its end.
    """

    name: str
    params: dict[str, Any]
    imu_input: ImuInput
    normalisation: str
    window: WindowSettings
    pretraining_subjects: list[str] | None
    simulated: bool
    checkpoint: str
    seen: list[dict[str, Any]] | None = None
    incomplete: str = ""


def seen_sets(subjects: Sequence[str] | None, labels: bool) -> list[dict[str, Any]] | None:
    """List what an encoder has seen: the data that can be no test of it.

    Args:
        subjects: "source/subject" of everybody; None if unknown.
        labels: some of their labels were learnt from.

    Returns:
        For each data set ``{"dataset": name of the source, "subjects": [...], "labels": bool}``. In a file written by
        hand, ``subjects`` may be ``"all"`` as well. None if unknown.
    """
    if subjects is None:
        return None
    by_source: dict[str, list[str]] = {}
    for both in subjects:
        source, _, subject = both.partition("/")
        by_source.setdefault(source, []).append(subject)
    return [
        {"dataset": source, "subjects": sorted(people, key=natural_key), "labels": labels}
        for source, people in sorted(by_source.items())
    ]


def read_encoder(path: Path, allow_incomplete: bool = False) -> tuple[ImuEncoder, EncoderConfig]:
    """Read an encoder; see :func:`experiments.inference.encoder.load_imu_encoder`.

    Raises:
        InferenceError: there is none, or its files are damaged.
        IncompleteError: a checkpoint of a training that is not complete.
    """
    if path.is_dir():
        for folder in (path, path / ENCODER):
            if (folder / CONFIG).is_file():
                return _read_folder(folder, folder / WEIGHTS)
        from experiments.runtime.run_folder import LAST  # it imports all settings

        path = path / "checkpoints" / LAST
        if not path.is_file():
            raise InferenceError(
                f"{path.parent.parent}: no encoder in this folder; expected checkpoints/{LAST} (a run's folder), or"
                f" {CONFIG} and {WEIGHTS}"
            )
    if not path.is_file():
        raise InferenceError(f"{path}: there is no such file or folder; expected a run's folder, or a checkpoint")
    return (
        _read_folder(path.parent, path) if path.suffix == ".safetensors" else _read_checkpoint(path, allow_incomplete)
    )


def of_checkpoint(model: ImuPretraining, checkpoint: str, incomplete: str = "") -> tuple[ImuEncoder, EncoderConfig]:
    """Take the encoder out of a loaded checkpoint with this digest; ``incomplete`` is how far its training came."""
    s = model.settings
    imu_input = ImuInput(**s.imu_input)
    window = WindowSettings(**s.window) if s.window else WindowSettings()
    if (window.samples, window.imu_rate_hz) != (imu_input.samples, imu_input.rate_hz):
        window = replace(window, duration_s=imu_input.duration_s, imu_rate_hz=imu_input.rate_hz)
    config = EncoderConfig(
        s.imu_encoder["name"],
        dict(s.imu_encoder["params"]),
        imu_input,
        s.normalisation,
        window,
        s.pretraining_subjects,
        s.simulated,
        checkpoint,
        seen_sets(s.pretraining_subjects, bool(s.labels)),
        incomplete,
    )
    return model.imu_encoder, config


def write_encoder(folder: Path, module: ImuEncoder, config: EncoderConfig) -> Path:
    """Write an encoder's two files; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in module.state_dict().items()}
    write_atomically(folder / WEIGHTS, lambda path: path.write_bytes(save(weights, {"format": "pt"})))
    content = {"format": _FORMAT, **asdict(config), "weights": weights_digest(module)}
    write_json(folder / CONFIG, sealed(content))
    return folder


def weights_digest(module: ImuEncoder) -> str:
    """SHA-256 of names, types, shapes and values of all weights, whatever file they are in."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        values = tensor.detach().cpu().contiguous()
        digest.update(f"{name} {values.dtype} {tuple(values.shape)};".encode())
        digest.update(values.view(torch.uint8).numpy().tobytes() if values.ndim else values.numpy().tobytes())
    return digest.hexdigest()


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """Read a safetensors file.

    Raises:
        InferenceError: it is missing, or damaged.
    """
    try:
        return read_safetensors(path)[0]
    except FileNotFoundError as error:
        raise InferenceError(f"{path}: the file with the weights is missing") from error
    except (SafetensorError, OSError, ValueError) as error:
        if out_of_files(error):
            raise
        raise InferenceError(f"{path}: damaged: it is no safetensors file that can be read ({error})") from error


def _seen(content: Mapping[str, Any], path: Path) -> list[dict[str, Any]] | None:
    """What an encoder has seen, as its file says it; files from before that list have the people alone."""
    if "seen" not in content:
        return seen_sets(content["pretraining_subjects"], False)
    seen = content["seen"]
    if seen is None:
        return None
    for entry in seen if isinstance(seen, list) else [None]:
        good = (
            isinstance(entry, dict)
            and isinstance(entry.get("dataset"), str)
            and (entry.get("subjects") == "all" or isinstance(entry.get("subjects"), list))
            and isinstance(entry.get("labels"), bool)
        )
        if not good:
            raise InferenceError(
                f"{path}: damaged: in 'seen' expected {{dataset: NAME, subjects: all or a list, labels: true or false}}"
                f"; found {entry!r}"
            )
    return [dict(entry) for entry in seen]


def _read_checkpoint(path: Path, allow_incomplete: bool) -> tuple[ImuEncoder, EncoderConfig]:
    from experiments.runtime.completeness import refuse_incomplete
    from lightning_modules.pretraining import ImuPretraining  # Lightning takes 300 MB, which predicting does not need

    stopped = refuse_incomplete(path, allow_incomplete, "allow_incomplete=True, or --allow-incomplete")
    return of_checkpoint(ImuPretraining.load_pretrained(path), file_digest(path), stopped)


def _read_folder(folder: Path, weights: Path) -> tuple[ImuEncoder, EncoderConfig]:
    path = folder / CONFIG
    content = read_json(path, f"the {CONFIG} of an encoder")
    if content.get("format") != _FORMAT:
        raise InferenceError(f"{path}: its format is {content.get('format')!r}; expected '{_FORMAT}'")
    try:
        config = EncoderConfig(
            name=str(content["name"]),
            params=dict(content["params"]),
            imu_input=ImuInput(**content["imu_input"]),
            normalisation=content["normalisation"],
            window=settings_of(content["window"], path),
            pretraining_subjects=content["pretraining_subjects"],
            simulated=bool(content["simulated"]),
            checkpoint=str(content["checkpoint"]),
            seen=_seen(content, path),
            incomplete=str(content.get("incomplete", "")),
        )
        people = config.pretraining_subjects
        if people is not None and not (isinstance(people, list) and all(isinstance(each, str) for each in people)):
            raise ValueError("'pretraining_subjects' is no list of names")
        if config.normalisation not in NORMALISATIONS:
            raise ValueError(f"normalisation is {config.normalisation!r}")
        module = build_imu_encoder(config.name, config.params, config.imu_input)
    except UnknownNameError as error:
        raise InferenceError(f"{path}: {error}") from error
    except KeyError as error:
        raise InferenceError(f"{path}: damaged: {error} is missing") from error
    except InferenceError:
        raise
    except Exception as error:  # whatever settings from outside make torch raise: sizes that no memory has, too
        raise InferenceError(f"{path}: damaged: {first_line(error)}") from error
    try:
        module.load_state_dict(read_tensors(weights))
    except RuntimeError as error:
        why = str(error).splitlines()[-1].strip()
        raise InferenceError(f"{weights}: its weights don't fit {path}: {why}") from error
    if weights_digest(module) != content.get("weights"):
        raise InferenceError(f"{weights}: damaged, or of another encoder: its weights are not those of {path}")
    check_seal(content, path)  # the last, as the others say more
    return module, config
