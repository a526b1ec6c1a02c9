"""Files that decord would read wrongly, and the reason that is given for the other decoder."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.numbered_video import ffmpeg, number, numbered, presented

from datamodules.formats.video import VideoFile
from datamodules.recording import RecordingError

CASES = Path(os.environ.get("IMU_VIDEO_HAR_CASES", Path(__file__).resolve().parents[5] / "shared" / "cases")) / "video"


def read_all(path: Path) -> Any:
    video = VideoFile(path, "c", fit="squash")
    times = video.frame_times()
    return video, times, [number(picture) for picture in video.read(np.arange(times.size), 64, 96)]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        pytest.param("x265_keyint30", "HEVC in MP4/MOV, open groups of pictures", marks=pytest.mark.slow),
        ("trim_copy", "an edit list that hides frames"),
        ("gop30_cut", "an edit list that hides frames"),
        ("endcut", "an edit list that hides frames"),
        ("delay02", "an edit list that starts it late"),
        ("delay05", "an edit list that starts it late"),
    ],
)
def test_files_that_were_read_wrongly_once(name: Any, reason: Any) -> None:
    path = CASES / f"{name}.mp4"
    if not path.is_file():
        pytest.skip(f"needs {path} (or set IMU_VIDEO_HAR_CASES)")
    video, times, numbers = read_all(path)
    truth = presented(path)
    np.testing.assert_allclose(times, truth.times, atol=1e-6)
    assert numbers == truth.numbers
    assert video.decoder == "pyav"
    assert reason in video.decoder_reason


def test_key_frames_close_together_are_no_problem_for_decord(tmp_path: Path) -> None:
    where = "+".join(f"eq(n,{i})" for i in (1, 3, 5, 6, 9, 11, 12, 13, 20, 21, 22, 30))
    options = ("-preset", "medium", "-bf", 3, "-force_key_frames", f"expr:{where}")
    path = numbered(tmp_path / "close.mp4", 50, gop=30, options=options)
    video, _, numbers = read_all(path)
    assert (video.decoder, numbers) == ("decord", list(range(50)))
    for step in (2, 3, 5, 7):
        indices = np.arange(step - 1, 50, step)
        assert [number(picture) for picture in video.read(indices, 64, 96)] == indices.tolist()


def test_h264_that_starts_anew_nowhere_is_decoded_from_its_start(tmp_path: Path) -> None:
    options = ("-x264-params", "intra-refresh=1:bframes=0")
    path = numbered(tmp_path / "refresh.mp4", 90, gop=20, options=options)
    video, times, numbers = read_all(path)
    assert numbers == list(range(90))
    (late,) = video.read(np.array([70]), 64, 96)
    assert number(late) == 70
    np.testing.assert_allclose(times, presented(path).times, atol=1e-6)


def test_a_broadcast_joined_amid_a_group_of_pictures(tmp_path: Path) -> None:
    whole = numbered(tmp_path / "whole.ts")
    part = tmp_path / "part.ts"
    part.write_bytes(whole.read_bytes()[188 * 12 :])
    _, times, numbers = read_all(part)
    truth = presented(part)
    np.testing.assert_allclose(times, truth.times, atol=1e-6)
    assert numbers == truth.numbers
    assert numbers[0] > 0


@pytest.mark.parametrize("ending", ["mp4", "mkv"])
@pytest.mark.parametrize("filling", ["zeros", "noise"])
def test_a_first_key_frame_that_is_damaged_is_not_skipped(tmp_path: Path, ending: Any, filling: Any) -> None:
    path = numbered(tmp_path / f"damaged.{ending}", options=("-movflags", "+faststart"))
    data = bytearray(path.read_bytes())
    # x264 writes its settings into the first frame's packet; what follows them is the picture.
    start = data.index(b"x264 - core") + 300
    noise = np.random.default_rng(0).integers(0, 256, 500, np.uint8).tobytes()
    data[start : start + 500] = noise if filling == "noise" else bytes(500)
    path.write_bytes(data)
    with pytest.raises(RecordingError, match=rf"damaged\.{ending}"):
        read_all(path)


@pytest.mark.parametrize("codec", ["h264", "mpeg2", "mpeg4"])
@pytest.mark.parametrize("ending", ["mkv", "avi"])
def test_damage_inside_is_an_error_with_codec_container_and_remedy(tmp_path: Path, codec: Any, ending: Any) -> None:
    path = numbered(tmp_path / f"damaged.{ending}", 120, codec)
    ffmpeg("-f", "lavfi", "-i", "testsrc2=size=160x120:rate=30:duration=4", "-g", 12, "-c:v", *_encoder(codec), path)
    data = bytearray(path.read_bytes())
    start = int(len(data) * 0.6)
    data[start : start + 300] = np.random.default_rng(1).integers(0, 256, 300, np.uint8).tobytes()
    path.write_bytes(data)
    with pytest.raises(RecordingError) as caught:
        read_all(path)
    if "its end is missing" not in str(caught.value):
        for part in (f"damaged.{ending}", "ffmpeg -i damaged", " in AVI" if ending == "avi" else " in Matroska"):
            assert part in str(caught.value)


def _encoder(codec: Any) -> Any:
    return {"h264": ("libx264", "-bf", 2), "mpeg2": ("mpeg2video", "-q:v", 2), "mpeg4": ("mpeg4", "-q:v", 2)}[codec]


def test_what_can_not_be_shown_names_codec_container_and_remedy(tmp_path: Path) -> None:
    plain = numbered(tmp_path / "plain.mp4")
    askew = tmp_path / "askew.mp4"
    ffmpeg("-display_rotation", 30, "-i", plain, "-c", "copy", askew)
    with pytest.raises(RecordingError, match=r"askew\.mp4: H\.264 in MP4/MOV: .*330 degrees.*ffmpeg -i askew\.mp4"):
        read_all(askew)
    sound = tmp_path / "sound.mkv"
    ffmpeg("-f", "lavfi", "-i", "anullsrc=duration=1", sound)
    with pytest.raises(RecordingError, match=r"sound\.mkv: video in Matroska/WebM: no video track"):
        read_all(sound)
    twice = tmp_path / "twice.mkv"
    numbered(twice, filters="setpts='floor(N/2)*2'")
    with pytest.raises(RecordingError, match=r"twice\.mkv: the times of frames 1 and 2 do not ascend.*fps_mode vfr"):
        read_all(twice)
