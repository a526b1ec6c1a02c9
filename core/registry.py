"""The registry of parts: encoders, sources, methods and objectives, each found by its name.

A part lives in a file of its own, in the package of its kind. Registering is a decorator in that file; nothing else
has to be edited. Parts of other packages come through entry points, or by importing their module.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from importlib.metadata import entry_points
from typing import Any, Generic, TypeVar, cast

from core.errors import MendableError
from core.suggestions import did_you_mean

T = TypeVar("T")
E = TypeVar("E")
C = TypeVar("C", bound=Callable[..., Any])


class UnknownNameError(MendableError, ValueError):
    """A name or key that does not exist; the message suggests one and lists all that are valid."""


def unknown_name(what: str, found: object, valid: Iterable[str]) -> UnknownNameError:
    """Make the error for a name that is none of ``valid``; ``what`` says what it was to name."""
    names = sorted(valid)
    return UnknownNameError(
        f"there is no {what} '{found}'{did_you_mean(found, names)} (valid: {', '.join(names) or 'none'})"
    )


@dataclass(frozen=True)
class Component(Generic[T]):
    """A part that is made from settings.

    Attributes:
        name: in settings and tables.
        params: the dataclass of its settings.
        create: makes it from an instance of ``params`` and whatever else its kind takes.
    """

    name: str
    params: type
    create: Callable[..., T]


class Registry(Generic[E]):
    """Named parts of one kind.

    Args:
        kind: in messages, e.g. "IMU encoder".
        package: whose modules register parts; all are imported before parts are looked up.
        entry_points: the group through which other packages bring theirs; empty for none.
    """

    def __init__(self, kind: str, package: str, entry_points: str = "") -> None:
        self.kind = kind
        self.package = package
        self._group = entry_points
        self._entries: dict[str, E] = {}
        self._made_from: dict[str, Any] = {}
        self._searched = False

    def add(self, name: str, entry: E, made_from: Any) -> None:
        """Register ``entry``; ``made_from`` is the class or function behind it.

        Raises:
            ValueError: another class or function has that name already.
        """
        known = self._made_from.get(name)
        if known is not None and _identity(known) != _identity(made_from):
            raise ValueError(f"two {self.kind}s are named '{name}': {known} and {made_from}")
        self._entries[name], self._made_from[name] = entry, made_from

    def remove(self, name: str) -> None:
        """Forget a part, as a test does that registered one."""
        del self._entries[name], self._made_from[name]

    def entries(self) -> dict[str, E]:
        """Return all parts by name, in alphabetical order."""
        if not self._searched:
            for module in pkgutil.iter_modules(importlib.import_module(self.package).__path__):
                importlib.import_module(f"{self.package}.{module.name}")
            for point in entry_points(group=self._group) if self._group else ():
                point.load()
            self._searched = True
        return dict(sorted(self._entries.items()))

    def entry(self, name: str) -> E:
        """Return the part called ``name``.

        Raises:
            UnknownNameError: there is none.
        """
        if name not in self._entries and name not in self.entries():
            raise unknown_name(self.kind, name, self._entries)
        return self._entries[name]


def register(registry: Registry[Component[T]], name: str, params: type) -> Callable[[C], C]:
    """Return a decorator that registers a class as a component made from ``params``."""

    def decorate(create: C) -> C:
        registry.add(name, Component(name, params, create), create)
        return create

    return decorate


def component_params(registry: Registry[Component[T]], name: str, params: Mapping[str, Any]) -> Any:
    """Merge ``params`` into the defaults of the component called ``name``.

    Returns:
        An instance of its dataclass, with plain lists and dicts.

    Raises:
        UnknownNameError: there is no such component, or it has no such setting.
        ValueError: a setting has a value of the wrong type.
    """
    return merge_params(f"{registry.kind} '{name}'", registry.entry(name).params, params)


def build(registry: Registry[Component[T]], name: str, params: Mapping[str, Any], *arguments: Any) -> T:
    """Make the component called ``name`` from ``params`` and what else its kind takes; raises as above."""
    return registry.entry(name).create(component_params(registry, name, params), *arguments)


def merge_params(what: str, settings: type[T], params: Mapping[str, Any]) -> T:
    """Merge ``params`` into the defaults of the dataclass ``settings``.

    Args:
        what: whose settings they are, for messages.
        settings: the dataclass.
        params: some of its fields; an OmegaConf node will do.

    Returns:
        An instance of it, with plain lists and dicts.

    Raises:
        UnknownNameError: there is no such setting.
        ValueError: a setting has a value of the wrong type.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    valid = {field.name for field in fields(settings)}  # type: ignore[arg-type]
    for key in params:
        if key not in valid:
            raise unknown_name(f"setting of {what} called", str(key), valid)
    try:
        merged = OmegaConf.merge(OmegaConf.structured(settings), OmegaConf.create(dict(params)))
    except OmegaConfBaseException as error:
        reason = (error.msg or str(error)).splitlines()[0]
        raise ValueError(f"{what}, setting '{error.full_key}': {reason}") from error
    return cast("T", OmegaConf.to_object(merged))


def _identity(part: Any) -> tuple[str, str]:
    # A module that is imported again (a reload, a notebook) defines the same class anew: that is no clash.
    return part.__module__, part.__qualname__
