"""A release says the same version everywhere, and its checks can run."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import yaml
from helpers.coverage_by_room import room_of, table

ROOT = Path(__file__).resolve().parents[1]


def declared_version() -> str:
    found = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
    assert found is not None
    return found[1]


def test_the_newest_entry_of_the_changelog_is_of_this_version() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    entries = re.findall(r"^## (\S+) - (\d{4}-\d\d-\d\d)$", text, re.MULTILINE)
    assert len(entries) == text.count("\n## "), "expected '## VERSION - YYYY-MM-DD'"
    assert entries[0][0] == declared_version()
    assert entries == sorted(entries, key=lambda e: [int(n) for n in e[0].split(".")], reverse=True)


def test_the_citation_is_of_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()  # what the format asks for
    assert citation["version"] == declared_version()
    assert all(author.keys() & {"family-names", "name"} for author in citation["authors"])


def test_every_hook_is_a_program_of_the_locked_packages() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    assert [repository["repo"] for repository in config["repos"]] == ["local"], "hooks are fetched from nowhere"
    for hook in config["repos"][0]["hooks"]:
        program = shlex.split(hook["entry"])[0]
        assert program.startswith(".venv/bin/"), hook["id"]


def test_the_makefile_locks_every_extra_that_is_for_development() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert {"dev", "docs"} <= set(re.findall(r"--extra (\w+)", makefile))


def test_issue_forms_ask_for_what_they_require() -> None:
    for path in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"):
        form = yaml.safe_load(path.read_text(encoding="utf-8"))
        if path.name != "config.yml":
            assert {"name", "description", "body"} <= form.keys(), path.name
            asked = [field["id"] for field in form["body"]]
            assert len(set(asked)) == len(asked), path.name
            assert any(field.get("validations", {}).get("required") for field in form["body"]), path.name


@pytest.mark.parametrize(
    ("path", "room"),
    [
        ("core/errors.py", "core"),
        ("experiments/pretrain.py", "experiments"),
        ("datamodules/windows/quality/facts.py", "datamodules/windows"),
    ],
)
def test_a_file_belongs_to_the_room_of_its_folder(path: str, room: str) -> None:
    assert room_of(ROOT / path) == room


def test_coverage_adds_the_files_of_a_room_up() -> None:
    found = table([("core", 10, 1), ("encoders/imu", 0, 0), ("core", 30, 3), ("experiments", 60, 56)])
    assert [line.split() for line in found.splitlines()[1:]] == [
        ["core", "40", "4", "90.0", "%"],
        ["experiments", "60", "56", "6.7", "%"],
        ["all", "100", "60", "40.0", "%"],
    ]
