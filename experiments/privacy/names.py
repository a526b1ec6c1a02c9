"""The names that an audit looks for, and the bytes that they may be written in."""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote_to_bytes

from core.errors import MendableError

SHORTEST = 3  # letters; anything shorter is found everywhere by chance
_PERCENT = re.compile(rb"(?:%[0-9a-fA-F]{2})+")
_UNICODE = re.compile(rb"(?:\\+u[0-9a-fA-F]{4})+")
_HEX = re.compile(rb"(?:\\+x[0-9a-fA-F]{2})+")
_ENTITY = re.compile(rb"&#?[0-9a-zA-Z]{2,8};")
# Where escapes are: each begins with a byte of its own, which is quick to look for.
_BEGINNINGS = (re.compile(rb"%[0-9a-fA-F]{2}"), re.compile(rb"\\[ux][0-9a-fA-F]{2}"), _ENTITY)
_RUN = re.compile(r"[a-z]{3,}")
_BETWEEN = ("", " ", "_", "-", "+", ".")  # what may stand for a blank within a name
_WIDE = ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")
_MOST_BYTES = 1024  # of a name; longer ones are no names


class NamesError(MendableError, ValueError):
    """A list of names that can't be used; the message names the file and the line."""


@dataclass(frozen=True)
class Name:
    """A name to be looked for.

    Attributes:
        line: its line in the list, which stands for it in all that is said.
        forms: the bytes that it may be written in, in lower case as far as ASCII goes.
        hint: letters that all forms have, apart from zeros between them; empty if there are none.
    """

    line: int
    forms: tuple[bytes, ...]
    hint: bytes

    @classmethod
    def of(cls, line: int, text: str) -> Name:
        """Make all forms: Unicode composed and decomposed, UTF-8, 16 and 32, Latin-1, blanks or what replaces them."""
        texts: set[str] = set()
        for between in _BETWEEN if " " in text else ("",):
            spelt = between.join(text.split()) if " " in text else text
            # As it is, too: composing replaces some letters that look alike, which a file may have.
            for composed in (spelt, unicodedata.normalize("NFC", spelt), unicodedata.normalize("NFD", spelt)):
                texts |= {composed, composed.lower(), composed.upper(), composed.title()}
        forms: set[bytes] = set()
        for each in texts:
            forms.add(each.encode("utf-8", "surrogateescape").lower())
            if each.isascii():
                # Without the last zeros it is in big endian, too; NumPy's texts are UTF-32.
                forms |= {each.encode("utf-16-le").lower()[:-1], each.encode("utf-32-le").lower()[:-3]}
            else:
                forms |= {each.encode(code, "surrogatepass").lower() for code in _WIDE}
            try:
                forms.add(each.encode("latin-1").lower())
            except UnicodeEncodeError:
                continue
        # Decomposed, a letter with a mark is a plain one and its mark; so letters beside it may be part of a run there.
        runs = _RUN.findall(unicodedata.normalize("NFC", text).lower())
        return cls(line, tuple(sorted(forms)), max(runs, key=len, default="").encode())


@dataclass(frozen=True)
class Hit:
    """A name that was found: its line in the list, and the first byte."""

    line: int
    at: int


