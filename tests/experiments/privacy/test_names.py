"""Names are found in whatever way they are written, and never said."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from experiments.privacy.names import Finder, NamesError, read_names, unescaped

NAME = "Jörg Müller"
FINDER = Finder([(7, NAME)])


@pytest.mark.parametrize(
    "written",
    [
        NAME.encode(),
        NAME.upper().encode(),
        NAME.lower().encode(),
        unicodedata.normalize("NFD", NAME).encode(),
        NAME.encode("utf-16-le"),
        NAME.encode("utf-16-be"),
        NAME.upper().encode("utf-16"),
        NAME.encode("latin-1"),
        quote(NAME).encode(),
        quote(NAME).lower().encode(),
        quote(NAME).replace("%20", "+").encode(),
        json.dumps(NAME).encode(),
        json.dumps(json.dumps(NAME)).encode(),
        str(NAME.encode()).encode(),
        b"J&ouml;rg M&uuml;ller",
        b"J&#246;rg M&#xfc;ller",
        "Jörg_Müller".encode(),
        "jörgmüller".encode(),
        "JÖRG-MÜLLER".encode(),
        b"%4a%c3%b6%72%67%20M%C3%BCller",
    ],
    ids=repr,
)
def test_a_name_is_found_however_it_is_written(written: bytes) -> None:
    (hit,) = FINDER.find(b"\x00\xff before" + written + b"behind \xfe")
    assert hit.line == 7
    assert not FINDER.find(b"\x00\xff before" + written[: len(written) // 2] + b"behind \xfe")


LETTERS = st.text(st.characters(categories=["L"]), min_size=3, max_size=12)


@given(LETTERS, st.binary(max_size=20), st.binary(max_size=20))
@example("AA\U0002f800", b"", b"")  # a letter that composing replaces by another
def test_any_name_is_found_in_utf8_and_utf16(name: str, before: bytes, behind: bytes) -> None:
    finder = Finder([(1, name)])
    for code in ("utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"):
        assert finder.find(before + name.encode(code) + behind)
    assert finder.find(json.dumps(name).encode())
    assert finder.find(quote(name).encode())


@given(st.binary(max_size=200))
def test_undoing_escapes_takes_any_bytes(content: bytes) -> None:
    unescaped(content)
    FINDER.find(content)


def test_whole_words_stand_alone() -> None:
    finder = Finder([(1, "Mark")], whole_words=True)
    assert not finder.find(b"benchmark, markers")
    assert finder.find(b"benchmark, then mark_1.csv")[0].at == 16
    assert Finder([(1, "Mark")]).find(b"benchmark")


def test_a_mask_hides_the_name_and_says_its_line() -> None:
    assert FINDER.mask("runs/jörg müller/JÖRG_MÜLLER.csv") == "runs/[line 7]/[line 7].csv"


def test_a_list_of_names_is_read_by_line(tmp_path: Path) -> None:
    path = tmp_path / "names.txt"
    path.write_bytes("\ufeff# people\nAnna\n\n Jörg \r\n".encode())
    assert read_names(path) == [(2, "Anna"), (4, "Jörg")]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no name in it"),
        (b"# only a remark\n", "no name in it"),
        (b"Anna\nX\n", "line 2: 1 letters; expected 3 or more"),
        (b"\xff\xfeA\x00", "can't be read"),
        (b"A" * 2000, "line 1: 2000 letters"),
    ],
)
def test_a_list_that_cant_be_used_says_where(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "names.txt"
    path.write_bytes(content)
    with pytest.raises(NamesError, match=said) as raised:
        read_names(path)
    assert str(path) in str(raised.value)
