"""Wording of reasons, durations and numbers."""

from __future__ import annotations

from collections.abc import Sequence

from datamodules.clock_sync.result import DISAGREE_S
from datamodules.windows.settings import Reason, WindowSettings

# Title of a reason, its meaning, and its settings.
_REASONS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "gap": ("gap", "no samples for longer than {max_gap_s} s", ("max_gap_s",)),
    "nan": ("lost samples", "the sensor's file has no value (NaN)", ()),
    "saturated": (
        "saturated",
        "{saturated_samples} samples or more at the end of the sensor's range",
        ("saturated_samples",),
    ),
    "flat_line": ("flat line", "the sensor does not change by a bit for {standstill_s} s", ("standstill_s",)),
    "gravity": (
        "implausible gravity",
        "the median acceleration is below {min_norm_g} g or above {max_norm_g} g: wrong units?",
        ("min_norm_g", "max_norm_g"),
    ),
    "repeated": (
        "repeated time stamps",
        "more than {max_repeated_share:.0%} of the samples share another one's time stamp",
        ("max_repeated_share",),
    ),
    "missing_frames": ("missing frames", "the video has a hole of more than {max_frame_gap_s} s", ("max_frame_gap_s",)),
    "black_video": ("black video", "no part of any frame is brighter than {black_level:g} of 255", ("black_level",)),
    "frozen_video": (
        "frozen video",
        "no part of the picture changes by more than {frozen_level:g} of 255 for {frozen_share:.0%} of the window",
        ("frozen_level", "frozen_share"),
    ),
    "no_label": (
        "no label",
        "no activity covers {min_label_share:.0%} of it, and unlabelled windows are not kept",
        ("min_label_share", "keep_unlabelled"),
    ),
    "no_video": ("no video", "there is no frame inside it", ()),
    "short": ("too short", "sensor and video overlap for less than one window ({duration_s} s)", ("duration_s",)),
    "remainder": ("end of the recording", "what is left is shorter than a window ({duration_s} s)", ("duration_s",)),
    "clocks": (
        "clocks disagree",
        f"the clocks of sensor and camera are certainly more than {1000 * DISAGREE_S:.0f} ms apart",
        ("build.clocks",),
    ),
    "unusable": ("unusable recording", "its files can't be read or contradict themselves", ()),
}
VIDEO_REASONS = frozenset({"missing_frames", "black_video", "frozen_video", "no_video"})


def title_of(reason: str) -> str:
    """Name a reason in a word or two."""
    return _REASONS[reason][0] if reason in _REASONS else reason.replace("_", " ")


def meaning_of(reason: str, settings: WindowSettings) -> str:
    """Explain when a window is left out for a reason, with the build's own thresholds."""
    return _REASONS[reason][1].format(**vars(settings)) if reason in _REASONS else ""


def settings_of(reason: str) -> str:
    """Name the settings that decide about a reason."""
    names = _REASONS[reason][2] if reason in _REASONS else ()
    return ", ".join(name if "." in name else f"window.{name}" for name in names)


def in_order(reasons: Sequence[str]) -> list[str]:
    """Sort reasons as ``Reason`` lists them, unknown reasons last."""
    listed = [reason.value for reason in Reason]
    return sorted(reasons, key=lambda name: (listed.index(name) if name in listed else len(listed), name))


def share(part: float, whole: float) -> str:
    """Write a share in %; small shares are not rounded to 0 or 100. Empty if the whole is 0."""
    if not whole:
        return ""
    percent = 100 * part / whole
    if 0 < percent < 0.1:
        return "< 0.1 %"
    if 99.9 < percent < 100:
        return "> 99.9 %"
    return f"{percent:.1f} %"


def listed(names: Sequence[str], most: int = 5) -> str:
    """List the first names, and the number of the others."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
