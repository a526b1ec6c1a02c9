"""Videos of all kinds against ffmpeg: the same pictures at the same times, whatever is asked for."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.numbered_video import number, presented
from helpers.video_variations import Variation, all_variations, chosen, make

from datamodules.formats.video import VideoFile
from datamodules.recording import RecordingError


def check_against_ffmpeg(path: Path, turned: int = 0) -> Any:
    """Compare times, and the pictures of several reads; which decoder it was, if ffmpeg shows anything."""
    truth = presented(path)
    video = VideoFile(path, "camera", fit="squash")
    if not truth.times.size:  # as of some cut broadcasts
        with pytest.raises(RecordingError):
            list(video.read(np.arange(video.frame_times().size), 8, 8))
        return ""
    # Microseconds: decord's seconds are float32.
    np.testing.assert_allclose(video.frame_times(), truth.times, rtol=0, atol=1e-6)
    count, (height, width) = truth.times.size, truth.pictures.shape[1:3]
    numbers = [number(picture, turned) for picture in truth.pictures]
    assert (np.diff(numbers) > 0).all()
    rng = np.random.default_rng(count)
    reads = [rng.choice(count, min(count, 4), replace=False) for _ in range(3)]
    for indices in ([count - 1], *reads, range(0, count, 7), range(count)):
        wanted = np.sort(np.array(indices, np.int64))
        pictures = list(video.read(wanted, height, width))
        assert [number(picture, turned) for picture in pictures] == [numbers[i] for i in wanted]
        off = np.abs(np.array(pictures, np.int16) - truth.pictures[wanted]).mean(axis=(1, 2, 3))
        # Of 255. Both are FFmpeg's scaler; a picture that lies otherwise is off by tens.
        assert off.max() < 2
    return video.decoder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return tmp_path_factory.mktemp("matrix")


@pytest.mark.parametrize("variation", chosen(28), ids=str)
def test_pictures_and_times_are_ffmpegs(variation: Variation, folder: Path) -> None:
    check_against_ffmpeg(make(variation, folder), variation.rotation)


def plain(**changes: Any) -> Any:
    kind = {"codec": "h264", "pictures": "closed", "timing": "constant", "container": "mp4", "rotation": 0}
    return Variation(**{**kind, "cut": "whole", "tracks": "alone", **changes})


@pytest.mark.parametrize(
    ("variation", "decoder"),
    [
        (plain(), "decord"),
        (plain(timing="variable"), "decord"),
        (plain(rotation=270), "decord"),
        (plain(codec="hevc"), "decord"),
        (plain(codec="hevc_10", container="mov"), "decord"),
        (plain(pictures="open"), "pyav"),
        (plain(codec="hevc", pictures="open"), "pyav"),
        (plain(cut="start"), "pyav"),
        (plain(cut="hidden_end"), "pyav"),
        (plain(tracks="late"), "pyav"),
        (plain(tracks="second"), "pyav"),
        (plain(container="mkv"), "pyav"),
        (plain(codec="av1", pictures="no_b"), "pyav"),
    ],
    ids=str,
)
def test_decord_reads_what_it_reads_exactly_and_pyav_all_else(variation: Variation, decoder: str, folder: Path) -> None:
    assert check_against_ffmpeg(make(variation, folder), variation.rotation) == decoder


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_codec_timing_and_container_with_the_rest_in_turns(folder: Path) -> None:
    everything = all_variations()
    order = np.random.default_rng(1).permutation(len(everything))
    mine: dict[tuple[str, ...], list[Variation]] = {}
    for i in order:
        v = everything[i]
        mine.setdefault((v.codec, v.pictures, v.timing, v.container), []).append(v)
    failed = []
    decoders = set()
    for variations in mine.values():
        try:
            decoders.add(check_against_ffmpeg(make(variations[0], folder), variations[0].rotation))
        except (AssertionError, ValueError) as error:
            failed.append(f"{variations[0]}: {error}"[:500])
    assert not failed, "\n".join([f"{len(failed)} of {len(mine)}", *failed])
    assert decoders - {""} == {"decord", "pyav"}
