"""How sources are named and found.

A source is one file in this folder: a dataclass of its settings and a class with ``names()`` and ``load()``::

    @dataclass
    class MySetParams:
        root: str = "..."

    @source("my_set", MySetParams)
    class MySet(Source):
        def __init__(self, params: MySetParams) -> None: ...

It is found by its name. What its activities are called elsewhere goes into ``common_labels.py``.
"""

from __future__ import annotations

import importlib
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from datamodules.recording import Recording


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


@dataclass(frozen=True)
class SourceEntry:
    """A registered source: its name, the dataclass of its settings, and how to make it."""

    name: str
    params: type
    create: Callable[[Any], Source]


_ENTRIES: dict[str, SourceEntry] = {}


def source(name: str, params: type) -> Callable[[type[Source]], type[Source]]:
    """Class decorator that registers a source under ``name``."""

    def register(cls: type[Source]) -> type[Source]:
        if name in _ENTRIES and _ENTRIES[name].create is not cls:
            raise ValueError(f"two sources are named '{name}': {_ENTRIES[name].create} and {cls}")
        _ENTRIES[name] = SourceEntry(name, params, cls)
        return cls

    return register


def sources() -> dict[str, SourceEntry]:
    """All sources by name; imports every file of this folder first."""
    package = importlib.import_module("datamodules.sources")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"datamodules.sources.{module.name}")
    return dict(sorted(_ENTRIES.items()))
