"""Settings of privacy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from core.settings import setting
from datamodules.privacy.key import default_key, named_key


@dataclass
class PrivacySettings:
    """What leaves the place where recordings were made; see docs/guides/privacy.md."""

    pseudonyms: bool = setting(
        False, "subjects and recordings get pseudonyms, and no path is kept; see docs/guides/privacy.md"
    )
    key: str = setting("", "file of the project's key; empty: ~/.config/imu-video-har/pseudonyms.key")
    features_only: bool = setting(
        False, "experiments.share leaves all frames out, and pretraining shows none: features stand for the video"
    )

    def key_file(self) -> Path:
        """Return the file of the key."""
        return named_key(self.key) if self.key else default_key()
