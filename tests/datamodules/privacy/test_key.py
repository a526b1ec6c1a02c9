"""The key of pseudonyms: made once, for its owner alone."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from datamodules.privacy.key import PrivacyError, default_key, make_key, read_key
from datamodules.privacy.settings import PrivacySettings


def test_a_key_is_made_once_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "new" / "my.key"
    key = make_key(path)
    assert len(key) == 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert make_key(path) == read_key(path) == key
    assert [each.name for each in path.parent.iterdir()] == ["my.key"]  # nothing temporary is left


def test_many_at_once_get_the_same_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as pool:
        keys = set(pool.map(make_key, [tmp_path / "my.key"] * 64))
    assert len(keys) == 1


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_key_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "my.key"
    make_key(path)
    path.chmod(mode)
    with pytest.raises(PrivacyError, match=f"my.key: its mode is {mode:04o}.*expected 0600: chmod 600"):
        read_key(path)


@pytest.mark.parametrize("content", ["", "secret", "0" * 63, "g" * 64, "0" * 65])
def test_what_is_no_key_is_refused_without_showing_it(tmp_path: Path, content: str) -> None:
    path = tmp_path / "my.key"
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(PrivacyError, match="not a key of pseudonyms; expected 64 hexadecimal digits") as raised:
        make_key(path)
    assert not content or content not in str(raised.value)


def test_a_missing_key_is_not_made_by_reading(tmp_path: Path) -> None:
    with pytest.raises(PrivacyError, match="no file"):
        read_key(tmp_path / "my.key")
    assert not list(tmp_path.iterdir())


def test_the_usual_place_is_the_users_folder_of_configuration(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert default_key() == tmp_path / "imu-video-har" / "pseudonyms.key"
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_key() == tmp_path / ".config" / "imu-video-har" / "pseudonyms.key"


def test_a_user_without_a_folder_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container that runs as a number, without HOME."""

    def no_folder(path: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setattr(Path, "expanduser", no_folder)
    for find in (default_key, PrivacySettings(key="~nobody/key").key_file):
        with pytest.raises(PrivacyError, match=r"privacy\.key: '~.*key' is in the folder of a user who has none here"):
            find()
