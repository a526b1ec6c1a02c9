"""The habits of the packages' module docstrings."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("core", "datamodules", "encoders", "lightning_modules", "experiments")
# A module docstring names a thing. These words begin a question or a relative clause.
NO_NOUNS = {"What", "Who", "How", "Where", "When", "Why", "Which", "Whether", "Is", "Are", "Can", "Does", "Do"}
MOST_WORDS = 25  # in the first sentence


def faults(docstring: str | None) -> list[str]:
    """The habits that a module docstring breaks, in words."""
    if not docstring:
        return ["there is no module docstring"]
    found = []
    first_line = docstring.splitlines()[0]
    if not first_line.endswith("."):
        found.append(f"the first line does not end with a period: '{first_line}'")
    words = docstring.split()
    if re.sub(r"\W.*", "", words[0]) in NO_NOUNS:
        found.append(f"it starts with '{words[0]}'; expected a noun phrase")
    sentence = re.split(r"(?<=[.!?])\s", docstring)[0].split()
    if len(sentence) > MOST_WORDS:
        found.append(f"the first sentence has {len(sentence)} words; expected at most {MOST_WORDS}")
    return found


@pytest.mark.parametrize("package", PACKAGES)
def test_module_docstrings_start_with_one_short_sentence_about_a_thing(package: str) -> None:
    broken = {}
    for path in sorted((ROOT / package).rglob("*.py")):
        found = faults(ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))))
        if found:
            broken[str(path.relative_to(ROOT))] = found
    assert not broken, "\n".join(f"{path}: {'; '.join(found)}" for path, found in broken.items())


@pytest.mark.parametrize(
    ("docstring", "fault"),
    [
        (None, "no module docstring"),
        ("", "no module docstring"),
        ("One shard", "period"),
        ("What a shard is: one HDF5 file.", "starts with 'What'"),
        ("How, and why.", "starts with 'How,'"),
        ("Whether it's whole.", "starts with 'Whether'"),
        (" ".join(["word"] * MOST_WORDS) + " more.", "26 words"),
    ],
)
def test_each_fault_is_found(docstring: str | None, fault: str) -> None:
    (found,) = faults(docstring)
    assert fault in found


def test_a_plain_docstring_has_no_fault() -> None:
    assert faults("Islands of samples, e.g. whole walks.\n\nWhat follows may be long.") == []
