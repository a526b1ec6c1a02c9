"""Pseudonyms: a keyed hash of a name, the same for the same name in all data sets of a project.

A pseudonym is 100 bits of BLAKE2b under the project's key. Without the key nobody can tell whose it is, not even by
trying all names. Two of a million names share one with a probability below 1e-18; where it happens, it is refused.
"""

from __future__ import annotations

import base64
import hashlib
import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from datamodules.privacy.key import PrivacyError, make_key, read_key

SUBJECT, RECORDING, TEXT, FILE = "subject", "recording", "text", "file"
_PREFIXES = {SUBJECT: "s-", RECORDING: "r-", TEXT: "t-", FILE: "f-"}
_LETTERS = 20  # of base32, 5 bits each
_PSEUDONYM = re.compile(rf"[srtf]-[a-z2-7]{{{_LETTERS}}}")


def is_pseudonym(text: str) -> bool:
    """Say whether a text looks like a pseudonym."""
    return _PSEUDONYM.fullmatch(text) is not None


class Pseudonyms:
    """Names to pseudonyms, by one key.

    Args:
        key: the secret, 32 bytes.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._given: dict[str, str] = {}

    @classmethod
    def of_file(cls, path: str | Path, make: bool = False) -> Pseudonyms:
        """Use the key in a file.

        Args:
            path: of the file.
            make: makes a key if there is none yet.

        Raises:
            PrivacyError: there is no key, or others may read it.
        """
        return cls((make_key if make else read_key)(Path(path)))

    @property
    def key_id(self) -> str:
        """What tells keys apart without giving them away; shards keep it."""
        return hashlib.blake2b(b"key id", key=self._key, digest_size=8, person=b"har key id").hexdigest()

    def of(self, kind: str, name: str) -> str:
        """Return the pseudonym of a name; a pseudonym stays as it is.

        Args:
            kind: ``SUBJECT``, ``RECORDING``, ``TEXT`` or ``FILE``; the same name has another pseudonym in each.
            name: the name; how Unicode composes its letters makes no difference.

        Raises:
            PrivacyError: two names have the same pseudonym.
        """
        if is_pseudonym(name):
            return name
        name = unicodedata.normalize("NFC", name)
        found = hashlib.blake2b(name.encode("utf-8", "surrogateescape"), key=self._key, person=kind.encode()).digest()
        made = _PREFIXES[kind] + base64.b32encode(found).decode().lower()[:_LETTERS]
        if self._given.setdefault(made, name) != name:
            raise PrivacyError(
                f"two names of the kind '{kind}' have the same pseudonym, {made}; take another key (privacy.key)"
            )
        return made

    def table(self, kind: str, names: Iterable[str]) -> dict[str, str]:
        """Return pseudonym -> name, sorted by pseudonym, so that the order tells nothing of the names.

        Raises:
            PrivacyError: two names share a pseudonym, or a name looks like one.
        """
        found: dict[str, str] = {}
        for name in names:
            if is_pseudonym(name):
                raise PrivacyError(f"a {kind} is named like a pseudonym, {name}; turn privacy.pseudonyms off")
            if found.setdefault(self.of(kind, name), name) != name:  # the same name in two compositions of Unicode
                raise PrivacyError(f"two {kind}s have names that differ in the composition of letters alone")
        return dict(sorted(found.items()))