def read_names(path: Path) -> list[tuple[int, str]]:
    """Read a list of names, one a line; empty lines and lines that begin with ``#`` are left out.

    Returns:
        Line and name, in order.

    Raises:
        NamesError: it can't be read, is empty, or a name is too short or too long.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise NamesError(f"{path}: the list of names can't be read: {error}; expected UTF-8, a name a line") from error
    found = [(number, text.strip()) for number, text in enumerate(lines, 1)]
    found = [(number, text) for number, text in found if text and not text.startswith("#")]
    if not found:
        raise NamesError(f"{path}: no name in it; expected a name a line")
    for number, text in found:
        if len(text) < SHORTEST or len(text.encode("utf-8", "replace")) > _MOST_BYTES:
            raise NamesError(
                f"{path}, line {number}: {len(text)} letters; expected {SHORTEST} or more, as less is found by chance,"
                f" and at most {_MOST_BYTES} bytes"
            )
    return found


class Finder:
    """Finds names in bytes.

    Args:
        names: as :func:`read_names` gives them.
        whole_words: a name counts only where no letter stands before or behind it.
    """

    def __init__(self, names: Sequence[tuple[int, str]], whole_words: bool = False) -> None:
        self._names = [Name.of(line, text) for line, text in names]
        self._whole = whole_words
        # Escaped, a letter takes up to eight bytes of a form's one.
        self.overlap = 8 * max(len(form) for name in self._names for form in name.forms)

    def find(self, content: bytes) -> list[Hit]:
        """Find each name's first place in the bytes as they are, and with escapes of URLs, JSON and HTML undone."""
        found = {hit.line: hit for hit in self._find(content)}
        for stretch in _with_escapes(content, self.overlap):
            for hit in self._find(unescaped(stretch)):
                found.setdefault(hit.line, Hit(hit.line, -1))  # its place is another one before the escapes
        return list(found.values())

    def mask(self, text: str) -> str:
        """Replace names in a text, such as a path, by their lines in the list."""
        for name in self._names:
            for form in name.forms:
                try:
                    spelt = form.decode("utf-8")
                except UnicodeDecodeError:
                    continue
                text = re.sub(re.escape(spelt), f"[line {name.line}]", text, flags=re.IGNORECASE)
        return text

    def _find(self, content: bytes) -> list[Hit]:
        lowered = content.lower()
        # One look for each name, at letters that all its forms have: in UTF-16 and 32 there are zeros between them.
        close = lowered.translate(None, b"\0")
        found = []
        for name in self._names:
            if name.hint not in close:
                continue
            places = [place for form in name.forms if (place := self._first(lowered, form)) >= 0]
            if places:
                found.append(Hit(name.line, min(places)))
        return found

    def _first(self, lowered: bytes, form: bytes) -> int:
        place = lowered.find(form)
        while self._whole and place >= 0 and not _alone(lowered, place, place + len(form)):
            place = lowered.find(form, place + 1)
        return place


def _with_escapes(content: bytes, around: int) -> Iterator[bytes]:
    """Yield the stretches of some bytes that have escapes, with so many bytes before and behind."""
    places = sorted(match.span() for escape in _BEGINNINGS for match in escape.finditer(content))
    begin, end = 0, -1
    for first, last in places:
        if first - around > end:
            if end >= 0:
                yield content[begin:end]
            begin = max(0, first - around)
        end = max(end, last + around)
    if end >= 0:
        yield content[begin:end]


def unescaped(content: bytes) -> bytes:
    r"""Undo escapes of URLs (``%C3%B6``), JSON and Python (``\u00f6``, ``\xc3``) and HTML (``&ouml;``, ``&#246;``)."""
    content = _PERCENT.sub(lambda match: unquote_to_bytes(match.group()), content)
    content = _HEX.sub(lambda match: bytes.fromhex(re.sub(rb"\\+x", b"", match.group()).decode()), content)
    content = _UNICODE.sub(lambda match: _letters(re.sub(rb"\\+u", b"", match.group()).decode()), content)
    return _ENTITY.sub(
        lambda match: html.unescape(match.group().decode("ascii")).encode("utf-8", "surrogatepass"), content
    )


def _letters(digits: str) -> bytes:
    # Beyond 16 bits a letter is escaped as two, as in UTF-16.
    return bytes.fromhex(digits).decode("utf-16-be", "surrogatepass").encode("utf-8", "surrogatepass")


def _alone(content: bytes, begin: int, end: int) -> bool:
    return not content[max(0, begin - 1) : begin].isalpha() and not content[end : end + 1].isalpha()
