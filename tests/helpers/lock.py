"""The packages of ``requirements.lock``: their versions, where each is installed, and what asked for it."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import tomli
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
PROJECT = "imu-video-har"
PYTHONS = ("3.10", "3.11", "3.12", "3.13")  # that pyproject.toml declares; tests/test_supply.py compares
PLATFORMS = {
    "Linux": {"sys_platform": "linux", "platform_machine": "x86_64", "platform_system": "Linux", "os_name": "posix"},
    "macOS": {"sys_platform": "darwin", "platform_machine": "arm64", "platform_system": "Darwin", "os_name": "posix"},
    "Windows": {"sys_platform": "win32", "platform_machine": "AMD64", "platform_system": "Windows", "os_name": "nt"},
}
_BY = re.compile(r"^    # (?:via|  ) ?([A-Za-z0-9][A-Za-z0-9._-]*)")  # "# via a", or "#   a" below "# via"


@dataclass(frozen=True)
class Locked:
    """One package in one version.

    Attributes:
        name: in its canonical form, ``typing-extensions``.
        version: the only one that may be installed.
        marker: where it is installed, e.g. ``python_full_version < '3.11'``; empty for everywhere.
        asked_by: packages that depend on it, in canonical form; ``imu-video-har`` for what pyproject.toml names.
    """

    name: str
    version: str
    marker: str
    asked_by: tuple[str, ...]

    @property
    def key(self) -> tuple[str, str]:
        """Name and version, which no other entry has."""
        return self.name, self.version


@dataclass(frozen=True)
class Place:
    """A Python on a platform."""

    python: str
    platform: str

    def has(self, package: Locked) -> bool:
        """Whether the lock installs a package here."""
        if not package.marker:
            return True
        # The last patch of each Python: a few packages ask for more than the first ones.
        here = PLATFORMS[self.platform] | {
            "python_version": self.python,
            "python_full_version": f"{self.python}.99",
            "implementation_name": "cpython",
            "platform_python_implementation": "CPython",
            "extra": "",
        }
        return Marker(package.marker).evaluate(here)


REFERENCE = Place("3.11", "Linux")  # where continuous integration runs, and licences are read
PLACES = tuple(itertools.starmap(Place, itertools.product(PYTHONS, PLATFORMS)))


def read_lock(path: Path = ROOT / "requirements.lock") -> list[Locked]:
    """Read all entries of a lock that uv wrote, in its order.

    Raises:
        ValueError: an entry has no single version.
    """
    found: list[tuple[Requirement, list[str]]] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line and not line[0].isspace() and not line.startswith("#"):
            found.append((Requirement(line.removesuffix("\\").strip()), []))
        elif (by := _BY.match(line)) and found:
            found[-1][1].append(canonicalize_name(by[1]))
    packages = []
    for requirement, by_whom in found:
        versions = [specifier.version for specifier in requirement.specifier if specifier.operator == "=="]
        if len(versions) != 1:
            raise ValueError(f"{path}: {requirement} has no single version; expected {requirement.name}==VERSION")
        marker = str(requirement.marker or "")
        packages.append(Locked(canonicalize_name(requirement.name), versions[0], marker, tuple(by_whom)))
    return packages


def where(package: Locked) -> str:
    """Say where a package is installed: ``Python 3.10; Python 3.11 to 3.13 on Windows``; empty for everywhere."""
    platforms = {python: tuple(name for name in PLATFORMS if Place(python, name).has(package)) for python in PYTHONS}
    said = []
    for names, group in itertools.groupby(PYTHONS, platforms.__getitem__):
        pythons = list(group)
        versions = pythons[0] if len(pythons) == 1 else f"{pythons[0]} to {pythons[-1]}"
        on = "" if len(names) == len(PLATFORMS) else " on " + ", ".join(names)
        if names and len(pythons) == len(PYTHONS):
            return on.removeprefix(" ")
        if names:
            said.append(f"Python {versions}{on}")
    return "; ".join(said) or "elsewhere"


def edges(packages: Iterable[Locked]) -> dict[tuple[str, str], set[tuple[str, str]]]:
    """Which package in which version depends on which others, wherever both are installed together."""
    packages = list(packages)
    found: dict[tuple[str, str], set[tuple[str, str]]] = {package.key: set() for package in packages}
    for place in PLACES:
        here = {package.name: package for package in packages if place.has(package)}
        for package in here.values():
            for name in package.asked_by:
                if name in here:
                    found[here[name].key].add(package.key)
    return found


def needed_to_run(packages: Iterable[Locked]) -> set[tuple[str, str]]:
    """The packages that the installed project needs; all others are for its development or for an extra."""
    packages = list(packages)
    project = tomli.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = {canonicalize_name(Requirement(text).name) for text in project["dependencies"]}
    depends_on = edges(packages)
    waiting = [package.key for package in packages if package.name in named]
    found: set[tuple[str, str]] = set()
    while waiting:
        key = waiting.pop()
        if key not in found:
            found.add(key)
            waiting.extend(depends_on[key])
    return found
