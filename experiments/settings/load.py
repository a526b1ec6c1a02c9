"""Default, merged with file, merged with command line; a mistyped key fails with "did you mean".

``load("utd_mhad", ["trainer.max_epochs=5"])`` reads ``experiments/configs/utd_mhad.yaml`` (or a path to any
YAML file). A file may name another one that it builds on with ``base: NAME``; systems and video encoders are laid
over it, see :mod:`experiments.settings.layers`.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from core.bounds import value_problem
from core.errors import first_line
from core.settings import SettingError, check_settings
from core.suggestions import did_you_mean
from datamodules.privacy.key import PrivacyError
from datamodules.sources.registry import sources
from encoders.layers.orientation import ORIENTATIONS, RAW
from encoders.registry import imu_encoders, video_encoders, video_heads
from experiments.settings.descriptions import describe, item_type
from experiments.settings.layers import COMMAND_LINE, NONE, YAML_ERRORS, ConfigError, find, layers, merge, read_yaml
from experiments.settings.migration import flatten, migrate, renamed
from experiments.settings.privacy import check_saved, hide, reveal, translate
from experiments.settings.schema import Config, RunConfig
from lightning_modules.extensions.arguments import arguments_of_trainer


def load(name_or_path: str, overrides: Sequence[str] = ()) -> Config:
    """Read an experiment's settings.

    Args:
        name_or_path: a name in ``experiments/configs``, or the path of a YAML file.
        overrides: ``key.path=value``, the value read as YAML.

    Raises:
        ConfigError: the file is missing or no YAML, or a key or value is wrong.
    """
    path = find(name_or_path)
    chain = layers(path, _dotlist(overrides))
    for origin, layer in chain:
        _check_keys(layer, Config, "", origin)
        if origin != COMMAND_LINE and layer.get("trainer", {}).get("trust"):
            raise ConfigError(
                f"{origin}: trainer.trust lets code run, so a file can't set it; write it on the command line"
            )
    merged = copy.deepcopy(_defaults())
    merged.experiment = path.stem
    for origin, layer in chain:
        try:
            merged = merge(merged, layer)
        except OmegaConfBaseException as error:
            key = getattr(error, "full_key", None) or "?"
            raise ConfigError(f"{origin}: {key}: {str(error).splitlines()[0]}") from error
    config = OmegaConf.to_object(merged)
    assert isinstance(config, Config)
    if config.system not in ("", NONE) and config.run.name == RunConfig().name:
        config.run.name = Path(config.system).stem  # systems are trained side by side
    _find_shared(config, path.parent)
    _check_values(config)
    _check_components(config)
    check_saved(config)
    try:
        translate(config)
    except (PrivacyError, OSError) as error:
        raise ConfigError(str(error)) from error
    return config


def _find_shared(config: Config, folder: Path) -> None:
    """Look for shared data sets beside the experiment's file, if they are not where commands are run."""
    for dataset in config.datasets.values():
        if dataset.shared and not Path(dataset.shared).exists() and (folder / dataset.shared).exists():
            dataset.shared = str(folder / dataset.shared)


def load_saved(path: Path) -> Config:
    """The settings that a run was saved with, whole as they are.

    Raises:
        ConfigError: the file is missing, or of another version.
    """
    try:
        saved = saved_settings(path)
        merged = OmegaConf.merge(_defaults(), migrate(saved))
        config = OmegaConf.to_object(merged)
    except ConfigError:
        raise
    except (OmegaConfBaseException, OSError, *YAML_ERRORS) as error:
        raise ConfigError(f"{path}: not the settings of a run: {first_line(error)}") from error
    assert isinstance(config, Config)
    return config


def saved_settings(path: Path) -> dict[str, Any]:
    """Read the ``config.yaml`` of a run, whatever version wrote it.

    Raises:
        ConfigError: it is missing, no YAML, or not whole.
    """
    saved = read_yaml(path)  # not by OmegaConf, whose parser in C ends the process at deep nesting
    if not isinstance(saved, dict):
        raise ConfigError(f"{path}: not the settings of a run: expected 'key: value' lines, found {saved!r:.60}")
    # It is written from the first group of settings to the last.
    if missing := [name for name in ("experiment", "run", "evaluation") if name not in saved]:
        raise ConfigError(f"{path}: not the settings of a run, or not all: '{missing[0]}' is missing")
    return {str(key): value for key, value in saved.items()}


