import contextlib
import struct
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.numbered_video import ffmpeg, numbered, presented

from datamodules.formats import mp4
from datamodules.formats.video import VideoFile
from datamodules.recording import RecordingError


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Two seconds with B-frames and key frames each 12 frames; the same in fragments, and cut at its start."""
    folder = tmp_path_factory.mktemp("clips")
    plain = numbered(folder / "plain.mp4")
    fragments, cut = folder / "fragments.mp4", folder / "cut.mp4"
    ffmpeg("-i", plain, "-c", "copy", "-movflags", "+frag_keyframe+empty_moov", fragments)
    ffmpeg("-ss", 0.71, "-i", plain, "-c", "copy", cut)
    return {"plain": plain, "fragments": fragments, "cut": cut}


def read_movie(path: Path) -> mp4.Movie:
    """The movie of a file that is an MP4."""
    movie = mp4.read_movie(path)
    assert movie is not None
    return movie


def test_samples_are_ffmpegs_before_edit_lists(clips: Any) -> None:
    movie = read_movie(clips["plain"])
    (track,) = movie.tracks
    samples = mp4.read_samples(clips["plain"], track)
    assert (track.handler, track.coding, movie.fragmented) == ("vide", "avc1", False)
    assert samples.keys.tolist() == [0, 12, 24, 36, 48]
    shown = np.sort(samples.shown) / track.time_scale + track.zero_s
    np.testing.assert_allclose(shown, presented(clips["plain"]).times, atol=1e-9)
    units = [list(heads) for heads in mp4.first_units(clips["plain"], track, samples, 4)]
    assert all(5 in [head & 31 for head in heads] for heads in units)  # 5 is H.264's IDR picture


def test_zero_of_a_cut_track(clips: Any) -> None:
    (track,) = read_movie(clips["cut"]).tracks
    # Decoding starts at frame 12, showing at frame 22: 10 frames, and the 2 by which B-frames delay all.
    assert track.zero_s == pytest.approx(-12 / 30, abs=1 / 30)
    assert track.zero_s * track.time_scale == -track.edits[0].media_time


def test_a_late_track_starts_after_an_empty_edit(clips: Any, tmp_path: Path) -> None:
    late = tmp_path / "late.mp4"
    ffmpeg("-itsoffset", 0.5, "-i", clips["plain"], "-f", "lavfi", "-i", "anullsrc=duration=2", "-c:v", "copy", late)
    (track,) = read_movie(late).videos()
    assert [edit.empty for edit in track.edits] == [True, False]
    assert Fraction(track.edits[0].duration, track.movie_scale) == Fraction(1, 2)
    assert track.zero_s == pytest.approx(0.5 - track.edits[1].media_time / track.time_scale, abs=1e-9)


HUGE = 2_000_000_000


@pytest.mark.parametrize(
    ("clip", "table", "at", "numbers"),
    [
        ("plain", b"stts", 8, (HUGE,)),  # one run of so many samples
        ("plain", b"stts", 4, (HUGE,)),  # so many runs
        ("plain", b"ctts", 8, (HUGE,)),
        ("plain", b"stsz", 4, (1, HUGE)),  # so many samples of one byte
        ("plain", b"stsz", 8, (HUGE,)),
        ("plain", b"stss", 4, (HUGE,)),
        ("plain", b"stss", 8, (HUGE,)),
        ("plain", b"stco", 4, (HUGE,)),
        ("plain", b"elst", 4, (HUGE,)),
        ("plain", b"mdhd", 12, (0,)),
        ("fragments", b"trun", 4, (HUGE,)),
        ("fragments", b"trun", 0, (1, HUGE)),
    ],
)
def test_counts_that_can_not_be_are_refused_before_decoding(
    clips: Any, tmp_path: Path, clip: Any, table: Any, at: Any, numbers: Any
) -> None:
    data = bytearray(clips[clip].read_bytes())
    struct.pack_into(f">{len(numbers)}I", data, data.index(table) + 4 + at, *numbers)
    hostile = tmp_path / "hostile.mp4"
    hostile.write_bytes(data)
    with pytest.raises(RecordingError, match=r"hostile\.mp4: damaged MP4: .*(2,?000,?000,?0|clock)"):
        VideoFile(hostile, "c").frame_times()


def test_any_byte_of_the_headers_may_be_wrong(clips: Any, tmp_path: Path) -> None:
    data = clips["plain"].read_bytes()
    start = data.index(b"moov") - 4
    rng = np.random.default_rng(0)
    broken = tmp_path / "broken.mp4"
    for _ in range(300):
        changed = bytearray(data)
        for at in rng.integers(start, len(data), 3):
            changed[at] = rng.integers(256)
        broken.write_bytes(changed)
        # Refused with a message, or read; anything else fails the test.
        with contextlib.suppress(RecordingError):
            movie = mp4.read_movie(broken)
            if movie is None:
                continue
            mp4.check_counts(broken, movie)
            for track in movie.videos():
                samples = mp4.read_samples(broken, track)
                list(map(list, mp4.first_units(broken, track, samples, 4)))
