"""A data set's folder that is a link in a circle."""

from __future__ import annotations

from pathlib import Path

import pytest

from datamodules.sources.registry import make_source


@pytest.mark.parametrize("name", ["utd_mhad", "sisfall", "daphnet"])
def test_a_folder_that_is_a_circle_of_links_is_not_there(name: str, tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(ValueError, match=rf"{tmp_path}/a: no .* here; expected"):
        make_source(name, {"root": str(tmp_path / "a")}).names()
