"""Fields of settings: a default, a line of help, and the values that are allowed, declared once beside their user.

A room's settings are a dataclass in the file of the class that uses them::

    @dataclass
    class OrderSettings:
        weight: float = setting(0.5, "weight of telling the frames' true order; 0 leaves it out", at_least=0)

``experiments.settings.schema`` composes all of them. ``--help`` prints name, type, default and help.
"""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar, cast

from core.errors import MendableError
from core.suggestions import did_you_mean

_BITS = 63  # of a whole number

T = TypeVar("T")


class SettingError(MendableError, ValueError):
    """A setting with a value that is not allowed; the message names the full path, what was found and expected."""


def setting(
    default: T,
    text: str,
    *,
    choices: Sequence[str] = (),
    above: float | None = None,
    at_least: float | None = None,
    below: float | None = None,
    at_most: float | None = None,
) -> T:
    """Make a field of a settings dataclass.

    Args:
        default: its value; a list, dict or dataclass is copied for each instance.
        text: its line of help.
        choices: the allowed values, of a text.
        above: numbers must be greater; of a list, each of its numbers.
        at_least: numbers must not be smaller.
        below: numbers must be smaller.
        at_most: numbers must not be greater.
    """
    limits = {"above": above, "at_least": at_least, "below": below, "at_most": at_most}
    metadata = {"help": text, "choices": tuple(choices), **{k: v for k, v in limits.items() if v is not None}}
    made: Any
    if isinstance(default, list | dict) or dataclasses.is_dataclass(default):
        made = dataclasses.field(default_factory=lambda: copy.deepcopy(default), metadata=metadata)
    else:
        made = dataclasses.field(default=default, metadata=metadata)
    return cast("T", made)


def check_settings(instance: Any, path: str = "") -> None:
    """Check every field of a settings dataclass, and of those that it holds, against what the field allows.

    A dataclass may have a method ``check()`` for what several of its fields have to keep together; it raises a
    ``ValueError`` whose message begins with the name of a field.

    Args:
        instance: of the dataclass.
        path: of the instance in the whole configuration, e.g. ``loss.order``; empty for the whole.

    Raises:
        SettingError: the first value that is not allowed.
    """
    for field in dataclasses.fields(instance):
        value, name = getattr(instance, field.name), f"{path}.{field.name}" if path else field.name
        for inner, where in _dataclasses_in(value, name):
            check_settings(inner, where)
        problem = _problem(value, field.metadata)
        if problem:
            raise SettingError(f"{name}: {problem}")
    if callable(check := getattr(instance, "check", None)):
        try:
            check()
        except SettingError:
            raise
        except ValueError as error:
            raise SettingError(f"{path}.{error}" if path else str(error)) from error


def _dataclasses_in(value: Any, name: str) -> Iterator[tuple[Any, str]]:
    if dataclasses.is_dataclass(value):
        yield value, name
    elif isinstance(value, Mapping):
        yield from ((v, f"{name}.{key}") for key, v in value.items() if dataclasses.is_dataclass(v))
    elif isinstance(value, list):
        yield from ((v, f"{name}.{index}") for index, v in enumerate(value) if dataclasses.is_dataclass(v))


def _problem(value: Any, allowed: Mapping[str, Any]) -> str:
    """Say what is wrong with a value; nothing where it is allowed."""
    choices = allowed.get("choices", ())
    if choices and value not in choices:
        return f"expected one of {', '.join(choices)}; found {value!r}{did_you_mean(value, choices)}"
    limits = {key: allowed[key] for key in ("above", "at_least", "below", "at_most") if key in allowed}
    for number in value if isinstance(value, list) else [value]:
        if isinstance(number, bool) or not isinstance(number, int | float):
            continue
        if isinstance(number, int) and number.bit_length() > _BITS:  # a double may not hold it, and no count has it
            return f"expected a number below 2 to the power of {_BITS}, found one of {number.bit_length()} bits"
        if not limits:
            continue
        if not math.isfinite(number) or not all(_within(number, key, limit) for key, limit in limits.items()):
            words = " and ".join(f"{key.replace('_', ' ')} {limit:g}" for key, limit in limits.items())
            return f"expected a number {words}, found {number!r}"
    return ""


def _within(number: float, limit: str, value: float) -> bool:
    if limit == "above":
        return number > value
    if limit == "at_least":
        return number >= value
    return number < value if limit == "below" else number <= value
