"""Loading of video models of the package transformers; weights load completely or not at all, and never by pickle."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from torch import nn

from core.registry import unknown_name
from encoders.video.hub import hub_or_cache
from encoders.weights import WeightsError, read_safetensors

IMAGENET_MEAN, IMAGENET_STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
_CONFIG = "config.json"
_PREPROCESSORS = ("video_preprocessor_config.json", "preprocessor_config.json")
_NEEDED = [_CONFIG, *_PREPROCESSORS, "model*.safetensors", "model.safetensors.index.json"]
_REMEDY = (
    "Offline, either fill the hub's cache on a machine with a network (HF_HOME) and copy it here, or set weights to a "
    "local folder as transformers' save_pretrained writes it, or to a .safetensors file. Random weights must be set "
    "explicitly: weights=random."
)


class MissingPackageError(WeightsError):
    """A needed optional package is not installed; the message says how to install it."""


@dataclass
class HubParams:
    """Settings of a video model of transformers, and of its weights.

    Attributes:
        model: name of the model on the hub, for ``weights=pretrained``.
        revision: branch, tag or commit of the model; a commit can't change. Empty takes the newest.
        weights: ``pretrained`` (from the hub or its cache), a folder with config.json and safetensors, a
            safetensors file (with config.json beside it, or ``config``), or ``random``, which must be set explicitly.
        config: overrides of transformers' defaults for the model; only for ``random`` and a file without config.json.
        mean: mean of each colour of a frame in 0 ... 1, which is subtracted; empty takes the model's own.
        std: standard deviation of each colour, the divisor; empty takes the model's own.
    """

    model: str = ""
    revision: str = ""
    weights: str = "pretrained"
    config: dict[str, Any] = field(default_factory=dict)
    mean: list[float] = field(default_factory=list)
    std: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Architecture:
    """The classes of transformers for an encoder.

    Attributes:
        name: name of the encoder, for messages.
        module: module of transformers, e.g. ``models.videomae``.
        model_class: name of the model's class in the module.
        config_class: name of the configuration's class in the module.
        left_out: prefixes of weights in a file that are ignored: heads and decoders.
        needed: prefix of the weights that a file must have; other weights are not used.
    """

    name: str
    module: str
    model_class: str
    config_class: str
    left_out: tuple[str, ...]
    needed: str = ""


class HubModel(NamedTuple):
    """A model with its weights.

    Attributes:
        model: transformers' model.
        description: one line for people about the loaded weights.
        mean: mean of each colour of a frame in 0 ... 1.
        std: standard deviation of each colour.
    """

    model: Any
    description: str
    mean: list[float]
    std: list[float]


def load_model(architecture: Architecture, params: HubParams) -> HubModel:
    """Build a model and load its weights.

    The normalisation comes from ``params``, or else from the preprocessor's file beside the weights. The default is
    ImageNet's, with which both VideoMAE and V-JEPA 2 were trained.

    Raises:
        MissingPackageError: transformers is not installed.
        UnknownNameError: ``config`` has a key that the model lacks.
        ValueError: a setting has an invalid value.
        WeightsError: the weights are unavailable or don't fit; the message names the remedy.
    """
    model_class, config_class = _classes(architecture)
    if params.weights == "random":
        model = model_class(_made_config(architecture, config_class, params))
        said = f"RANDOM weights for {architecture.name}, as weights=random asks for"
        return HubModel(model, said, *_normalisation(params, None))
    path = _downloaded(architecture, params) if params.weights == "pretrained" else Path(params.weights)
    folder = path if path.is_dir() else path.parent
    if path.is_dir():
        if not list(path.glob("*.safetensors")):
            raise WeightsError(
                f"{architecture.name}: there is no .safetensors file in {path}, the only format that is read. On the"
                " hub, a pull request often proposes a conversion (revision=refs/pr/1 or so); or convert the weights"
                f" with transformers' save_pretrained. {_REMEDY}"
            )
        source: dict[str, Any] = {"use_safetensors": True, "local_files_only": True}
        model = _loaded(architecture, model_class, str(path), _read_config(architecture, params, path), path, source)
    elif path.is_file():
        with_config = (folder / _CONFIG).is_file()
        config = (
            _read_config(architecture, params, folder)
            if with_config
            else _made_config(architecture, config_class, params)
        )
        try:
            tensors, _ = read_safetensors(path)
        except SafetensorError as error:
            raise WeightsError(f"{path} is not a readable safetensors file: {error}") from error
        model = _loaded(architecture, model_class, None, config, path, {"state_dict": tensors})
    else:
        raise WeightsError(
            f"{architecture.name}: there is no weights folder or file {path} (a name on the hub goes into 'model', with"
            f" weights=pretrained). {_REMEDY}"
        )
    said = f"{params.model} of the hub" if params.weights == "pretrained" else str(path)
    return HubModel(model, f"weights for {architecture.name} from {said}", *_normalisation(params, folder))


def square_side(name: str, value: Any) -> int:
    """Return the side of a square picture or patch, given as a number or a pair.

    Raises:
        ValueError: the picture or patch is not square.
    """
    sides = {int(side) for side in (value if isinstance(value, list | tuple) else [value])}
    if len(sides) != 1:
        raise ValueError(f"{name} must be square, found {value}")
    return sides.pop()


def _classes(architecture: Architecture) -> tuple[Any, Any]:
    try:
        module = importlib.import_module(f"transformers.{architecture.module}")
        return getattr(module, architecture.model_class), getattr(module, architecture.config_class)
    except (ImportError, AttributeError) as error:
        raise MissingPackageError(
            f"video encoder '{architecture.name}' needs the package transformers, with {architecture.model_class},"
            f" which is not installed: run `make setup`, or `pip install '.[transformers]'` in the checkout ({error})"
        ) from error


def _made_config(architecture: Architecture, config_class: Any, params: HubParams) -> Any:
    valid = {f.name for f in fields(config_class)}
    for key in params.config:
        if key not in valid:  # transformers would accept and ignore it
            raise unknown_name(f"config of {architecture.name} called", str(key), valid)
    strict = importlib.import_module("huggingface_hub.errors").StrictDataclassError
    try:
        return config_class(**params.config)
    except strict as error:
        raise ValueError(f"{architecture.name}, config: {' '.join(str(error).split())}") from error


def _read_config(architecture: Architecture, params: HubParams, folder: Path) -> Any:
    if params.config:
        raise ValueError(
            f"{architecture.name}: leave config out, found {params.config}: it is read from {folder / _CONFIG}"
        )
    if not (folder / _CONFIG).is_file():
        raise WeightsError(f"{architecture.name}: there is no {_CONFIG} in {folder}. {_REMEDY}")
    config_class = _classes(architecture)[1]
    content = _read_json(folder / _CONFIG)
    if content.get("model_type") != config_class.model_type:
        raise WeightsError(
            f"{folder / _CONFIG}: model_type is {content.get('model_type')!r}, expected {config_class.model_type!r}"
        )
    return config_class.from_pretrained(folder)


def _read_json(path: Path) -> dict[str, Any]:
    """Read a JSON file that holds an object.

    Raises:
        WeightsError: it holds something else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:  # neither UTF-8 nor JSON
        raise WeightsError(f"{path}: damaged: not JSON: {error}") from error
    if not isinstance(content, dict):
        raise WeightsError(f"{path}: damaged: expected an object, found a {type(content).__name__}")
    return content


