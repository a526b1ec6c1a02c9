"""Known vulnerabilities of the locked packages, from the OSV database by pip-audit; ``make audit`` prints them.

Exit codes: 0, none is known; 1, there are some; 3, the database could not be asked, so that nothing is known.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from helpers.lock import Locked, read_lock

OSV = "https://api.osv.dev/v1/query"
NONE_KNOWN, SOME_KNOWN, NOT_ASKED = 0, 1, 3
_PATIENCE_S = 10


class NotAskedError(Exception):
    """The database can't be reached, or does not answer what is expected."""


@dataclass(frozen=True)
class Vulnerability:
    """One known vulnerability of a locked package."""

    package: str
    version: str
    name: str
    fixed_in: tuple[str, ...]

    def __str__(self) -> str:
        fixed = f"fixed in {', '.join(self.fixed_in)}" if self.fixed_in else "not fixed in any version yet"
        return f"{self.package} {self.version}: {self.name}, {fixed}"


def ask(packages: Sequence[Locked], url: str = OSV) -> list[Vulnerability]:
    """Ask for every version of every package, whatever platform it is for.

    Raises:
        NotAskedError: the database can't be reached, or not to the end.
    """
    _probe(url)
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for i, group in enumerate(_each_name_once(packages)):
            wanted = Path(folder) / f"{i}.txt"
            wanted.write_text("".join(f"{package.name}=={package.version}\n" for package in group), encoding="utf-8")
            found += _pip_audit(wanted, url, Path(folder) / "cache")
    return found


def _probe(url: str) -> None:
    question = json.dumps({"package": {"name": "pip", "ecosystem": "PyPI"}, "version": "1.0"}).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(url, question), timeout=_PATIENCE_S) as answer:
            json.load(answer)
    except (OSError, ValueError) as error:  # urllib's errors are OSErrors
        raise NotAskedError(f"{url} can't be reached: {error}") from error


def _each_name_once(packages: Iterable[Locked]) -> list[list[Locked]]:
    """Groups in which no name is twice, as pip-audit asks for."""
    groups: list[dict[str, Locked]] = []
    for package in packages:
        free = next((group for group in groups if package.name not in group), None)
        if free is None:
            free = {}
            groups.append(free)
        free[package.name] = package
    return [list(group.values()) for group in groups]


def _pip_audit(wanted: Path, url: str, cache: Path) -> list[Vulnerability]:
    options = ["--no-deps", "--disable-pip", "--progress-spinner=off", "--format=json", "--vulnerability-service=osv"]
    command = [
        sys.executable,
        "-m",
        "pip_audit",
        *options,
        f"--osv-url={url}",
        f"--cache-dir={cache}",
        "-r",
        str(wanted),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        answered = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError) as error:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise NotAskedError(f"pip-audit stopped with exit code {done.returncode}: {last}") from error
    skipped = [f"{entry['name']} ({entry['skip_reason']})" for entry in answered if "skip_reason" in entry]
    if skipped:
        raise NotAskedError(f"pip-audit left out {', '.join(skipped)}")
    return [
        Vulnerability(entry["name"], entry["version"], vulnerability["id"], tuple(vulnerability["fix_versions"]))
        for entry in answered
        for vulnerability in entry["vulns"]
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what is known; return the exit code."""
    parser = argparse.ArgumentParser(prog="make audit", description=__doc__)
    parser.add_argument("--osv-url", default=OSV, help="another OSV database (default: %(default)s)")
    parser.add_argument("--lock", type=Path, help="another lock than requirements.lock")
    options = parser.parse_args(arguments)
    packages = read_lock(options.lock) if options.lock else read_lock()
    try:
        found = ask(packages, options.osv_url)
    except NotAskedError as error:
        print(f"audit: NOT DONE, nothing is known of {len(packages)} locked versions: {error}", file=sys.stderr)
        return NOT_ASKED
    for vulnerability in found:
        print(vulnerability)
    print(f"audit: {len(found) or 'no'} known vulnerabilities in {len(packages)} locked versions")
    return SOME_KNOWN if found else NONE_KNOWN


if __name__ == "__main__":
    sys.exit(main())
