"""The registry of sources.

A source is one file in this folder: a dataclass of its settings and a class with ``names()`` and ``load()``::

    @dataclass
    class MySetParams:
        root: str = "..."

    @source("my_set", MySetParams)
    class MySet(Source):
        def __init__(self, params: MySetParams) -> None: ...

It is found by its name. What its activities are called elsewhere goes into
``labels/common_names.py``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from core.registry import Component, Registry, build, register
from datamodules.recording import Recording

C = TypeVar("C", bound=Callable[..., Any])


class Source(ABC):
    """Recordings of one data set, loaded one at a time so that a build can run in parallel and resume."""

    @abstractmethod
    def names(self) -> list[str]:
        """Names of all recordings, without loading them, always in the same order."""

    @abstractmethod
    def load(self, name: str) -> Recording:
        """Load one recording.

        Raises:
            RecordingError: it can't be used; the message names file, field, what was found and expected.
        """

    def subject_of(self, name: str) -> str | None:
        """Whose recording ``name`` is, if that is known without loading it; a build can then skip it."""
        return None

    def fingerprint(self) -> str:
        """Digest of files that say how recordings are read, such as a manifest; "" if settings say it all.

        Shards are bound to it: when it changes, they are built anew.
        """
        return ""

    def __iter__(self) -> Iterator[Recording]:
        return (self.load(name) for name in self.names())


SOURCES: Registry[Component[Source]] = Registry("source", "datamodules.sources")


def source(name: str, params: type) -> Callable[[C], C]:
    """Register a source: a class made from ``(params)``."""
    return register(SOURCES, name, params)


def sources() -> dict[str, Component[Source]]:
    """Return all sources by name."""
    return SOURCES.entries()


def make_source(name: str, params: Mapping[str, Any]) -> Source:
    """Make a source from plain values, as they stand in a config.

    Raises:
        UnknownNameError: there is no such source, or it has no such setting.
        ValueError: a setting has a value of the wrong type.
        RecordingError: what the source reads at once, such as a manifest, can't be used.
    """
    return build(SOURCES, name, params)
