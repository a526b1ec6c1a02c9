"""The bill of materials of ``requirements.lock`` and the list of its licences; ``make sbom`` writes both into docs/."""

from __future__ import annotations

import json
import sys
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

import tomli
from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentScope, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from helpers.licences import RULES, Rules, faults, licences_of, normal, read_rules
from helpers.lock import PROJECT, REFERENCE, ROOT, Locked, edges, needed_to_run, read_lock, where
from packageurl import PackageURL

SBOM = ROOT / "docs" / "sbom.cdx.json"
PAGE = ROOT / "docs" / "licences.md"


def bill(packages: Sequence[Locked], licences: Mapping[str, str], version: str) -> Bom:
    """Make the bill of materials: a component for each entry of the lock, and who depends on whom.

    Args:
        packages: the entries of the lock.
        licences: package -> SPDX expression.
        version: of this project.
    """
    running = needed_to_run(packages)
    factory = LicenseFactory()
    project = Component(
        name=PROJECT,
        version=version,
        type=ComponentType.APPLICATION,
        bom_ref=PROJECT,
        licenses=[factory.make_from_string("Apache-2.0")],
    )
    parts = {
        package.key: Component(
            name=package.name,
            version=package.version,
            type=ComponentType.LIBRARY,
            bom_ref=f"{package.name}=={package.version}",
            purl=PackageURL("pypi", None, package.name, package.version),
            scope=ComponentScope.REQUIRED if package.key in running else ComponentScope.OPTIONAL,
            licenses=[factory.make_from_string(licences[package.name])],
            properties=[Property(name="marker", value=package.marker)] if package.marker else [],
        )
        for package in packages
    }
    made = Bom(components=parts.values())
    made.metadata.component = project
    made.register_dependency(project, [parts[package.key] for package in packages if PROJECT in package.asked_by])
    for key, others in edges(packages).items():
        made.register_dependency(parts[key], [parts[other] for other in others])
    content = "".join(f"{package.name}=={package.version} ; {package.marker}\n" for package in packages)
    made.serial_number = uuid.uuid5(uuid.NAMESPACE_OID, f"{PROJECT} {version}\n{content}")
    return made


def as_json(made: Bom) -> dict[str, Any]:
    """Write a bill as CycloneDX 1.6."""
    data: dict[str, Any] = json.loads(JsonV1Dot6(made).output_as_string())
    return data


def same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two bills differ in nothing but the time when they were made."""
    untimed = [
        {**data, "metadata": {key: value for key, value in data.get("metadata", {}).items() if key != "timestamp"}}
        for data in (one, other)
    ]
    return untimed[0] == untimed[1]


def page(packages: Sequence[Locked], licences: Mapping[str, str], rules: Rules) -> str:
    """Write the page of licences."""
    running = needed_to_run(packages)
    rows = [
        f"| {package.name} | {package.version} | {licences[package.name]} "
        f"| {'running' if package.key in running else 'development'} | {where(package)} |"
        for package in sorted(packages, key=lambda package: package.key)
    ]
    by_reason: dict[str, list[str]] = {}
    for name, reason in rules.exceptions.items():
        by_reason.setdefault(" ".join(reason.split()), []).append(name)
    exceptions = [f"| {', '.join(names)} | {reason} |" for reason, names in by_reason.items()]
    contains = [f"| {name} | {' '.join(text.split())} |" for name, text in rules.contains.items()]
    return "\n".join(
        [
            "# Licences",
            "",
            f"The {len({package.name for package in packages})} packages of `requirements.lock`, in {len(packages)} "
            "versions: some have another version on another Python.",
            "`make sbom` writes this page, and the bill of materials [sbom.cdx.json](sbom.cdx.json) (CycloneDX).",
            "[licence-rules.yaml](licence-rules.yaml) says which licences are allowed. A test fails where a package",
            "has another one, or where these files are not of the lock. The project itself is under Apache 2.0.",
            "",
            "Licences are those of the versions for Python 3.11 on Linux, where there are several versions.",
            "The extras `aeon`, `wandb`, `mlflow` and `actigraphy` are not in the lock. The last one is",
            "**for academic use only**: actipy's licence says so.",
            "",
            "## Exceptions",
            "",
            "| packages | why they may be locked |",
            "| --- | --- |",
            *exceptions,
            "",
            "## What else is in the files",
            "",
            "Wheels carry libraries of others, whose licences the package's own does not tell.",
            "",
            "| package | contains |",
            "| --- | --- |",
            *contains,
            "",
            "## All packages",
            "",
            "*Running* is what the installed project needs; all else is for development, or for an extra.",
            "",
            "| package | version | licence | for | where, if not everywhere |",
            "| --- | --- | --- | --- | --- |",
            *rows,
            "",
        ]
    )


def project_version() -> str:
    """The version that ``CITATION.cff``, ``CHANGELOG.md`` and ``pyproject.toml`` have in common."""
    return str(tomli.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"])


def write() -> list[str]:
    """Write both files.

    Returns:
        What is wrong with the licences, a sentence each; nothing is written then.
    """
    packages, rules = read_lock(), read_rules()
    known = licences_of(packages, rules)
    if wrong := faults(known, rules):
        return wrong
    licences = {name: normal(text) for name, text in known.items() if text is not None}
    data = as_json(bill(packages, licences, project_version()))
    if not SBOM.is_file() or not same(json.loads(SBOM.read_text(encoding="utf-8")), data):
        data["metadata"]["timestamp"] = datetime.now(timezone.utc).isoformat(timespec="seconds")
        SBOM.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    PAGE.write_text(page(packages, licences, rules), encoding="utf-8")
    return []


if __name__ == "__main__":
    if sys.version.split(".")[:2] != REFERENCE.python.split("."):
        print(f"make sbom: needs an environment of Python {REFERENCE.python}, this is {sys.version}", file=sys.stderr)
        sys.exit(1)
    if wrong := write():
        print("\n".join(wrong), file=sys.stderr)
        sys.exit(1)
    print(f"licences: {PAGE.relative_to(ROOT)}, by the rules of {RULES.relative_to(ROOT)}")
    print(f"bill of materials: {SBOM.relative_to(ROOT)}")
