"""README, CONTRIBUTING and the pages of docs/: their links, commands, files and settings exist."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from pymdownx.slugs import slugify

from datamodules.sources.manifest import Manifest, ManifestParams
from experiments.settings.descriptions import describe
from experiments.settings.load import load
from experiments.statistics import results

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    [*(ROOT / "docs").rglob("*.md"), *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md"))]
)
PAGES = [page for page in PAGES if page.is_file()]
# The change log names what there was before.
TODAY = [page for page in PAGES if page.name != "CHANGELOG.md"]
# Pages that the hooks of the site make: pages in docs/ may lead to them, those in the root of the repository may not.
MADE = {ROOT / "docs" / name for name in ("index.md", "contributing.md", "examples.md", "settings.md")}
FENCE = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
SOURCES = (".py", ".yaml", ".j2")
PLACES = "core|datamodules|encoders|lightning_modules|experiments|tests|benchmarks|examples|docs"


def ids(pages: list[Path]) -> list[str]:
    return [str(page.relative_to(ROOT)) for page in pages]


def prose(page: Path) -> str:
    """A page without its blocks of code."""
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def spans(page: Path) -> list[str]:
    """What a page has between single backquotes."""
    return re.findall(r"`([^`\n]+)`", prose(page))


def anchors(page: Path) -> set[str]:
    slug = slugify(case="lower")
    titles = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {slug(re.sub(r"[`*]", "", title), "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=ids(PAGES))
def test_links_and_pictures_exist(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)) + re.findall(r'src="([^"]+)"', prose(page)):
        if "://" in target or target.startswith("mailto:"):
            continue
        name, _, anchor = target.partition("#")
        there = (page.parent / name).resolve() if name else page
        if there in MADE and page.is_relative_to(ROOT / "docs"):
            continue
        assert there.exists(), f"{page.relative_to(ROOT)} links to '{target}'"
        if anchor:
            assert anchor in anchors(there), f"{page.relative_to(ROOT)} links to '{target}': no such heading"


@pytest.mark.parametrize("page", PAGES, ids=ids(PAGES))
def test_commands_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for package, name in re.findall(r"-m (experiments|benchmarks)\.(\w+)", text):
        path = ROOT / package / f"{name}.py"
        assert path.is_file(), f"python -m {package}.{name}"
        assert "__main__" in path.read_text(encoding="utf-8"), f"{package}.{name} is no command"
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"(?:`|^)make ([a-z][a-z-]*)", text, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"make {target}"


@pytest.mark.parametrize("page", TODAY, ids=ids(TODAY))
def test_files_exist(page: Path) -> None:
    for span in spans(page):
        for path in re.findall(rf"^(?:{PLACES})/[\w./*-]*", span):
            assert any(ROOT.glob(path)), f"{page.relative_to(ROOT)} names {path}"


def test_settings_exist() -> None:
    known = {path for path, *_ in describe()}
    groups = {path.split(".")[0] for path in known if "." in path}
    # A group of settings may be named too, and what is below a free-form setting is its own.
    prefixes = {".".join(path.split(".")[:n]) for path in known for n in range(1, path.count(".") + 1)}
    open_ended = tuple(f"{path}." for path, kind, *_ in describe() if kind.startswith(("dict", "list")))
    wrong = []
    for page in TODAY:
        named = {match for text in page_settings(page) for match in re.findall(r"^([a-z_]+(?:\.[a-z_<>]+)+)", text)}
        for name in sorted(named):
            name = re.sub(r"^datasets\.[a-z_]+\.", "datasets.<name>.", name)
            if name.split(".")[0] not in groups or name.endswith((".py", ".yaml", ".csv", ".md", ".html")):
                continue
            if name not in known | prefixes and not name.startswith(open_ended):
                wrong.append(f"{page.relative_to(ROOT)}: {name}")
    assert not wrong, "\n".join(wrong)


def page_settings(page: Path) -> Iterator[str]:
    """Code spans, and the words of shell commands."""
    yield from spans(page)
    for block in FENCE.findall(page.read_text(encoding="utf-8")):
        if block.startswith("```bash"):
            yield from re.findall(r"(?<![\w./=-])[a-z_]+(?:\.[a-z_]+)+(?==)", block)


def test_pieces_of_configurations_load(tmp_path: Path) -> None:
    for page in (ROOT / "docs").rglob("*.md"):
        for number, block in enumerate(re.findall(r"^```yaml\n(.*?)^```$", page.read_text("utf-8"), re.DOTALL | re.M)):
            path = tmp_path / f"{page.stem}-{number}.yaml"
            path.write_text(block, encoding="utf-8")
            if re.match(r"# \S*manifest\.yaml\n", block):
                Manifest(ManifestParams(str(path)))
            else:
                load(str(path))


def test_every_command_is_in_the_list() -> None:
    text = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    for path in (ROOT / "experiments").glob("*.py"):
        if path.name != "__init__.py":
            assert f"`python -m experiments.{path.stem} " in text, path.name
    for target in re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE):
        assert target == "help" or f"`make {target}" in text, target


def test_the_glossary_has_every_column_in_order() -> None:
    text = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    table = text[text.index("## Columns of results.csv") :]
    assert tuple(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == results.COLUMNS


def test_the_architecture_has_every_room() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    tree = re.search(r"```\n(core/.*?)```", text, re.DOTALL)
    assert tree
    for path in ROOT.glob("*/**/__init__.py"):
        room = path.parent.relative_to(ROOT)
        if room.parts[0] in ("core", "datamodules", "encoders", "lightning_modules", "experiments"):
            assert re.search(rf"\b{room.name}/", tree[1]), f"{room} is not in the tree"


def test_messages_and_comments_name_pages_that_exist() -> None:
    files = [ROOT / "Makefile", *ROOT.glob("*.toml"), *ROOT.glob("*.yml")]
    files += [path for place in PLACES.split("|") for path in (ROOT / place).rglob("*") if path.suffix in SOURCES]
    wrong = []
    for path in files:
        text = path.read_text(encoding="utf-8")
        for page in re.findall(r"(?<![\w./-])docs/[\w/-]+\.(?:md|svg|png)", text):
            if not (ROOT / page).is_file():
                wrong.append(f"{path.relative_to(ROOT)} names {page}")
    assert not wrong, "\n".join(wrong)


def test_the_benchmarks_find_their_tables() -> None:
    page = (ROOT / "docs" / "guides" / "performance.md").read_text(encoding="utf-8")
    source = (ROOT / "benchmarks" / "results.py").read_text(encoding="utf-8")
    marks = re.findall(r'"(<!-- .*? -->)"', source)
    assert len(marks) >= 2
    for mark in marks:
        assert mark in page, mark
