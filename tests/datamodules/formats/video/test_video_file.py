from __future__ import annotations

import itertools
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import numpy as np
import pytest
from helpers.made_data import make_video
from helpers.numbered_video import presented
from helpers.peak_memory import PEAK, needs_peak
from helpers.real_data import real_data
from numpy.typing import NDArray

from datamodules.formats import mp4
from datamodules.formats.video import VideoFile
from datamodules.recording import RecordingError


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A 4 s clip as cameras write it (index last), for the web (index first) and fragmented."""
    folder = tmp_path_factory.mktemp("clips")
    return {
        "last": make_video(folder / "last.mp4"),
        "first": make_video(folder / "first.mp4", options=("-movflags", "+faststart")),
        "fragments": make_video(folder / "fragments.mp4", options=("-movflags", "+frag_keyframe+empty_moov")),
    }


def everything(path: Path, **kwargs: Any) -> list[NDArray[np.uint8]]:
    video = VideoFile(path, "head", **kwargs)
    return list(video.read(np.arange(video.frame_times().size), 48, 64))


@pytest.mark.parametrize("kind", ["last", "first", "fragments"])
def test_times_come_from_the_container_and_start_is_added(clips: dict[str, Path], kind: str) -> None:
    video = VideoFile(clips[kind], "head", start_s=7.0)
    # Fragments have no edit list, so the delay of the B-frames counts, as for ffmpeg.
    first = 0.08 if kind == "fragments" else 0
    np.testing.assert_allclose(video.frame_times(), 7 + first + np.arange(100) / 25, atol=1e-6)
    np.testing.assert_allclose(video.frame_times(), 7 + presented(clips[kind]).times, atol=1e-6)
    assert (video.camera, video.origin) == ("head", str(clips[kind]))


def test_chosen_frames_are_those_of_a_whole_pass(clips: dict[str, Path]) -> None:
    whole = everything(clips["last"])
    assert len(whole) == 100
    assert all((a != b).any() for a, b in itertools.pairwise(whole))
    video = VideoFile(clips["last"], "head")
    for indices in ([0, 99], [3, 4, 50, 51, 52], list(range(0, 100, 7)), [98, 99]):
        frames = list(video.read(np.array(indices), 48, 64))
        assert len(frames) == len(indices)
        for i, frame in zip(indices, frames, strict=True):
            np.testing.assert_array_equal(frame, whole[i])
    assert list(video.read(np.empty(0, np.int64), 48, 64)) == []
    for wrong in ([5, 4], [4, 4], [0, 100], [-1, 3]):
        with pytest.raises(ValueError, match="ascend"):
            list(video.read(np.array(wrong), 48, 64))


def test_fits(clips: dict[str, Path]) -> None:
    index = np.array([10])
    (squashed,) = VideoFile(clips["last"], "c", fit="squash").read(index, 60, 60)
    (cropped,) = VideoFile(clips["last"], "c", fit="crop").read(index, 60, 60)
    (padded,) = VideoFile(clips["last"], "c", fit="pad").read(index, 60, 60)
    (whole,) = VideoFile(clips["last"], "c", fit="squash").read(index, 60, 80)
    (small,) = VideoFile(clips["last"], "c", fit="squash").read(index, 45, 60)
    assert squashed.shape == cropped.shape == padded.shape == (60, 60, 3)
    np.testing.assert_array_equal(cropped, whole[:, 10:70])
    np.testing.assert_array_equal(padded[7:52], small)
    assert not padded[:7].any()
    assert not padded[52:].any()
    with pytest.raises(ValueError, match="'stretch'"):
        VideoFile(clips["last"], "c", fit="stretch")


@pytest.mark.parametrize("kind", ["last", "first", "fragments"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.5, 0.9, 0.999])
def test_a_truncated_copy_is_an_error_that_names_it(
    clips: dict[str, Path], kind: str, share: float, tmp_path: Path
) -> None:
    data = clips[kind].read_bytes()
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(RecordingError, match=r"cut\.mp4: "):
        everything(cut)


def test_fragments_cut_between_two_are_found_by_the_expected_duration(clips: dict[str, Path], tmp_path: Path) -> None:
    data = clips["fragments"].read_bytes()
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(data[: data.rindex(b"moof", 0, len(data) * 3 // 4) - 4])
    assert 0 < len(everything(cut)) < 100
    with pytest.raises(RecordingError, match=r"cut\.mp4: .*its recording needs 4\.00 s"):
        everything(cut, expected_duration_s=4.0)


@pytest.mark.parametrize("filling", ["zeros", "noise"])
@pytest.mark.parametrize("stretch", [(0.4, 0.6), (0.5, 1.0)])
def test_damage_inside_is_an_error_not_repeated_frames(
    clips: dict[str, Path], tmp_path: Path, filling: str, stretch: tuple[float, float]
) -> None:
    data = bytearray(clips["first"].read_bytes())
    start, end = (int(len(data) * share) for share in stretch)
    fill = np.random.default_rng(0).integers(0, 256, end - start, dtype=np.uint8)
    data[start:end] = bytes(end - start) if filling == "zeros" else fill.tobytes()
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(data)
    with pytest.raises(RecordingError, match=r"broken\.mp4: "):
        everything(broken)


def test_a_video_that_ends_before_its_stated_duration(clips: dict[str, Path], tmp_path: Path) -> None:
    data = bytearray(clips["last"].read_bytes())
    at = data.index(b"tkhd") + 4
    assert data[at] == 0
    (duration,) = struct.unpack_from(">I", data, at + 20)
    assert mp4.video_duration(clips["last"]) == pytest.approx(4.0)
    struct.pack_into(">I", data, at + 20, 2 * duration)
    longer = tmp_path / "longer.mp4"
    longer.write_bytes(data)
    with pytest.raises(RecordingError, match=r"longer\.mp4: its 100 frames last 4\.00 s.*states 8\.00 s"):
        everything(longer)


def test_what_is_no_video(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"none\.mp4: the video file is not there"):
        everything(tmp_path / "none.mp4")
    for name, content in (("empty.mp4", b""), ("text.mp4", b"hello " * 100)):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(RecordingError, match=name):
            everything(tmp_path / name)


def test_the_gopro_sample() -> None:
    path = real_data("gopro") / "max-heromode.mp4"
    video = VideoFile(path, "head")
    times = video.frame_times()
    np.testing.assert_allclose(np.diff(times), 1001 / 30000, atol=1e-6)
    assert mp4.video_duration(path) == pytest.approx(times.size * 1001 / 30000, abs=0.05)
    (frame,) = video.read(np.array([150]), 112, 112)
    assert frame.std() > 10


@pytest.mark.slow
@needs_peak
@pytest.mark.parametrize("ending", ["mp4", "mkv"])  # decord, PyAV
def test_memory_stays_bounded_over_a_long_video(tmp_path: Path, ending: str) -> None:
    long = make_video(tmp_path / f"long.{ending}", seconds=60, size="1280x720", options=("-preset", "ultrafast"))
    code = (
        PEAK + "import sys, numpy as np\n"
        "from datamodules.formats.video import VideoFile\n"
        "video = VideoFile(sys.argv[1], 'head')\n"
        "n = video.frame_times().size\n"
        "before = peak()\n"
        "assert sum(1 for _ in video.read(np.arange(0, n, 3), 112, 112)) == n // 3\n"
        "print(peak() - before)\n"
    )
    run = subprocess.run([sys.executable, "-c", code, str(long)], capture_output=True, text=True, check=True)
    # 1,500 frames of 720p are 4 GB; MiB of growth.
    assert float(run.stdout) < 300


def test_a_phones_rotation_is_applied(clips: dict[str, Path], tmp_path: Path) -> None:
    turned = tmp_path / "turned.mp4"
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", "-display_rotation", "90"]
    subprocess.run([*command, "-i", str(clips["last"]), "-c", "copy", str(turned)], check=True)
    (plain,) = VideoFile(clips["last"], "c").read(np.array([30]), 120, 160)
    (upright,) = VideoFile(turned, "c").read(np.array([30]), 160, 120)
    np.testing.assert_array_equal(upright, np.rot90(plain))
