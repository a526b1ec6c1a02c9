"""A YAML file -> plain values -> frozen dataclasses, with errors that name file and key."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from pathlib import Path
from typing import Any, TypeVar

import yaml

from core import bounds
from core.errors import first_line
from core.suggestions import did_you_mean
from datamodules.sources.manifest.errors import ManifestError, shown

T = TypeVar("T")

_WORDS: dict[Any, str] = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}


class _UniqueKeys(yaml.SafeLoader):
    """``yaml.safe_load``, but a key that is there twice is an error: the first one would be lost without a word."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in seen:
                    problem = f"the key '{key.value}' is there twice"
                    raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
                seen.add(key.value)
        return node


def read_yaml(path: Path) -> dict[str, Any]:
    """The file's keys and values.

    Raises:
        ManifestError: it isn't there, or no YAML of ``key: value`` lines.
    """
    try:
        content = bounds.read_yaml(path, _UniqueKeys)
    except OSError as error:
        raise ManifestError(f"{path}: the manifest can't be read: {error.strerror or error}") from error
    # Beside its own errors, PyYAML lets those of Python through: of a date 2024-13-45, of !!int with nothing behind it.
    except (yaml.YAMLError, ValueError, TypeError, AttributeError, LookupError, RecursionError) as error:
        raise ManifestError(f"{path}: not valid YAML: {first_line(error)}") from error
    if not isinstance(content, dict):
        raise ManifestError(f"{path}: expected 'key: value' lines, found {shown(content)}")
    return content


def build(cls: type[T], content: Any, file: Path, where: str = "") -> T:
    """A dataclass from a mapping, checked key by key against the types of its fields.

    Args:
        cls: the dataclass.
        content: what the YAML file has there.
        file: for messages.
        where: path of the key, e.g. ``groups.clinic.imu.0``.

    Raises:
        ManifestError: a key is unknown or missing, or its value of another type.
    """
    prefix = f"{where}." if where else ""
    if not isinstance(content, dict):
        raise ManifestError(f"{file}: {where or 'the manifest'}: expected keys and values, found {shown(content)}")
    fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    hints = typing.get_type_hints(cls)
    for key in content:
        if key not in fields:
            hint = did_you_mean(key, fields)
            raise ManifestError(f"{file}: unknown key '{prefix}{key}'{hint} (keys there: {', '.join(fields)})")
    values: dict[str, Any] = {}
    for name, field in fields.items():
        if name in content:
            values[name] = _convert(content[name], hints[name], file, prefix + name)
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise ManifestError(f"{file}: '{prefix}{name}' is missing; expected {_expected(hints[name])}")
    return cls(**values)


def _convert(value: Any, hint: Any, file: Path, where: str) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return build(hint, value, file, where)
    if origin is types.UnionType or origin is typing.Union:
        (inner, *more) = [a for a in arguments if a is not type(None)]
        if value is None and type(None) in arguments:
            return None
        if more:
            for choice in (inner, *more):
                if isinstance(value, dict) and dataclasses.is_dataclass(choice):
                    return _convert(value, choice, file, where)
                if isinstance(value, list) and typing.get_origin(choice) is list:
                    return _convert(value, choice, file, where)
            if any(_fits(value, a) for a in (inner, *more) if typing.get_origin(a) is None):
                return value
        else:
            return _convert(value, inner, file, where)
    elif origin is list and isinstance(value, list):
        return [_convert(entry, arguments[0], file, f"{where}.{i}") for i, entry in enumerate(value)]
    elif origin is dict and isinstance(value, dict):
        for key in value:
            # Activities may be numbers in the data; a date or a bool as a key is a slip.
            if isinstance(key, bool) or not isinstance(key, str | int) or not str(key):
                raise ManifestError(f"{file}: {where}: expected a name as key, found {shown(key)}{_quotes(key)}")
        return {str(key): _convert(entry, arguments[1], file, f"{where}.{key}") for key, entry in value.items()}
    elif origin is None and _fits(value, hint):
        return float(value) if hint is float else value
    raise ManifestError(f"{file}: {where}: expected {_expected(hint)}, found {shown(value)}{_quotes(value)}")


def _fits(value: Any, hint: Any) -> bool:
    if isinstance(value, bool):
        return hint is bool
    if hint is float:
        # An int may be too large for a float.
        return isinstance(value, float | int) and abs(value) < 1e300 and math.isfinite(value)
    return isinstance(value, hint)


def _expected(hint: Any) -> str:
    if hint in _WORDS:
        return _WORDS[hint]
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is list:
        return f"a list of {_expected(arguments[0])}" if arguments[0] in _WORDS else "a list"
    if origin is types.UnionType or origin is typing.Union:
        return " or ".join(_expected(a) for a in arguments if a is not type(None))
    return "keys and values"


def _quotes(value: Any) -> str:
    """YAML reads 007 as a number and no as false; whoever meant text must say so."""
    return " (in quotes it would be text)" if not isinstance(value, str | list | dict) and value is not None else ""
