"""Comparison of a recording's clocks in a build: report, correct or drop.

The result goes into ``Recording.metadata``, and the shards keep it with the facts of each recording:

======================  ======================================================================================
``clock_offset_s``      sensor stamps + this = video stamps, after ``clock_stated_s``; NaN: nothing to compare
``clock_drift_ppm``     growth of the offset, microseconds per second; NaN: unknown
``clock_confidence``    0 to 1
``clock_certainty``     ``certain``, ``likely`` or ``unknown``, see ``result.certainty_of``
``clock_view``          ``moving`` or ``watching``: the comparison with the higher confidence
``clock_stated_s``      ``Recording.imu_clock_offset_s``, which was added first
``clock_apart_s``       the largest offset within the video, by the drift
``clock_applied``       True if the sensor was shifted by the offset before the windows were cut
``clock_note``          instead of the others: the reason why the clocks were not compared
======================  ======================================================================================
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

import numpy as np

from datamodules.clock_sync.estimate import ClockSettings, estimate_clock, shifted, shifted_times
from datamodules.clock_sync.result import CERTAIN, DISAGREE_S, ClockEstimate, verdict_of
from datamodules.recording import FloatArray, ImuStream, Interval, Recording, RecordingError
from datamodules.windows.cut import Exclusion, Reason, select_imu

CLOCKS = ("report", "apply", "drop", "off")
DEFAULT_CLOCKS = "report"  # of every build, by command or from Python
# Shortest overlap of sensor and video for a comparison: 10 s, less what clocks that are 2 s apart cost.
LEAST_S = 8.0
# A build uses less of a long video than the default of ``estimate_clock``, to stay fast.
BUILD_SETTINGS = ClockSettings(max_video_s=80.0)

Value = str | float | int | bool | None


def parse_clocks_mode(text: str) -> str:
    """Parse the setting ``build.clocks``, one of ``CLOCKS``.

    Raises:
        ValueError: the text is not one of ``CLOCKS``.
    """
    # YAML 1.1 reads an unquoted ``off`` as false.
    mode = "off" if text == "False" else text
    if mode not in CLOCKS:
        raise ValueError(f"build.clocks is '{text}'; expected one of {', '.join(CLOCKS)}")
    return mode


def apply_offset(recording: Recording, placement: str, camera: str, mode: str) -> tuple[Recording, Exclusion | None]:
    """Estimate the offset between the clocks, and report, correct or drop the recording.

    Args:
        recording: a recording that passed ``checks.check_recording``.
        placement: placement of the sensor; ``any`` takes the recording's only sensor.
        camera: name of the camera; empty compares nothing.
        mode: ``off`` compares nothing. ``report`` notes the estimate in the metadata. ``apply`` also shifts the
            sensor's times by a certain offset and a known drift, and with them the labels that follow the sensor's
            clock (``Recording.labelled_on``). ``drop`` excludes the recording if its clocks are certainly more than
            ``DISAGREE_S`` apart somewhere in the video.

    Returns:
        The recording, with metadata and perhaps a shifted sensor, and its exclusion if it is dropped.

    Raises:
        RecordingError: there is no such sensor or camera.
        ValueError: there is no such mode.
    """
    if parse_clocks_mode(mode) == "off" or not camera:
        return recording, None
    stream = select_imu(recording, placement)
    frames = recording.video(camera).frame_times()
    begin, end = float(frames[0]), float(frames[-1])
    if note := too_short(recording, stream, frames):
        return _add_metadata(recording, {"clock_note": note}), None
    try:
        estimate = estimate_clock(recording, placement, camera, BUILD_SETTINGS)
    except RecordingError as error:
        # The broken frame may belong to no window. If a window needs it, the build reports the error later.
        return _add_metadata(recording, {"clock_note": str(error)}), None
    apart = estimate.apart(begin, end)
    applied = mode == "apply" and estimate.certain
    if applied:
        recording = _correct_clock(recording, stream, estimate)
    recording = _add_metadata(
        recording,
        {
            "clock_offset_s": estimate.offset_s,
            "clock_drift_ppm": estimate.drift_ppm if math.isfinite(estimate.drift_error_ppm) else math.nan,
            "clock_confidence": estimate.confidence,
            "clock_certainty": estimate.certainty,
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


def describe_agreement(clock: Mapping[str, Value]) -> str:
    """Summarise the metadata ``clock_*`` of a recording in few words; "" if the build compared no clocks."""
    if "clock_note" in clock:
        return "not looked at"
    apart, confidence = clock.get("clock_apart_s", clock.get("clock_offset_s")), clock.get("clock_confidence")
    if not isinstance(confidence, float | int):
        return ""
    # Older shards have no certainty; what they applied or dropped was decided by the confidence alone.
    certainty = str(clock.get("clock_certainty", "certain" if confidence >= CERTAIN else "unknown"))
    known = float(apart) if isinstance(apart, float | int) else math.nan
    return verdict_of(certainty, known, bool(clock.get("clock_applied")))


def too_short(recording: Recording, stream: ImuStream, frame_times: FloatArray) -> str:
    """Say that sensor and video have less than ``LEAST_S`` in common; "" if they have more."""
    offset = recording.imu_clock_offset_s
    shared = min(float(frame_times[-1]), float(stream.times[-1]) + offset)
    shared -= max(float(frame_times[0]), float(stream.times[0]) + offset)
    return f"sensor and video share {max(shared, 0.0):.1f} s" if shared < LEAST_S else ""


def _correct_clock(recording: Recording, stream: ImuStream, estimate: ClockEstimate) -> Recording:
    """Shift a stream, and the labels that follow its clock, onto the video's clock."""
    drift = estimate.drift_ppm if math.isfinite(estimate.drift_error_ppm) else 0.0
    move = (estimate.offset_s, drift, estimate.reference_s)
    # The estimate holds after the stated offset, which is added to every sensor later. So add it, shift, subtract it.
    stated_s = recording.imu_clock_offset_s
    new = shifted(shifted(shifted(stream, stated_s), *move), -stated_s)
    recording = dataclasses.replace(recording, imus=tuple(new if one is stream else one for one in recording.imus))
    if stream.placement not in recording.labelled_on or not recording.activities:
        return recording
    times = shifted_times(np.array([(i.start, i.end) for i in recording.activities]), *move).tolist()
    labels = [Interval(start, end, i.activity) for (start, end), i in zip(times, recording.activities, strict=True)]
    return dataclasses.replace(recording, activities=tuple(labels))


def _add_metadata(recording: Recording, notes: dict[str, str | float | int | bool]) -> Recording:
    return dataclasses.replace(recording, metadata={**recording.metadata, **notes})
