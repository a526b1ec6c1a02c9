"""The layers that settings are made of: an experiment's files, a video encoder, a system, the command line.

An experiment says what is trained and tested on; a system (``configs/systems/``) says how, a video encoder
(``configs/video_encoders/``) which frozen video encoder: each file names only what differs. ``system=imu2clip`` on the
command line, or in an experiment's file, lays the system over the experiment; a system may name its video encoder, and
``video_encoder.preset=none`` keeps the experiment's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf

from core import bounds
from core.errors import MendableError, first_line
from core.suggestions import did_you_mean
from experiments.settings.advice import advice_on_source

CONFIG_FOLDER = Path(__file__).parents[1] / "configs"
NONE = "none"
COMMAND_LINE = "command line"  # the name of the layer that no file has

# Beside its own errors, PyYAML lets those of Python through: of a date 2024-13-45, of !!int with nothing behind it.
YAML_ERRORS = (yaml.YAMLError, ValueError, TypeError, AttributeError, LookupError, RecursionError)

Layer = tuple[str, dict[str, Any]]


class ConfigError(MendableError, ValueError):
    """A setting that can't be used; the message names the key's full path."""


def available(kind: str = "") -> list[str]:
    """Names of the experiments, or of the ``kind`` of overlay, that come with the project."""
    folder = CONFIG_FOLDER / f"{kind}s" if kind else CONFIG_FOLDER
    return sorted(path.stem for path in folder.glob("*.yaml"))


def find(name_or_path: str, kind: str = "") -> Path:
    """The YAML file of an experiment, or of a system or video encoder.

    Raises:
        ConfigError: there is none.
    """
    if name_or_path.endswith((".yaml", ".yml")):
        path = Path(name_or_path)
        if path.is_file():
            return path
        raise ConfigError(f"no configuration file '{name_or_path}'")
    path = (CONFIG_FOLDER / f"{kind}s" if kind else CONFIG_FOLDER) / f"{name_or_path}.yaml"
    if path.is_file():
        return path
    known, what = available(kind), kind.replace("_", " ") or "experiment"
    if not kind and (advice := advice_on_source(name_or_path)):
        raise ConfigError(f"no experiment '{name_or_path}'; {advice}")
    raise ConfigError(
        f"no {what} '{name_or_path}'{did_you_mean(name_or_path, known)}"
        f" (there are: {', '.join(known)}; a path ends in .yaml)"
    )


def layers(path: Path, command_line: dict[str, Any]) -> list[Layer]:
    """All layers, the weakest first; each names where it comes from.

    Raises:
        ConfigError: a file is missing, no YAML, or builds on itself.
    """
    experiment, last = _with_bases(path), (COMMAND_LINE, command_line)
    system = _overlay("system", (layer.get("system") for _, layer in [*experiment, last]))
    # A system may name its video encoder's preset, and change something of it.
    presets = (_preset(layer) for _, layer in [*experiment, *system, last])
    return [*experiment, *_overlay("video_encoder", presets), *system, last]


def _preset(layer: Mapping[str, Any]) -> Any:
    video_encoder = layer.get("video_encoder")
    return video_encoder.get("preset") if isinstance(video_encoder, Mapping) else None


def _overlay(kind: str, names: Iterable[Any]) -> list[Layer]:
    """The file that the last of ``names`` names, and what it builds on."""
    chosen = [str(name) for name in names if name]
    return _with_bases(find(chosen[-1], kind)) if chosen and chosen[-1] != NONE else []


def merge(into: DictConfig, layer: Mapping[str, Any]) -> DictConfig:
    """One layer more, put into ``into``; parameters of a component that it replaces by another are dropped first."""
    for group in ("imu_encoder", "video_encoder", "video_head"):
        new = layer.get(group)
        if not isinstance(new, Mapping):
            continue
        other = "name" in new and new["name"] != into[group].name
        params = new.get("params")
        model = params.get("model") if isinstance(params, Mapping) else None
        if other or (model is not None and model != into[group].params.get("model")):
            into[group].params = {}
    merged = OmegaConf.unsafe_merge(into, layer)  # without a copy of all settings for each layer
    assert isinstance(merged, DictConfig)
    return merged


def _with_bases(path: Path) -> list[Layer]:
    """The file's settings and those of the files it builds on, base first."""
    chain: list[Layer] = []
    seen: list[Path] = []
    current: Path | None = path
    while current is not None:
        if current in seen:
            raise ConfigError(f"{path}: 'base' goes round in a circle: {' -> '.join(map(str, [*seen, current]))}")
        seen.append(current)
        content = _read(current)
        base = content.pop("base", None)
        chain.insert(0, (str(current), content))
        current = None if base is None else _base_of(current, str(base))
    return chain


def _base_of(path: Path, base: str) -> Path:
    """Find the file that another one builds on: in its folder, or among those that come with the project."""
    try:
        if base.endswith((".yaml", ".yml")):
            return find(str(path.parent / base))
        beside = path.parent / f"{base}.yaml"
        return beside if beside.is_file() else find(base)
    except ConfigError as error:
        raise ConfigError(f"{path}: base: {first_line(error)}") from error


def _read(path: Path) -> dict[str, Any]:
    content = read_yaml(path)
    content = {} if content is None else content
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: expected 'key: value' lines, found a {type(content).__name__}")
    return content


def read_yaml(path: Path) -> Any:
    """Read a YAML file as data.

    Raises:
        ConfigError: it can't be read, or is no YAML.
    """
    try:
        return bounds.read_yaml(path)
    except OSError as error:
        raise ConfigError(f"{path}: can't be read: {error.strerror or error}") from error
    except YAML_ERRORS as error:
        raise ConfigError(f"{path}: not valid YAML: {first_line(error)}") from error
