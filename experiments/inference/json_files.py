"""The JSON files of encoders and heads: read, and checked. Nothing here imports torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from core import bounds
from core.digest import SEAL, seal_holds
from datamodules.windows.settings import WindowSettings
from experiments.inference.errors import InferenceError

HEAD, ENCODER = "head.json", "encoder"  # a head's folder has its encoder in a folder of this name


def read_json(path: Path, what: str) -> dict[str, Any]:
    """Read a JSON file that holds an object.

    Raises:
        InferenceError: it is missing, or damaged.
    """
    try:
        content = bounds.read_json(path)
    except FileNotFoundError as error:
        raise InferenceError(f"{path}: the file is missing; expected {what}") from error
    except (ValueError, OSError) as error:
        raise InferenceError(f"{path}: damaged: it is no JSON that can be read ({error})") from error
    if not isinstance(content, dict):
        raise InferenceError(f"{path}: damaged: expected {what}, found a {type(content).__name__}")
    return content


def check_seal(content: Mapping[str, Any], path: Path) -> None:
    """Compare what a file says with its digest; one without has none to differ from.

    Raises:
        InferenceError: they differ.
    """
    if not seal_holds(content):
        raise InferenceError(
            f"{path}: damaged, or changed by hand: its content differs from its '{SEAL}'. Restore it;"
            f" or, if the change is meant, delete the line '{SEAL}'"
        )


def settings_of(values: Any, path: Path) -> WindowSettings:
    """Make settings of windows from a file's values.

    Raises:
        InferenceError: a setting is missing, unknown or of the wrong type.
    """
    known = {field.name: field for field in fields(WindowSettings)}
    if not isinstance(values, Mapping) or not {"duration_s", "imu_rate_hz"} <= values.keys() <= known.keys():
        raise InferenceError(f"{path}: damaged: 'window' is not the settings of windows")
    defaults = asdict(WindowSettings())
    for name, value in values.items():
        numbers = isinstance(defaults[name], int | float) and not isinstance(defaults[name], bool)
        good = isinstance(value, int | float) if numbers else isinstance(value, type(defaults[name]))
        if not good or (numbers and isinstance(value, bool)):
            raise InferenceError(f"{path}: damaged: window.{name} is {value!r}")
    found = WindowSettings(**values)
    try:
        found.check()
    except (ValueError, OverflowError) as error:
        raise InferenceError(f"{path}: damaged: window.{error}") from error
    return found