def plain(config: Config) -> dict[str, Any]:
    """The settings as plain dicts and values, as files keep them: under ``privacy.pseudonyms`` without paths."""
    values = _whole(config)
    return hide(config, values) if config.privacy.pseudonyms else values


def with_hidden_values(saved: Config, config: Config) -> Config:
    """Put back what ``saved``, the settings of a run, hides, as far as it is what ``config`` would hide as well."""
    if not saved.privacy.pseudonyms:
        return saved
    values = reveal(_whole(saved), plain(config), _whole(config))
    found = OmegaConf.to_object(OmegaConf.merge(_defaults(), values))
    assert isinstance(found, Config)
    return found


@functools.cache
def _defaults() -> DictConfig:
    """All settings with their types and defaults; to be copied, since making them takes longer than a copy."""
    made = OmegaConf.structured(Config)
    assert isinstance(made, DictConfig)
    return made


def _whole(config: Config) -> dict[str, Any]:
    """What OmegaConf's containers would hold; they take a hundred times as long."""
    return {field.name: _held(getattr(config, field.name)) for field in dataclasses.fields(config)}


def _held(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return {field.name: _held(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {key: _held(entry) for key, entry in value.items()}
    return [_held(entry) for entry in value] if isinstance(value, list | tuple) else value


def to_yaml(config: Config) -> str:
    """The settings as a YAML document."""
    return str(yaml.safe_dump(plain(config), sort_keys=False, allow_unicode=True))


def _dotlist(overrides: Sequence[str]) -> dict[str, Any]:
    for entry in overrides:
        if "=" not in entry:
            raise ConfigError(f"command line: expected key=value, found '{entry}'")
    try:
        container = OmegaConf.to_container(OmegaConf.from_dotlist(list(overrides)))
    except (OmegaConfBaseException, yaml.YAMLError, ValueError) as error:  # ValueError: a number of thousands of digits
        raise ConfigError(f"command line: {str(error).splitlines()[0]}") from error
    assert isinstance(container, dict)
    found = typing.cast("dict[str, Any]", container)
    for keys, value in flatten(found):
        for one in value if isinstance(value, list) else [value]:
            if problem := value_problem(one):
                raise ConfigError(f"command line: {'.'.join(keys)}: {problem}")
    return found


def _check_keys(layer: Mapping[Any, Any], cls: type, prefix: str, origin: str) -> None:
    """Compare a nested mapping's keys with a dataclass, so that the error can name path and alternatives."""
    hints = typing.get_type_hints(cls)
    names = [field.name for field in dataclasses.fields(cls)]
    for key, value in layer.items():
        path = f"{prefix}{key}"
        if key not in names:
            if (now := renamed(path)) is not None:
                raise ConfigError(f"{origin}: '{path}' is now {now}")
            hint = suggest_key(str(key), names, prefix)
            raise ConfigError(f"{origin}: unknown key '{path}'{hint} (keys there: {', '.join(names)})")
        hint_type = hints[str(key)]
        if dataclasses.is_dataclass(hint_type) and isinstance(hint_type, type):
            if not isinstance(value, Mapping):
                keys = ", ".join(field.name for field in dataclasses.fields(hint_type))
                raise ConfigError(f"{origin}: '{path}' is a group of settings ({keys}), found {value!r}")
            _check_keys(value, hint_type, path + ".", origin)
            continue
        item = item_type(hint_type)
        if item is None:
            continue
        entries = value.items() if isinstance(value, Mapping) else enumerate(value or [])
        for name, entry in entries:
            if not isinstance(entry, Mapping):
                raise ConfigError(f"{origin}: '{path}.{name}' is a group of settings, found {entry!r}")
            _check_keys(entry, item, f"{path}.{name}.", origin)


def suggest_key(key: str, names: Sequence[str], prefix: str) -> str:
    """Suggest the setting that was meant: a neighbour that is spelt alike, or a setting of another group.

    Args:
        key: as it was found, without the path of its group.
        names: the settings of its group.
        prefix: the group's path with a dot, or nothing at the top.
    """
    near, elsewhere = did_you_mean(key, names, prefix), _elsewhere(key)
    # At the top there are groups alone: who writes `epochs=2` forgot the group rather than misspelt `paths`.
    first, second = (near, elsewhere) if prefix and key not in arguments_of_trainer() else (elsewhere, near)
    return first or second


def _elsewhere(key: str) -> str:
    """Suggest a setting of any group: of that name, or with its words in the name; of the least depth."""
    if key in arguments_of_trainer():
        return f"; did you mean 'trainer.kwargs.{key}', an argument of Lightning's Trainer?"
    words = set(key.split("_"))
    paths = [path for path, *_ in describe() if words <= set(path.split(".")[-1].split("_"))]
    paths.sort(key=lambda path: (path.count("."), path.split(".")[-1] != key))  # of equals, the schema's first
    return f"; did you mean '{paths[0]}'?" if paths else ""


def _check_components(config: Config) -> None:
    """Names and ``params`` of whatever is chosen by name, against that component's own dataclass."""
    imu = {name: entry.params for name, entry in imu_encoders().items()}
    video = {name: entry.params for name, entry in video_encoders().items()}
    heads = {name: entry.params for name, entry in video_heads().items()}
    known = {name: entry.params for name, entry in sources().items()}
    _check_component("imu_encoder", config.imu_encoder.name, config.imu_encoder.params, imu)
    _check_orientation(config)
    _check_component("video_encoder", config.video_encoder.name, config.video_encoder.params, video)
    _check_component("video_head", config.video_head.name, config.video_head.params, heads)
    for key, dataset in config.datasets.items():
        _check_component(f"datasets.{key}.source", dataset.source.name, dataset.source.params, known)


def _check_component(path: str, name: str, params: Mapping[str, Any], known: Mapping[str, type]) -> None:
    if name not in known:
        raise ConfigError(f"{path}.name: no '{name}'{did_you_mean(name, list(known))} (there are: {', '.join(known)})")
    valid = [field.name for field in dataclasses.fields(known[name])]
    for key in params:
        if key not in valid:
            raise ConfigError(
                f"unknown key '{path}.params.{key}'{did_you_mean(key, valid, path + '.params.')}"
                f" ('{name}' takes: {', '.join(valid) or 'none'})"
            )


def _check_orientation(config: Config) -> None:
    """Gravity-aligned channels need gravity."""
    orientation = config.imu_encoder.params.get("orientation", RAW)
    if orientation not in ORIENTATIONS:
        raise ConfigError(
            f"imu_encoder.params.orientation: expected one of {', '.join(ORIENTATIONS)}; found {orientation!r}"
            f"{did_you_mean(orientation, ORIENTATIONS)}"
        )
    if orientation != RAW and config.pretraining.normalisation == "window":
        raise ConfigError(
            f"imu_encoder.params.orientation is '{orientation}', but under pretraining.normalisation 'window' samples"
            " have no gravity; expected 'raw', or the normalisation 'physical' or 'none'"
        )


def _check_values(config: Config) -> None:
    """Check values against their fields, and settings of different groups against each other."""
    try:
        check_settings(config)
    except SettingError as error:
        raise ConfigError(str(error)) from error
    if config.video_encoder.cache and not config.video_encoder.params.get("frozen", True):
        raise ConfigError("video_encoder.cache: features of an encoder that learns (frozen: false) can't be cached")
    if config.privacy.features_only and not config.video_encoder.cache:
        raise ConfigError(
            "video_encoder.cache is false, which reads frames in every step: privacy.features_only has none"
        )
    for index, mixed in enumerate(config.pretraining.datasets):
        if mixed.name not in config.datasets:
            hint = did_you_mean(mixed.name, list(config.datasets))
            raise ConfigError(f"pretraining.datasets.{index}.name: no data set '{mixed.name}'{hint}")
    for index, target in enumerate(config.evaluation.targets):
        for field, key in (("dataset", target.dataset), *(("support", key) for key in target.support)):
            if key not in config.datasets:
                raise ConfigError(
                    f"evaluation.targets.{index}.{field}: no data set '{key}'{did_you_mean(key, list(config.datasets))}"
                )
