from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from helpers.numbered_video import ffmpeg, number, numbered, presented
from hypothesis import HealthCheck, given, settings

from datamodules.formats.video import VideoFile
from datamodules.recording import RecordingError


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("whole")
    hevc = ("-x265-params", "pools=1:frame-threads=1:log-level=none:bframes=3")
    return folder, {
        "h264": numbered(folder / "h264.mp4", 90),
        "hevc": numbered(folder / "hevc.mp4", 90, "hevc", options=hevc),
        "mpeg2": numbered(folder / "mpeg2.mp4", 90, "mpeg2", options=("-bf", 2)),
    }


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    codec=st.sampled_from(["h264", "hevc", "mpeg2"]),
    container=st.sampled_from(["mp4", "mov", "mkv", "ts"]),
    start=st.integers(0, 2500).map(lambda ms: ms / 1000),
    length=st.integers(200, 3000).map(lambda ms: ms / 1000),
    twice=st.booleans(),
    picks=st.sets(st.integers(0, 89), min_size=1, max_size=12),
)
def test_any_read_of_any_cut_is_ffmpegs(
    videos: Any, codec: Any, container: Any, start: Any, length: Any, twice: Any, picks: Any
) -> None:
    folder, whole = videos
    cut = folder / f"cut.{container}"
    ffmpeg("-ss", start, "-i", whole[codec], "-t", length, "-c", "copy", cut)
    if twice and container in ("mp4", "mov"):
        again = folder / f"again.{container}"
        ffmpeg("-ss", length / 3, "-i", cut, "-c", "copy", again)
        cut = again
    truth = presented(cut)
    video = VideoFile(cut, "c", fit="squash")
    if not truth.times.size:
        with pytest.raises(RecordingError):
            list(video.read(np.arange(video.frame_times().size), 8, 8))
        return
    np.testing.assert_allclose(video.frame_times(), truth.times, rtol=0, atol=1e-6)
    wanted = np.array(sorted(pick for pick in picks if pick < truth.times.size), np.int64)
    seen = [number(picture) for picture in video.read(wanted, *truth.pictures.shape[1:3])]
    assert seen == [truth.numbers[i] for i in wanted]
