"""The lock: its licences, its bill of materials, the check for known vulnerabilities, and the versions of Python."""

from __future__ import annotations

import json
import re
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import tomli
from helpers.audit import NONE_KNOWN, NOT_ASKED, SOME_KNOWN, main
from helpers.licences import Rules, faults, from_metadata, installed, normal, not_allowed, read_rules
from helpers.lock import PLACES, PROJECT, PYTHONS, REFERENCE, ROOT, Locked, edges, needed_to_run, read_lock, where
from helpers.sbom import PAGE, SBOM, as_json, bill, page, project_version, same

RENEW = "run 'make sbom', and commit what it writes"


@pytest.fixture(scope="module")
def lock() -> list[Locked]:
    return read_lock()


@pytest.fixture(scope="module")
def committed() -> dict[str, Any]:
    data: dict[str, Any] = json.loads(SBOM.read_text(encoding="utf-8"))
    return data


@pytest.fixture(scope="module")
def licences(committed: dict[str, Any]) -> dict[str, str]:
    """The licence of each package, as the bill of materials has it."""
    found = {}
    for part in committed["components"]:
        (entry,) = part["licenses"]
        named = entry.get("license", {})
        found[part["name"]] = entry.get("expression") or named.get("id") or named["name"]
    return found


def test_the_bill_of_materials_names_exactly_the_packages_of_the_lock(
    lock: list[Locked], committed: dict[str, Any]
) -> None:
    listed = [(part["name"], part["version"]) for part in committed["components"]]
    assert sorted(listed) == sorted(package.key for package in lock), RENEW


def test_the_bill_and_the_page_of_licences_are_as_they_would_be_written_now(
    lock: list[Locked], committed: dict[str, Any], licences: dict[str, str]
) -> None:
    assert same(committed, as_json(bill(lock, licences, project_version()))), RENEW
    assert PAGE.read_text(encoding="utf-8") == page(lock, licences, read_rules()), RENEW


def test_every_licence_is_allowed(licences: dict[str, str]) -> None:
    assert faults(licences, read_rules()) == []


def test_what_is_installed_says_the_licences_that_are_listed(lock: list[Locked], licences: dict[str, str]) -> None:
    rules, here, compared = read_rules(), installed(), 0
    for package in lock:
        data = here.get(package.name)
        if data is None or data["Version"] != package.version or package.name in rules.stated:
            continue
        if not REFERENCE.has(package):
            continue  # an older version may say less, or other things
        said = from_metadata(data)
        assert said is not None, f"{package.name}: read its licence file, and add it to 'stated'"
        assert normal(said) == licences[package.name], f"{package.name}: {RENEW}"
        compared += 1
    assert compared > 100


def test_no_address_of_a_package_index_is_committed() -> None:
    for path in (ROOT / "requirements.lock", SBOM, PAGE):
        found = set(re.findall(r"(?:https?|file)://[^\s\"')]+", path.read_text(encoding="utf-8")))
        assert found <= {"http://cyclonedx.org/schema/bom-1.6.schema.json"}, path.name


def test_packages_for_academic_use_only_are_never_locked(lock: list[Locked]) -> None:
    assert "actipy" not in {package.name for package in lock}


@pytest.mark.parametrize(
    ("expression", "missing"),
    [
        ("MIT", []),
        ("GPL-3.0-only", ["GPL-3.0-only"]),
        ("MIT AND GPL-3.0-only", ["GPL-3.0-only"]),
        ("MIT OR GPL-3.0-only", []),
        ("(GPL-3.0-only OR LGPL-3.0-only) AND MIT", ["GPL-3.0-only", "LGPL-3.0-only"]),
        ("Apache-2.0 WITH LLVM-exception", []),
        ("LicenseRef-Own", ["LicenseRef-Own"]),
    ],
)
def test_of_and_all_and_of_or_one_has_to_be_allowed(expression: str, missing: list[str]) -> None:
    assert not_allowed(expression, ["MIT", "Apache-2.0 WITH LLVM-exception"]) == missing


def test_each_fault_of_the_rules_is_found() -> None:
    rules = Rules(frozenset({"MIT"}), {"b": "why", "e": "why"}, {}, {"gone": "x"})
    found = faults({"a": "GPL-3.0-only", "b": "GPL-3.0-only", "c": "MIT", "d": None, "e": "MIT"}, rules)
    assert [fault.split(": ", 1)[1] for fault in found] == [
        "a: GPL-3.0-only is not among 'allowed', and it is not among 'exceptions'",
        "d: its licence is not known; read its licence file, and add it to 'stated'",
        "gone: it is among 'contains', but is not locked",
        "e: it is among 'exceptions', but its licence is allowed: MIT",
    ]


