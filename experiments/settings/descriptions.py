"""Descriptions of all settings: path, type, default and help, as the commands' ``--help`` prints them."""

from __future__ import annotations

import dataclasses
import re
import typing
from collections.abc import Iterator
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from experiments.settings.schema import Config


def describe(cls: type = Config, prefix: str = "") -> Iterator[tuple[str, str, str, str]]:
    """Every key as (path, type, default, help), in the schema's order."""
    instance = cls()
    hints = typing.get_type_hints(cls)
    for field in dataclasses.fields(cls):
        path, value = prefix + field.name, getattr(instance, field.name)
        text = str(field.metadata.get("help", ""))
        if dataclasses.is_dataclass(value):
            yield from describe(type(value), path + ".")
            continue
        yield path, _type_name(hints[field.name]), _show(value), text
        item = item_type(hints[field.name])
        if item is not None:
            marker = "<name>" if typing.get_origin(hints[field.name]) is dict else "<i>"
            yield from describe(item, f"{path}.{marker}.")


def item_type(hint: Any) -> type | None:
    """Return the dataclass inside ``list[X]`` or ``dict[str, X]``, if any."""
    for argument in typing.get_args(hint):
        if isinstance(argument, type) and dataclasses.is_dataclass(argument):
            return argument
    return None


def _type_name(hint: Any) -> str:
    if isinstance(hint, type) and not typing.get_args(hint):
        return hint.__name__
    return re.sub(r"[\w.]+\.(?=\w)", "", str(hint))


def _show(value: Any) -> str:
    if isinstance(value, DictConfig | ListConfig):
        value = OmegaConf.to_container(value)
    return "''" if value == "" else str(value)
