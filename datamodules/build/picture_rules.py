"""Application of the picture rules (black or frozen video) to windows with encoded frames."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from datamodules.shards.writer import EncodedWindow
from datamodules.windows.cut import FAULTS, Exclusion, WindowSettings
from datamodules.windows.quality.pictures import block_means, picture_faults


def apply_picture_rules(
    windows: Sequence[EncodedWindow], origin: str, settings: WindowSettings
) -> tuple[list[EncodedWindow], list[Exclusion]]:
    """Mark or exclude the windows whose video is black or frozen.

    Args:
        windows: windows of one recording with their frames; windows without frames pass.
        origin: file of the video, for messages.
        settings: thresholds, and the faults that exclude a window.

    Returns:
        The kept windows, with their faults, and the exclusions.
    """
    excluded = settings.excluded_faults()
    blocks: dict[bytes, NDArray[np.float32]] = {}  # by JPEG: overlapping windows share frames
    kept: list[EncodedWindow] = []
    left_out: list[Exclusion] = []
    for encoded in windows:
        window, shown = encoded.window, [jpeg for jpeg in encoded.jpegs if jpeg]
        blocks = {jpeg: blocks[jpeg] if jpeg in blocks else block_means(jpeg, settings) for jpeg in shown}
        faults = picture_faults([blocks[jpeg] for jpeg in shown], window.frame_times[window.frame_mask], settings)
        reason = next((fault for fault in FAULTS if fault in faults and fault in excluded), None)
        if reason is not None:
            left_out.append(Exclusion(window.recording, window.start_s, reason, f"{origin}: {faults[reason]}"))
        elif faults:
            marked = tuple(fault for fault in FAULTS if fault in faults or fault in window.faults)
            kept.append(EncodedWindow(dataclasses.replace(window, faults=marked), encoded.jpegs))
        else:
            kept.append(encoded)
    return kept, left_out
