"""The key of a project's pseudonyms: a file that only its owner can read, and that stays out of all data."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import stat
from pathlib import Path

from core.errors import MendableError

_BYTES = 32
_FORMAT = re.compile(rf"[0-9a-f]{{{2 * _BYTES}}}")


class PrivacyError(MendableError, ValueError):
    """Names can't be hidden as the settings ask; the message names the setting or file, and never a hidden name."""


def default_key() -> Path:
    """Name the key's file where the settings name none: in the user's folder of configuration."""
    base = os.environ.get("XDG_CONFIG_HOME", "") or "~/.config"
    return named_key(f"{base}/imu-video-har/pseudonyms.key")


def named_key(path: str) -> Path:
    """Return the path of a key's file, of which a ``~`` at its begin is the user's folder.

    Raises:
        PrivacyError: this user has no folder, as in a container that runs as a number.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise PrivacyError(
            f"privacy.key: '{path}' is in the folder of a user who has none here; set HOME, or name a file by its whole"
            " path"
        ) from error


def read_key(path: Path) -> bytes:
    """Read a key.

    Raises:
        PrivacyError: it is not there, others may read it, or it is no key.
    """
    try:
        mode = path.stat().st_mode
        content = path.read_text(encoding="ascii", errors="replace").strip() if stat.S_ISREG(mode) else ""
    except FileNotFoundError as error:
        raise PrivacyError(
            f"privacy.key: no file '{path}'; expected the key that the pseudonyms were made with"
        ) from error
    if stat.S_IMODE(mode) & 0o077:
        raise PrivacyError(
            f"{path}: its mode is {stat.S_IMODE(mode):04o}, so that others may read the key of the pseudonyms;"
            f" expected 0600: chmod 600 {path}"
        )
    if not _FORMAT.fullmatch(content):
        raise PrivacyError(f"{path}: not a key of pseudonyms; expected {2 * _BYTES} hexadecimal digits")
    return bytes.fromhex(content)


def make_key(path: Path) -> bytes:
    """Make a random key with mode 0600, or read the one that is there; of two processes, both get the same key.

    Raises:
        PrivacyError: what is there is no key, or others may read it.
        OSError: the folder can't be written.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}-{secrets.token_hex(8)}")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(secrets.token_hex(_BYTES) + "\n")
                file.flush()
                os.fsync(file.fileno())
            with contextlib.suppress(FileExistsError):  # another process was first: its key is the one
                os.link(temporary, path)
        finally:
            temporary.unlink()
    return read_key(path)
