"""Applies the rules over pictures to a recording's windows; the build calls it when their frames are encoded."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from datamodules.shards.writer import EncodedWindow
from datamodules.windows.cut import FAULTS, Exclusion, WindowSettings
from datamodules.windows.quality.pictures import block_means, picture_faults


def judge_pictures(
    windows: Sequence[EncodedWindow], origin: str, settings: WindowSettings
) -> tuple[list[EncodedWindow], list[Exclusion]]:
    """Mark or leave out the windows whose pictures are black or stand still.

    Args:
        windows: of one recording, with their frames; those without frames pass.
        origin: the video's file, for messages.
        settings: the thresholds, and which faults keep a window out.

    Returns:
        The windows that are kept, with their faults, and what was left out.
    """
    excluded = settings.excluded_faults()
    seen: dict[bytes, NDArray[np.float32]] = {}  # overlapping windows share frames
    kept: list[EncodedWindow] = []
    left_out: list[Exclusion] = []
    for encoded in windows:
        window, shown = encoded.window, [jpeg for jpeg in encoded.jpegs if jpeg]
        seen = {jpeg: seen[jpeg] if jpeg in seen else block_means(jpeg, settings) for jpeg in shown}
        faults = picture_faults([seen[jpeg] for jpeg in shown], window.frame_times[window.frame_mask], settings)
        reason = next((fault for fault in FAULTS if fault in faults and fault in excluded), None)
        if reason is not None:
            left_out.append(Exclusion(window.recording, window.start_s, reason, f"{origin}: {faults[reason]}"))
        elif faults:
            marked = tuple(fault for fault in FAULTS if fault in faults or fault in window.faults)
            kept.append(EncodedWindow(dataclasses.replace(window, faults=marked), encoded.jpegs))
        else:
            kept.append(encoded)
    return kept, left_out
