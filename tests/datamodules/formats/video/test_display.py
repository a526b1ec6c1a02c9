from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.numbered_video import ffmpeg, numbered, presented

from datamodules.formats.video import VideoFile, display


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return numbered(tmp_path_factory.mktemp("plain") / "plain.mp4", 12)


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
@pytest.mark.parametrize("mirror", [(), ("-display_hflip",), ("-display_vflip",)])
def test_pictures_are_turned_and_mirrored_as_by_ffmpeg(plain: Any, tmp_path: Path, degrees: Any, mirror: Any) -> None:
    shown = tmp_path / "shown.mp4"
    ffmpeg("-display_rotation", degrees, *mirror, "-i", plain, "-c", "copy", shown)
    truth = presented(shown)
    video = VideoFile(shown, "c", fit="squash")
    assert video.decoder == ("pyav" if mirror else "decord")
    pictures = np.array(list(video.read(np.arange(12), *truth.pictures.shape[1:3])), np.int16)
    assert np.abs(pictures - truth.pictures).mean() < 1  # of 255


def test_other_angles_are_refused() -> None:
    with pytest.raises(ValueError, match="45 degrees"):
        display.turned(np.zeros((4, 6, 3), np.uint8), (1, 1, 0, -1, 1, 0, 0, 0, 1))
    assert display.quarter_turns((1, 1, 0, -1, 1, 0, 0, 0, 1)) is None
    assert display.turned(np.zeros((4, 6, 3), np.uint8), (0,) * 9).shape == (4, 6, 3)
