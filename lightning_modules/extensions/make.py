"""Loggers, callbacks, and parts of the Trainer, made from their names and arguments.

A name is one of the registry's, or an import path ``package.module:Class``. Importing a module runs its code, with all
rights of the person who started the command. So a path is followed only into Lightning itself, and into packages that
``trainer.trust`` names, which nothing but the command line may set: a configuration from elsewhere can't.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from core.registry import Registry
from core.suggestions import did_you_mean
from lightning_modules.extensions.arguments import check_arguments
from lightning_modules.extensions.registry import LOGGERS, Extension

_ALWAYS_TRUSTED = ("lightning",)
_GIVEN = "is given by the run"
CLASS = "class"  # key of a part's import path, beside its arguments


def is_path(name: str) -> bool:
    """Say if a name is an import path."""
    return ":" in name


def check_name(registry: Registry[Extension], name: str, field: str, trust: Sequence[str]) -> None:
    """Refuse a name that the registry has not, or a path into a package that is not trusted; imports nothing.

    Raises:
        ValueError: the message begins with ``field``.
    """
    if is_path(name):
        check_trust(name, field, trust)
    elif name not in registry.entries():
        known = ", ".join(registry.entries())
        raise ValueError(
            f"{field}: there is no {registry.kind} '{name}'{did_you_mean(name, registry.entries())}"
            f" (there are: {known}; or an import path, package.module:Class)"
        )


def check_trust(path: str, field: str, trust: Sequence[str]) -> None:
    """Refuse an import path into a package that is not trusted.

    Raises:
        ValueError: the message begins with ``field``.
    """
    package = path.partition(":")[0].split(".")[0]
    if package not in (*_ALWAYS_TRUSTED, *trust):
        raise ValueError(
            f"{field}: '{path}' would run code of the package '{package}' with your rights; if you trust it, add"
            f" trainer.trust=[{', '.join([*trust, package])}] to the command line (a file can't)"
        )


def check_params(registry: Registry[Extension], names: Sequence[str], params: Mapping[str, Any]) -> None:
    """Refuse arguments of what is not used, and arguments that a part of the registry does not take.

    Raises:
        ValueError: the message begins with the field of ``trainer``.
    """
    field, params_field = _fields(registry)
    for name, own in params.items():
        if name not in names:
            raise ValueError(
                f"{params_field}.{name}: {field} does not name it{did_you_mean(name, names)}"
                f" (named: {', '.join(names) or 'none'})"
            )
        if not isinstance(own, Mapping):
            raise ValueError(f"{params_field}.{name}: expected its arguments as {{name: value}}, found {own!r}")
        if not is_path(name):
            _check_given(registry, name, own, registry.entry(name).given(Path()))


def make(
    registry: Registry[Extension], name: str, params: Mapping[str, Any], folder: Path, trust: Sequence[str]
) -> Any:
    """Make a logger or callback.

    Args:
        registry: ``LOGGERS`` or ``CALLBACKS``.
        name: of the registry, or an import path.
        params: its arguments.
        folder: of the run.
        trust: packages that paths may lead into.

    Raises:
        ValueError: it can't be made; the message begins with the field of ``trainer``.
    """
    field, params_field = _fields(registry)
    check_name(registry, name, field, trust)
    where = f"{params_field}.{name}"
    if is_path(name):
        return call(load_class(name, field, trust, _base(registry)), params, where)
    entry = registry.entry(name)
    given = entry.given(folder)
    _check_given(registry, name, params, given)
    try:
        made = call(entry.create, {**entry.default(folder), **given, **params}, where)
        if registry is LOGGERS and entry.needs:
            _ = made.experiment  # opens it; else what it refuses would end the training at its first step
        return made
    except ModuleNotFoundError as error:
        if not entry.needs:
            raise
        raise ValueError(
            f"{field}: '{name}' needs the package {entry.needs}: pip install 'imu-video-har[{entry.needs}]'"
        ) from error
    except Exception as error:
        # Errors of a package that may not be installed can't be named here: no account, no server, no such store.
        if not entry.needs or type(error).__module__.split(".")[0] != entry.needs:
            raise
        raise ValueError(f"{field}: '{name}' can't be used: {error}") from error


def make_part(value: Any, field: str, trust: Sequence[str], base: tuple[type, ...]) -> Any:
    """Make a strategy, profiler or plugin that is given as an import path, or as ``{class: path, argument: ...}``.

    Any other value is returned as it is: Lightning knows names of its own.

    Raises:
        ValueError: it can't be made; the message begins with ``field``.
    """
    if isinstance(value, Mapping) and CLASS in value:
        arguments = {str(key): inner for key, inner in value.items() if key != CLASS}
        return call(load_class(str(value[CLASS]), field, trust, base), arguments, field)
    if isinstance(value, str) and is_path(value):
        return call(load_class(value, field, trust, base), {}, field)
    return value


def load_class(path: str, field: str, trust: Sequence[str], base: tuple[type, ...]) -> type:
    """Import the class that a path ``package.module:Class`` names.

    Raises:
        ValueError: its package is not trusted, it is not there, or it is none of ``base``; begins with ``field``.
    """
    check_trust(path, field, trust)
    module, _, name = path.partition(":")
    try:
        found = getattr(importlib.import_module(module), name, None)
    except ImportError as error:
        raise ValueError(f"{field}: '{path}': {error}") from error
    if not (isinstance(found, type) and issubclass(found, base)):
        expected = " or ".join(each.__name__ for each in base)
        raise ValueError(f"{field}: '{path}' is no class of the kind {expected}; found {found!r}")
    return found


def call(create: Any, arguments: Mapping[str, Any], field: str) -> Any:
    """Call a class with arguments from settings.

    Raises:
        ValueError: it has no such argument, or refuses a value; the message begins with ``field``.
    """
    from lightning.fabric.utilities.exceptions import MisconfigurationException

    check_arguments(create, arguments, field, create.__name__)
    try:
        return create(**arguments)
    except ModuleNotFoundError:
        raise
    except (MisconfigurationException, TypeError, ValueError) as error:
        raise ValueError(f"{field}: {create.__name__} can't be made: {error}") from error


def _check_given(registry: Registry[Extension], name: str, params: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    where = f"{_fields(registry)[1]}.{name}"
    create = registry.entry(name).create
    check_arguments(create, map(str, params), where, f"{registry.kind} '{name}'", dict.fromkeys(given, _GIVEN))


def _fields(registry: Registry[Extension]) -> tuple[str, str]:
    """Name the settings of ``trainer`` that have the registry's names, and their arguments."""
    return ("loggers", "logger_params") if registry is LOGGERS else ("callbacks", "callback_params")


def _base(registry: Registry[Extension]) -> tuple[type, ...]:
    from lightning.pytorch.callbacks import Callback
    from lightning.pytorch.loggers import Logger

    return (Logger,) if registry is LOGGERS else (Callback,)