def _downloaded(architecture: Architecture, params: HubParams) -> Path:
    download = importlib.import_module("huggingface_hub").snapshot_download
    with hub_or_cache() as hub:
        try:
            return Path(download(params.model, revision=params.revision or None, allow_patterns=_NEEDED))
        except (OSError, ValueError) as error:
            raise WeightsError(
                f"{architecture.name}: the hub's weights '{params.model}' are not available ({hub.why(error)})."
                f" {_REMEDY}"
            ) from error


def _loaded(
    architecture: Architecture, model_class: Any, folder: str | None, config: Any, path: Path, source: dict[str, Any]
) -> nn.Module:
    """Load weights with transformers, which knows older names of weights; refuse missing and unknown weights."""
    try:
        with _quiet():
            model, report = model_class.from_pretrained(
                folder, config=config, output_loading_info=True, dtype=torch.float32, **source
            )
    except (OSError, RuntimeError, ValueError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:400]
        raise WeightsError(f"{path} does not fit {architecture.name}: {type(error).__name__}: {reason}") from error
    # An unknown weight keeps its name from a model with a head, so remove the prefix.
    inner = {name.removeprefix(f"{model_class.base_model_prefix}.") for name in report["unexpected_keys"]}
    unexpected = sorted(name for name in inner if not name.startswith(architecture.left_out))
    missing = sorted(name for name in report["missing_keys"] if name.startswith(architecture.needed))
    misshapen = sorted(str(entry) for entry in report["mismatched_keys"])
    if missing or unexpected or misshapen:
        raise WeightsError(
            f"{path} does not fit {architecture.name} as configured: missing {missing[:4]}"
            f"{'...' if len(missing) > 4 else ''}, unexpected {unexpected[:4]}"
            f"{'...' if len(unexpected) > 4 else ''}, other shapes {misshapen[:4]}"
        )
    return model  # type: ignore[no-any-return]


@contextmanager
def _quiet() -> Iterator[None]:
    # transformers' table of ignored weights reads like a failure; the caller checks the important ones.
    logging = importlib.import_module("transformers.utils.logging")
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def _normalisation(params: HubParams, folder: Path | None) -> tuple[list[float], list[float]]:
    mean, std = IMAGENET_MEAN, IMAGENET_STD
    for name in _PREPROCESSORS:
        if folder is not None and (folder / name).is_file():
            content = _read_json(folder / name)
            mean, std = content.get("image_mean", mean), content.get("image_std", std)
            break
    mean, std = ([float(value) for value in values] for values in (params.mean or mean, params.std or std))
    if len(mean) != 3 or len(std) != 3 or min(std) <= 0:
        raise ValueError(f"mean and std need three values each, std above zero; found {mean} and {std}")
    return mean, std
