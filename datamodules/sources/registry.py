"""Registry of sources.

A source is one file in this folder, with a dataclass of settings and a class with ``names()`` and ``load()``::

    @dataclass
    class MySetParams:
        root: str = "..."

    @source("my_set", MySetParams)
    class MySet(Source):
        def __init__(self, params: MySetParams) -> None: ...

The registry finds a source by its name. The common names of its activities go into ``labels/common_names.py``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from core.registry import Component, Registry, build, register
from datamodules.recording import Recording

C = TypeVar("C", bound=Callable[..., Any])


class Source(ABC):
    """The recordings of one data set, loaded one at a time so that a build can run in parallel and resume."""

    @abstractmethod
    def names(self) -> list[str]:
        """List the names of all recordings without loading them, always in the same order."""

    @abstractmethod
    def load(self, name: str) -> Recording:
        """Load one recording.

        Raises:
            RecordingError: the recording is unusable; the message names file, field, value found and value expected.
        """

    def subject_of(self, name: str) -> str | None:
        """Return the subject of a recording, or None if only loading it can tell; a build skips unwanted subjects."""
        return None

    def files(self, name: str) -> list[Path]:
        """List files of a recording beside those that its sensors and cameras name as their origin, e.g. of labels.

        A build notes them all; whoever opens its shards is told if one has changed.
        """
        return []

    def fingerprint(self) -> str:
        """Return a digest of files that define how recordings are read, e.g. a manifest; "" if there are none.

        The digest is one of a build's inputs: shards are built again when it changes.
        """
        return ""

    def __iter__(self) -> Iterator[Recording]:
        return (self.load(name) for name in self.names())


SOURCES: Registry[Component[Source]] = Registry("source", "datamodules.sources")


def source(name: str, params: type) -> Callable[[C], C]:
    """Register a source, a class whose constructor takes ``params``."""
    return register(SOURCES, name, params)


def sources() -> dict[str, Component[Source]]:
    """Return all sources by name."""
    return SOURCES.entries()


def make_source(name: str, params: Mapping[str, Any]) -> Source:
    """Make a source from the plain values of a configuration.

    Raises:
        UnknownNameError: there is no such source, or it has no such setting.
        ValueError: a setting has a value of the wrong type.
        RecordingError: a file that the source reads at once, such as a manifest, is unusable.
    """
    return build(SOURCES, name, params)