def test_a_lock_is_read_with_markers_and_with_what_asked_for_it(tmp_path: Path) -> None:
    path = tmp_path / "requirements.lock"
    path.write_text(
        "a==1 ; python_full_version < '3.11' or sys_platform == 'win32' \\\n    --hash=sha256:00\n    # via\n"
        "    #   B_b\n    #   imu-video-har (pyproject.toml)\nb-b==2 \\\n    --hash=sha256:00\n    # via c\n"
        "c==3 ; sys_platform == 'emscripten'\n"
    )
    a, b, c = read_lock(path)
    assert a.asked_by == ("b-b", PROJECT)
    assert b == Locked("b-b", "2", "", ("c",))
    assert where(a) == "Python 3.10; Python 3.11 to 3.13 on Windows"
    assert (where(b), where(c)) == ("", "elsewhere")
    assert edges([a, b, c])["b-b", "2"] == {("a", "1")}
    path.write_text("a>=1\n")
    with pytest.raises(ValueError, match=r"requirements\.lock: a>=1 has no single version; expected a==VERSION"):
        read_lock(path)


def test_every_python_gets_one_version_of_what_is_needed_to_run(lock: list[Locked]) -> None:
    named = {name for name, _ in needed_to_run(lock)}
    assert {"torch", "lightning", "numpy", "h5py"} <= named
    assert not {"pytest", "mypy", "imageio-ffmpeg"} & named
    for place in PLACES:
        here = [package.name for package in lock if place.has(package)]
        assert len(here) == len(set(here)), f"{place}: a package has two versions"
        assert {"torch", "lightning", "numpy", "h5py", "pytest"} <= set(here), place


def test_the_versions_of_python_are_the_same_everywhere() -> None:
    settings = tomli.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    declared = [
        text.rpartition(" :: ")[2]
        for text in settings["project"]["classifiers"]
        if re.fullmatch(r"Programming Language :: Python :: 3\.\d+", text)
    ]
    assert tuple(declared) == PYTHONS
    assert settings["project"]["requires-python"] == f">={PYTHONS[0]}"
    assert settings["tool"]["ruff"]["target-version"] == "py" + PYTHONS[0].replace(".", "")
    assert f"--python-version {PYTHONS[0]} " in (ROOT / "Makefile").read_text(encoding="utf-8")
    for name in ("README.md", "CONTRIBUTING.md"):
        assert f"Python {PYTHONS[0]} to {PYTHONS[-1]}" in (ROOT / name).read_text(encoding="utf-8"), name
    assert f"{sys.version_info.major}.{sys.version_info.minor}" in PYTHONS


class _Osv(BaseHTTPRequestHandler):
    """A database of vulnerabilities in which ``broken`` has one; it fails for ``unlucky``."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        name = asked["package"]["name"]
        affected = {
            "package": {"name": name, "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2.0"}]}],
        }
        known = {"id": "PYSEC-1", "summary": "made up", "published": "2026-01-01T00:00:00Z", "affected": [affected]}
        answer = json.dumps({"vulns": [known]} if (name, asked["version"]) == ("broken", "1.0") else {}).encode()
        self.send_response(500 if name == "unlucky" else 200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def osv() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Osv)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1/query"
    server.shutdown()
    thread.join()
    server.server_close()


def audited(tmp_path: Path, lock: str, url: str) -> int:
    (tmp_path / "lock").write_text(lock)
    return main([f"--osv-url={url}", f"--lock={tmp_path / 'lock'}"])


def test_a_known_vulnerability_is_named_in_whichever_version_it_is(
    tmp_path: Path, osv: str, capsys: pytest.CaptureFixture[str]
) -> None:
    lock = "broken==1.0 ; sys_platform == 'win32'\nbroken==2.0 ; sys_platform != 'win32'\nsound==1.0\n"
    assert audited(tmp_path, lock, osv) == SOME_KNOWN
    assert capsys.readouterr().out.splitlines() == [
        "broken 1.0: PYSEC-1, fixed in 2.0",
        "audit: 1 known vulnerabilities in 3 locked versions",
    ]


def test_no_known_vulnerability(tmp_path: Path, osv: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert audited(tmp_path, "sound==1.0\n", osv) == NONE_KNOWN
    assert capsys.readouterr().out == "audit: no known vulnerabilities in 1 locked versions\n"


def test_a_database_that_cannot_be_asked_is_no_good_news(
    tmp_path: Path, osv: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert audited(tmp_path, "sound==1.0\n", "http://127.0.0.1:9/v1/query") == NOT_ASKED
    said = capsys.readouterr()
    assert said.out == ""
    assert "audit: NOT DONE, nothing is known of 1 locked versions: http://127.0.0.1:9/v1/query can't be" in said.err
    assert audited(tmp_path, "sound==1.0\nunlucky==1.0\n", osv) == NOT_ASKED
    assert "audit: NOT DONE, nothing is known of 2 locked versions: pip-audit stopped with" in capsys.readouterr().err
