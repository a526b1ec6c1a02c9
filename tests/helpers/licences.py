"""Licences of the locked packages: what each states, and whether ``docs/licence-rules.yaml`` allows it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml
from helpers.lock import ROOT, Locked
from license_expression import AND, OR, LicenseWithExceptionSymbol, get_spdx_licensing
from packaging.utils import canonicalize_name

RULES = ROOT / "docs" / "licence-rules.yaml"
_SPDX = get_spdx_licensing()
# Classifiers that mean one licence; "BSD License" and the like mean several.
_CLASSIFIERS = {
    "Apache Software License": "Apache-2.0",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
}


@dataclass(frozen=True)
class Rules:
    """What may be locked.

    Attributes:
        allowed: SPDX expressions without AND and OR.
        exceptions: package -> why it may be locked under any other licence.
        stated: package -> the licence that its licence file has, where its metadata leave it open.
        contains: package -> other works in its files, and their licences.
    """

    allowed: frozenset[str]
    exceptions: Mapping[str, str]
    stated: Mapping[str, str]
    contains: Mapping[str, str]


def read_rules(path: Path = RULES) -> Rules:
    """Read the rules."""
    data = yaml.safe_load(path.read_text(encoding="utf-8"))
    return Rules(frozenset(data["allowed"]), data["exceptions"], data["stated"], data["contains"])


def installed() -> dict[str, metadata.PackageMetadata]:
    """The metadata of every package of this environment, by canonical name."""
    return {canonicalize_name(found.metadata["Name"]): found.metadata for found in metadata.distributions()}


def from_metadata(data: metadata.PackageMetadata) -> str | None:
    """The licence that a package states as an SPDX expression, or by classifiers or words that mean only one.

    Returns:
        None where it says nothing, or what may mean several licences.
    """
    fields: Any = data
    if expression := fields.get("License-Expression"):
        return str(expression)
    words = fields.get("License") or ""
    if words and len(words) < 100 and not _SPDX.validate(words).errors:
        return normal(words)
    names = [text.rpartition(" :: ")[2] for text in fields.get_all("Classifier", []) if text.startswith("License ::")]
    names = [name for name in names if name != "DFSG approved"]
    return _CLASSIFIERS.get(names[0]) if len(names) == 1 else None


def normal(expression: str) -> str:
    """An SPDX expression as all are written here."""
    return str(_SPDX.parse(expression))


def not_allowed(expression: str, allowed: Iterable[str]) -> list[str]:
    """The parts of an SPDX expression that stand in the way.

    Of ``A AND B`` each counts; those of ``A OR B`` count where none is allowed.
    """
    allowed = frozenset(allowed)

    def missing(node: Any) -> list[str]:
        if isinstance(node, OR):
            parts = [missing(part) for part in node.args]
            return [] if not all(parts) else [name for part in parts for name in part]
        if isinstance(node, AND):
            return [name for part in node.args for name in missing(part)]
        name = str(node)
        return [] if name in allowed else [name]

    parsed = _SPDX.parse(expression)
    if isinstance(parsed, LicenseWithExceptionSymbol):
        return [] if str(parsed) in allowed else [str(parsed)]
    return missing(parsed)


def faults(licences: Mapping[str, str | None], rules: Rules) -> list[str]:
    """What is wrong with the licences of packages, a sentence each.

    Args:
        licences: package -> SPDX expression; None where it is not known.
        rules: what is allowed.
    """
    found = []
    for name, expression in sorted(licences.items()):
        if expression is None:
            found.append(f"{name}: its licence is not known; read its licence file, and add it to 'stated'")
        elif (rest := not_allowed(expression, rules.allowed)) and name not in rules.exceptions:
            found.append(f"{name}: {' and '.join(rest)} is not among 'allowed', and it is not among 'exceptions'")
    for kind, names in (("exceptions", rules.exceptions), ("stated", rules.stated), ("contains", rules.contains)):
        found += [f"{name}: it is among '{kind}', but is not locked" for name in sorted(set(names) - set(licences))]
    found += [
        f"{name}: it is among 'exceptions', but its licence is allowed: {expression}"
        for name, expression in sorted(licences.items())
        if name in rules.exceptions and expression is not None and not not_allowed(expression, rules.allowed)
    ]
    return [f"{RULES.relative_to(ROOT)}: {fault}" for fault in found]


def licences_of(packages: Iterable[Locked], rules: Rules) -> dict[str, str | None]:
    """The licence of each locked package: what the rules state, else what is installed here says."""
    here = installed()
    return {
        package.name: rules.stated.get(package.name)
        or (from_metadata(here[package.name]) if package.name in here else None)
        for package in packages
    }
