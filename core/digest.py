"""Digests of values and files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SEAL = "digest"  # key of the digest in a sealed file


def canonical(value: Any) -> str:
    """Write a value as JSON in the one way that is hashed."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def digest_of(value: Any) -> str:
    """Compute the SHA-256 of ``canonical(value)``, hex."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def file_digest(path: Path) -> str:
    """Compute the SHA-256 of a file, hex."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def sealed(value: Mapping[str, Any]) -> dict[str, Any]:
    """Add the digest of all other content to what is written as JSON."""
    as_read = json.loads(json.dumps(value))  # numbers as keys are text then, which sorts otherwise
    return {**value, SEAL: digest_of(as_read)}


def seal_holds(value: Mapping[str, Any]) -> bool:
    """Compare content with its digest; True where it has none, as files of version 0.2.0 and earlier."""
    rest = {key: each for key, each in value.items() if key != SEAL}
    try:
        return SEAL not in value or bool(value[SEAL] == digest_of(rest))
    except ValueError:  # text or a number that no writer writes
        return False
