"""Rules over windows: closed forms, what they must not take for a fault, and what their thresholds do."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import simplejpeg
from helpers.made_faults import SETTINGS, made_recording
from hypothesis import given
from hypothesis import strategies as st

from datamodules.build.picture_rules import apply_picture_rules
from datamodules.shards.writer import EncodedWindow
from datamodules.windows.cut import FAULTS, Reason, WindowSettings, cut_windows
from datamodules.windows.quality.frame_times import frame_holes, frame_interval, missing_frames
from datamodules.windows.quality.pictures import block_means, picture_faults
from datamodules.windows.quality.sensor import count_coincident

RAW = dataclasses.replace(SETTINGS, jpeg_quality=0)
LARGE = dataclasses.replace(SETTINGS, frame_size=100)  # no multiple of a block


def stored(frame: np.ndarray, settings: WindowSettings) -> bytes:
    return simplejpeg.encode_jpeg(frame, 90, "RGB", "420") if settings.jpeg_quality else frame.tobytes()


def looks(frames: list[np.ndarray], settings: WindowSettings = SETTINGS) -> set[Reason]:
    times = np.arange(len(frames), dtype=np.float32)
    return set(picture_faults([block_means(stored(f, settings), settings) for f in frames], times, settings))


def black(level: int = 0, size: int = 32) -> np.ndarray:
    return np.full((size, size, 3), level, np.uint8)


def lit(at: int, size: int = 32) -> np.ndarray:
    """Black but for one block."""
    frame = black(size=size)
    frame[:8, at : at + 8] = 150
    return frame


@pytest.mark.parametrize("settings", [SETTINGS, RAW])
def test_black_is_black_everywhere_and_in_every_frame(settings: WindowSettings) -> None:
    assert looks([black()] * 5, settings) == {Reason.BLACK_VIDEO}
    assert looks([black(12)] * 5, settings) == {Reason.BLACK_VIDEO}
    assert looks([black(40), black(60), black(40), black(60)], settings) == set()
    # One corner of one frame is enough to be no black video.
    assert looks([black(), black(), lit(0), black(), black()], settings) == set()


@pytest.mark.parametrize("settings", [SETTINGS, RAW])
def test_frozen_is_the_same_picture_for_most_of_the_window(settings: WindowSettings) -> None:
    still = lit(8)
    assert looks([still] * 5, settings) == {Reason.FROZEN_VIDEO}
    assert looks([still] * 9 + [lit(16)], settings) == {Reason.FROZEN_VIDEO}  # 8 of 9 s
    assert looks([still] * 5 + [lit(16)] * 5, settings) == set()  # 4 of 9 s
    assert looks([still, lit(16)] * 5, settings) == set()
    assert looks([still, still], settings) == set()  # two frames may look the same
    assert looks([], settings) == set()


def test_a_slow_camera_that_shows_a_frame_several_times_does_not_hang() -> None:
    still = block_means(stored(lit(8), SETTINGS), SETTINGS)

    def seen(*times: float) -> set[Reason]:
        return set(picture_faults([still] * len(times), np.array(times, np.float32), SETTINGS))

    assert seen(2.0, 2.0, 2.0, 2.0) == set()
    assert seen(1.0, 1.0, 1.0, 4.0, 4.0) == set()  # two frames may look the same
    assert seen(0.0, 0.0, 2.0, 2.0, 4.0) == {Reason.FROZEN_VIDEO}


def test_the_noise_of_a_camera_is_no_standstill() -> None:
    # Of uniform noise of +-8 levels a block of 64 pixels changes by 0.8 (one standard deviation), the largest by more.
    rng = np.random.default_rng(0)
    frames = [rng.integers(92, 109, (32, 32, 3), dtype=np.uint8) for _ in range(5)]
    assert looks(frames, RAW) == set()


def test_thresholds_are_settings() -> None:
    dim = [black(30), black(33)] * 3
    assert looks(dim) == set()
    assert looks(dim, dataclasses.replace(SETTINGS, black_level=40.0)) == {Reason.BLACK_VIDEO}
    assert looks(dim, dataclasses.replace(SETTINGS, frozen_level=5.0)) == {Reason.FROZEN_VIDEO}
    half = [lit(8)] * 5 + [lit(16), lit(8)] * 2
    assert looks(half) == set()
    assert looks(half, dataclasses.replace(SETTINGS, frozen_share=0.5)) == {Reason.FROZEN_VIDEO}


def test_blocks_are_means_of_grey_whether_jpeg_or_plain() -> None:
    rng = np.random.default_rng(1)
    for settings in (SETTINGS, LARGE):
        size = settings.frame_size
        coarse = rng.integers(0, 256, (size // 8 + 1, size // 8 + 1, 1), dtype=np.uint8)
        frame = np.ascontiguousarray(np.broadcast_to(coarse.repeat(8, 0).repeat(8, 1)[:size, :size], (size, size, 3)))
        plain = block_means(frame.tobytes(), dataclasses.replace(settings, jpeg_quality=0))
        expected = coarse[: -(-size // 8), : -(-size // 8), 0].reshape(-1)
        np.testing.assert_allclose(plain, expected, atol=1e-3)  # float32 sums
        # A JPEG of quality 90 rounds a block's mean to 3/8 of a level, then to an integer.
        np.testing.assert_allclose(block_means(stored(frame, settings), settings), expected, atol=1.0)


def test_windows_with_bad_pictures_are_left_out_or_marked() -> None:
    for kind, reason, starts in (("black", Reason.BLACK_VIDEO, [10.0, 15.0]), ("fine", None, [])):
        recording = made_recording(f"p1_{kind}", "p1", kind)
        video = recording.videos[0]
        windows, none = cut_windows(recording, "any", "room", SETTINGS)
        assert none == []
        encoded = [
            EncodedWindow(w, tuple(stored(frame, SETTINGS) for frame in video.read(w.frame_indices, 32, 32)))
            for w in windows
        ]
        kept, left_out = apply_picture_rules(encoded, video.origin, SETTINGS)
        assert [(e.start_s, e.reason) for e in left_out] == [(start, reason) for start in starts]
        assert len(kept) == 12 - len(starts)
        assert all(e.detail.startswith(f"{kind}.mp4: ") for e in left_out)
        marked, nothing = apply_picture_rules(encoded, video.origin, dataclasses.replace(SETTINGS, exclude=""))
        assert nothing == []
        assert [w.window.start_s for w in marked if w.window.faults] == starts
        assert [w.window.start_s for w in marked] == [w.start_s for w in windows]


@given(
    count=st.integers(2, 200),
    rate=st.floats(2.0, 60.0),
    hole=st.tuples(st.integers(0, 198), st.floats(0.0, 5.0)),
    limit=st.floats(0.2, 2.0),
)
def test_a_hole_is_found_where_it_is_and_nowhere_else(
    count: int, rate: float, hole: tuple[int, float], limit: float
) -> None:
    times = np.arange(count) / rate
    at = min(hole[0], count - 2)
    times[at + 1 :] += hole[1]
    found = frame_holes(times, 1 / rate, limit)
    step = 1 / rate + hole[1]
    if abs(step - max(limit, 2.5 / rate)) > 1e-6:
        assert len(found) == (step > max(limit, 2.5 / rate))
    for begin, end in found:
        assert (begin, end) == (times[at], times[at + 1])


def test_a_slow_camera_misses_nothing_and_there_is_nothing_to_miss_outside_the_video() -> None:
    slow = np.arange(0, 60, 1.0)
    assert frame_interval(slow) == 1.0
    assert missing_frames(slow, 1.0, 10.0, 15.0, 0.5) == ""
    fast = np.arange(0, 10, 0.04)
    assert missing_frames(fast, 0.04, 8.0, 14.0, 0.5) == ""
    holed = fast[(fast < 4) | (fast > 6)]
    assert "from 3.96 s on" in missing_frames(holed, 0.04, 0.0, 5.0, 0.5)
    assert missing_frames(holed, 0.04, 0.0, 4.2, 0.5) == ""  # only 0.24 s of it lie inside
    assert "2.08 s" in missing_frames(holed, 0.04, 4.5, 5.5, 0.5)  # the window lies inside the hole
    assert frame_interval(np.array([1.0])) == 0.0
    assert missing_frames(np.array([1.0]), 0.0, 0.0, 5.0, 0.5) == ""


def test_repeated_stamps_cost_the_windows_that_have_them() -> None:
    recording = made_recording("p1_repeated", "p1", "repeated", video=False)
    windows, (exclusion,) = cut_windows(recording, "any", None, SETTINGS)
    assert (exclusion.reason, exclusion.start_s) == (Reason.REPEATED, 5.0)
    assert "100 of 350 samples" in exclusion.detail
    assert len(windows) == 11
    kept, none = cut_windows(recording, "any", None, dataclasses.replace(SETTINGS, max_repeated_share=0.3))
    assert (len(kept), none) == (12, [])


def test_stamps_that_all_but_coincide_count_as_repeated() -> None:
    times = np.repeat(np.arange(100) / 10, 2)
    times[1::2] += 1e-6
    assert count_coincident(np.arange(200) / 50.0) == 0
    jittered = np.arange(200) / 50.0 + np.random.default_rng(0).uniform(-0.005, 0.005, 200)
    assert count_coincident(jittered) == 0
    bursts = np.sort(np.concatenate([np.arange(100) / 50.0, np.arange(0, 100, 10) / 50.0 + 1e-6]))
    assert count_coincident(bursts) == 10
    assert count_coincident(np.array([1.0])) == 0


def test_every_fault_has_a_bit_and_can_be_excluded() -> None:
    assert len(FAULTS) <= 16  # bits of the shards' column
    assert dataclasses.replace(SETTINGS, exclude=",".join(FAULTS)).excluded_faults() == set(FAULTS)
    assert WindowSettings().excluded_faults() == set(FAULTS)
