"""What a build does about a recording's clocks: look, say so, and shift or leave out where it was asked to.

What was found is put into ``Recording.metadata``; the shards keep it with the facts of each recording:

======================  ======================================================================================
``clock_offset_s``      sensor stamps + this = video stamps, after ``clock_stated_s``; NaN: nothing to compare
``clock_drift_ppm``     by how much that grows, microseconds a second; NaN: can't be told
``clock_confidence``    0 to 1; from ``CERTAIN`` on it can be relied on
``clock_view``          ``moving`` or ``watching``: which comparison told more
``clock_stated_s``      ``Recording.imu_clock_offset_s``, which was added first
``clock_apart_s``       the offset where, by the drift, it is largest within the video
``clock_applied``       whether the windows were cut from a sensor that was shifted by it
``clock_note``          instead of the others, why nobody looked
======================  ======================================================================================
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

import numpy as np

from datamodules.clock_sync.estimate import (
    CERTAIN,
    ClockEstimate,
    ClockSettings,
    estimate_clock,
    shifted,
    shifted_times,
)
from datamodules.recording import ImuStream, Interval, Recording, RecordingError
from datamodules.windows.cut import Exclusion, Reason, select_imu

CLOCKS = ("report", "apply", "drop", "off")
DISAGREE_S = 0.1  # clocks that are further apart than this, for certain, disagree
LEAST_S = 10.0  # that sensor and video share; nobody looks at less
# Less of a long video than ``estimate_clock`` takes by itself: a build should not take much longer for it.
BUILD_SETTINGS = ClockSettings(max_video_s=80.0)

Value = str | float | int | bool | None


def clocks_mode(text: str) -> str:
    """One of ``CLOCKS``.

    Raises:
        ValueError: it is none of them.
    """
    # YAML 1.1 reads an unquoted ``off`` as false.
    mode = "off" if text == "False" else text
    if mode not in CLOCKS:
        raise ValueError(f"build.clocks is '{text}'; expected one of {', '.join(CLOCKS)}")
    return mode


def apply_offset(recording: Recording, placement: str, camera: str, mode: str) -> tuple[Recording, Exclusion | None]:
    """Estimate how far apart the clocks are, and do what ``mode`` says.

    Args:
        recording: already checked by ``checks.check_recording``.
        placement: which sensor; ``any`` takes a recording's only one.
        camera: which camera; empty: there is nothing to compare.
        mode: ``off`` looks at nothing; ``report`` writes down what was found; ``apply`` moreover shifts that sensor's
            stamps by an offset that is certain, and by a drift that is known, and with them labels that were given on
            its clock (``Recording.labelled_on``); ``drop`` leaves a recording out whose clocks are for certain more
            than ``DISAGREE_S`` apart somewhere in the video.

    Returns:
        The recording, with metadata and perhaps a shifted sensor, and what to list if it is to be left out.

    Raises:
        RecordingError: there is no such sensor or camera.
        ValueError: there is no such mode.
    """
    if clocks_mode(mode) == "off" or not camera:
        return recording, None
    stream = select_imu(recording, placement)
    frames = recording.video(camera).frame_times()
    begin, end = float(frames[0]), float(frames[-1])
    shared = min(end, float(stream.times[-1]) + recording.imu_clock_offset_s)
    shared -= max(begin, float(stream.times[0]) + recording.imu_clock_offset_s)
    if shared < LEAST_S:
        return _noted(recording, {"clock_note": f"sensor and video share {max(shared, 0.0):.1f} s"}), None
    try:
        estimate = estimate_clock(recording, placement, camera, BUILD_SETTINGS)
    except RecordingError as error:
        # A frame that no window needs may be broken; if one does, the build says so itself.
        return _noted(recording, {"clock_note": str(error)}), None
    apart = max((estimate.offset_at(begin), estimate.offset_at(end)), key=abs)
    applied = mode == "apply" and estimate.certain
    if applied:
        recording = _mended(recording, stream, estimate)
    recording = _noted(
        recording,
        {
            "clock_offset_s": estimate.offset_s,
            "clock_drift_ppm": estimate.drift_ppm if math.isfinite(estimate.drift_error_ppm) else math.nan,
            "clock_confidence": estimate.confidence,
            "clock_view": estimate.view,
            "clock_stated_s": recording.imu_clock_offset_s,
            "clock_apart_s": apart,
            "clock_applied": applied,
        },
    )
    if mode == "drop" and estimate.certain and abs(apart) > DISAGREE_S:
        detail = (
            f"{stream.origin}: the clocks of sensor and camera '{camera}' are {1000 * apart:+.0f} ms apart "
            f"(confidence {estimate.confidence:.2f}); up to {1000 * DISAGREE_S:.0f} ms are kept"
        )
        return recording, Exclusion(recording.name, begin, Reason.CLOCKS, detail)
    return recording, None


def verdict(clock: Mapping[str, Value]) -> str:
    """What the metadata ``clock_*`` of a recording come to, in few words; empty if nobody was to look."""
    if "clock_note" in clock:
        return "not looked at"
    apart, confidence = clock.get("clock_apart_s", clock.get("clock_offset_s")), clock.get("clock_confidence")
    if not isinstance(confidence, float | int):
        return ""
    if confidence < CERTAIN or not isinstance(apart, float | int):
        return "can't tell"
    if abs(apart) <= DISAGREE_S:
        return "agree"
    return "disagreed, shifted" if clock.get("clock_applied") else "disagree"


def _mended(recording: Recording, stream: ImuStream, estimate: ClockEstimate) -> Recording:
    """With a stream, and labels given on its clock, that agree with the video."""
    drift = estimate.drift_ppm if math.isfinite(estimate.drift_error_ppm) else 0.0
    move = (estimate.offset_s, drift, estimate.reference_s)
    # What the recording states is added to every sensor later on, and the estimate is what is left after it.
    stated_s = recording.imu_clock_offset_s
    new = shifted(shifted(shifted(stream, stated_s), *move), -stated_s)
    recording = dataclasses.replace(recording, imus=tuple(new if one is stream else one for one in recording.imus))
    if stream.placement not in recording.labelled_on or not recording.activities:
        return recording
    times = shifted_times(np.array([(i.start, i.end) for i in recording.activities]), *move).tolist()
    labels = [Interval(start, end, i.activity) for (start, end), i in zip(times, recording.activities, strict=True)]
    return dataclasses.replace(recording, activities=tuple(labels))


def _noted(recording: Recording, notes: dict[str, str | float | int | bool]) -> Recording:
    return dataclasses.replace(recording, metadata={**recording.metadata, **notes})
