"""File patterns with named groups: ``imu/{subject}_{session}.csv``.

A group stands for one or more characters of one file or folder name, ``*`` for any number of them. Where a name can
be read in two ways (``{subject}_{session}`` of ``P_01_2``) that is an error, not a guess; ``{subject:alnum}`` (letters
and digits only), ``{subject:digits}`` and ``{subject:letters}`` make it clear.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from core.suggestions import did_you_mean
from datamodules.sources.manifest.errors import ManifestError

Groups = tuple[tuple[str, str], ...]  # (name, value) in the pattern's order

_FIELD = re.compile(r"\{([^{}]*)\}")
_CLASSES: dict[str, Callable[[str], bool]] = {
    "": lambda text: bool(text),
    "alnum": lambda text: text.isascii() and text.isalnum(),
    "digits": lambda text: text.isascii() and text.isdigit(),
    "letters": lambda text: text.isascii() and text.isalpha(),
}
_LONGEST = 255  # of a file name, on all common file systems


@dataclass(frozen=True)
class _Token:
    """A piece of a pattern: literal text, ``*`` (empty name and no text), or a named group."""

    text: str = ""
    group: str = ""
    kind: str = ""


@dataclass(frozen=True)
class Found:
    """A file that a pattern matches, and what its groups stand for there."""

    path: Path
    groups: dict[str, str]


class Pattern:
    """A pattern below a folder.

    Raises:
        ManifestError: it is empty, names a group wrongly, or two of its groups have nothing between them.
    """

    def __init__(self, text: str, folder: Path, where: str) -> None:
        """``where`` is the key of the manifest, for messages."""
        self.text, self.folder, self.where = text, folder, where
        if not text or text.endswith("/"):
            raise ManifestError(f"{where}: expected the pattern of a file, found '{text}'")
        if "\0" in text or "\\" in text:
            raise ManifestError(f"{where}: '{text}': folders are separated by '/'")
        if "**" in text:
            raise ManifestError(f"{where}: '{text}': '**' is not understood; name each folder level, '*' is any name")
        path = Path(text)
        self._base = Path(path.anchor) if path.is_absolute() else folder
        self._parts = tuple(self._tokens(part) for part in path.parts if part != path.anchor)

    @property
    def groups(self) -> tuple[str, ...]:
        """Names of its groups, in order."""
        names = [token.group for part in self._parts for token in part if token.group]
        return tuple(dict.fromkeys(names))

    def find(self) -> list[Found]:
        """All files that it matches, by path.

        Raises:
            ManifestError: a name can be read in two ways, or a folder can't be listed.
        """
        found: list[tuple[Path, Groups]] = [(self._base, ())]
        for depth, part in enumerate(self._parts):
            found = [step for at, groups in found for step in self._step(at, groups, part)]
            if depth < len(self._parts) - 1:
                found = [(path, groups) for path, groups in found if path.is_dir()]
        return [Found(path, dict(groups)) for path, groups in sorted(found) if path.is_file()]

    def deepest_folder(self) -> Path:
        """The last folder that is named without a group or ``*``, or the first one above it that exists."""
        folder = self._base
        for part in self._parts[:-1]:
            if not all(token.text for token in part) or not (folder / "".join(t.text for t in part)).is_dir():
                break
            folder /= "".join(token.text for token in part)
        return folder

    def fill(self, values: Mapping[str, str]) -> Pattern:
        """The pattern with its groups replaced by their values; ``*`` and groups without a value stay."""
        text = _FIELD.sub(lambda match: values.get(match[1].split(":")[0], match[0]), self.text)
        filled = Pattern.__new__(Pattern)
        filled.text, filled.folder, filled.where = text, self.folder, self.where
        filled._base = self._base
        filled._parts = tuple(
            tuple(_Token(values[t.group]) if t.group in values else t for t in part) for part in self._parts
        )
        return filled

    def _tokens(self, part: str) -> tuple[_Token, ...]:
        tokens: list[_Token] = []
        for piece in re.split(r"(\{[^{}]*\}|\*)", part):
            if piece == "*":
                tokens.append(_Token())
            elif piece.startswith("{") and piece.endswith("}"):
                name, _, kind = piece[1:-1].partition(":")
                if not name.isidentifier():
                    raise ManifestError(f"{self.where}: '{self.text}': '{name}' can't name a group; expected a word")
                if kind not in _CLASSES:
                    known = ", ".join(filter(None, _CLASSES))
                    raise ManifestError(f"{self.where}: '{piece}': expected one of {known} behind the colon")
                if tokens and not tokens[-1].text:
                    raise ManifestError(f"{self.where}: '{self.text}': nothing separates '{piece}' from what is before")
                tokens.append(_Token(group=name, kind=kind))
            elif piece:
                if "{" in piece or "}" in piece:
                    raise ManifestError(f"{self.where}: '{self.text}': a brace is not closed or not opened")
                tokens.append(_Token(piece))
        return tuple(tokens)

    def _step(self, at: Path, groups: Groups, part: tuple[_Token, ...]) -> Iterable[tuple[Path, Groups]]:
        """One folder level further."""
        if all(token.text for token in part):  # nothing to find out, and '..' is no entry of a folder
            path = at / "".join(token.text for token in part)
            return [(path, groups)] if path.exists() else []
        try:
            names = sorted(entry.name for entry in at.iterdir())
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise ManifestError(f"{self.where}: the folder {at} can't be listed: {error.strerror}") from error
        steps = []
        for name in names:
            known = dict(groups)
            ways = [merged for way in readings(part, name) if (merged := _merge(known, way)) is not None]
            if len(ways) > 1:
                one, two = (", ".join(f"{k}={v}" for k, v in way.items()) for way in ways[:2])
                raise ManifestError(
                    f"{self.where}: '{name}' can be read in two ways by '{self.text}': {one}; or {two}. Write "
                    "{name:alnum} (letters and digits), {name:digits} or {name:letters} for a group, or use folders"
                )
            if ways and not (name.startswith(".") and not part[0].text.startswith(".")):
                steps.append((at / name, tuple(ways[0].items())))
        return steps


def _merge(known: dict[str, str], way: Groups) -> dict[str, str] | None:
    """Both together; None where a group would stand for two things."""
    merged = dict(known)
    for name, value in way:
        if merged.setdefault(name, value) != value:
            return None
    return merged


def readings(tokens: tuple[_Token, ...], name: str) -> list[Groups]:
    """In which ways a name can be what the tokens say; of more than eight, some."""

    @cache
    def ways(token: int, start: int) -> tuple[Groups, ...]:
        if token == len(tokens):
            return ((),) if start == len(name) else ()
        current = tokens[token]
        if current.text:
            return ways(token + 1, start + len(current.text)) if name.startswith(current.text, start) else ()
        found: dict[Groups, None] = {}
        for end in range(start + bool(current.group), len(name) + 1):
            value = name[start:end]
            if current.group and not _CLASSES[current.kind](value):
                continue
            head = ((current.group, value),) if current.group else ()
            for rest in ways(token + 1, end):
                found[head + rest] = None
                if len(found) == 8:
                    return tuple(found)
        return tuple(found)

    return list(ways(0, 0)) if len(name) <= _LONGEST else []


def check_template(text: str, known: Iterable[str], where: str) -> None:
    """Raise a ManifestError where a ``{name}`` in the text stands for nothing."""
    names = list(known)
    for name in _FIELD.findall(text):
        if name not in names:
            there = ", ".join(f"{{{n}}}" for n in names) or "none"
            raise ManifestError(f"{where}: '{{{name}}}' stands for nothing{did_you_mean(name, names)} (there: {there})")


def fill_template(text: str, values: Mapping[str, str]) -> str:
    """The text with each ``{name}`` replaced by its value; ``check_template`` came before."""
    return _FIELD.sub(lambda match: values[match[1]], text)
