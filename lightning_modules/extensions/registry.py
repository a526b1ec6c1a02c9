"""Registry of loggers and callbacks; other packages bring theirs through entry points."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.registry import Registry


def nothing(folder: Path) -> dict[str, Any]:
    """Return no arguments; a class that needs none from the run has this."""
    return {}


@dataclass(frozen=True)
class Extension:
    """A logger or a callback that is made from settings.

    Attributes:
        create: its class.
        given: run's folder -> arguments that the run gives; settings can't.
        default: run's folder -> arguments that it gets where settings give none.
        needs: the package that it needs, if it is none of this project's own; the extra has the same name.
    """

    create: Callable[..., Any]
    given: Callable[[Path], dict[str, Any]] = nothing
    default: Callable[[Path], dict[str, Any]] = nothing
    needs: str = ""


LOGGERS: Registry[Extension] = Registry("logger", "lightning_modules.extensions", "imu_video_har.loggers")
CALLBACKS: Registry[Extension] = Registry("callback", "lightning_modules.extensions", "imu_video_har.callbacks")


def add(registry: Registry[Extension], name: str, extension: Extension) -> None:
    """Register an extension under a name."""
    registry.add(name, extension, extension.create)
