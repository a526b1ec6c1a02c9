"""Layout of a shard: one HDF5 file of windows, in which every array is contiguous and unfiltered.

========================  ==================  ====================================================
``imu``                   (N, T, 6) float32   m/s^2 and rad/s, zero where a mask is 0
``sample_mask``           (N, T) uint8        1 for measured samples
``channel_mask``          (N, 6) uint8        1 for channels that the device has
``frames``                (bytes,) uint8      JPEG files, one after the other
``frame_offsets``         (N * F + 1,) int64  frame f of window n is at [n * F + f, n * F + f + 1];
                                              empty where ``frame_mask`` is 0
``frame_times``           (N, F) float32      true times, seconds since the window's start
``frame_mask``            (N, F) uint8
``start_s``               (N,) float64        on the video's clock
``recording`` and others  (N,) int32          codes into ``tables/<name>``; activity -1 is unlabelled
``faults``                (N,) uint16         bit i: the window shows ``windows.FAULTS[i]``
``checksum``              (N,) uint64         xxh3_64 of the window's imu, masks, times and JPEG bytes
``checksum_imu``          (N,) uint64         xxh3_64 of the window's imu; not in version 0.2.0 and earlier
``checksum_frames``       (N,) uint64         xxh3_64 of the window's JPEG bytes; not in version 0.2.0 and earlier
``exclusions``            (bytes,) uint8      JSON: excluded stretches of these recordings, with the reasons
``facts``                 (bytes,) uint8      JSON: ``quality.facts.RecordingFacts`` of each usable recording
========================  ==================  ====================================================

The attributes give format, version, rates, sizes, source and the build's hash; ``digests`` is JSON: the xxh3_64, hex,
of every array but ``imu`` and ``frames``, and of every table (not in version 0.2.0 and earlier); ``complete``
(windows, JPEG bytes, exclusions) is written last. A copy without frames has the attribute ``frames_stored``, False:
``frames`` is empty there, and the checksums are those of windows without JPEG bytes.

Shape legend: N windows, T samples, F frames a window.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from core.errors import MendableError

FORMAT = "imu-video-har windows"
VERSION = 3  # version 1 had no device, version 2 no facts
INDEX = "index.json"
CODES = ("recording", "subject", "population", "placement", "device", "activity")
CHECKED = ("imu", "sample_mask", "channel_mask", "frame_times", "frame_mask")
COMPLETE = "complete"
DIGESTS = "digests"
OWN_CHECKSUM = {"imu": "checksum_imu", "frames": "checksum_frames"}  # the large arrays, checked window by window

# Name of every dataset -> its type, and its shape as a function of N, T and F; None is any length.
DATASETS: dict[str, tuple[str, Callable[[int, int, int], tuple[int | None, ...]]]] = {
    "imu": ("<f4", lambda n, t, f: (n, t, 6)),
    "sample_mask": ("|u1", lambda n, t, f: (n, t)),
    "channel_mask": ("|u1", lambda n, t, f: (n, 6)),
    "frames": ("|u1", lambda n, t, f: (None,)),
    "frame_offsets": ("<i8", lambda n, t, f: (n * f + 1,)),
    "frame_times": ("<f4", lambda n, t, f: (n, f)),
    "frame_mask": ("|u1", lambda n, t, f: (n, f)),
    "start_s": ("<f8", lambda n, t, f: (n,)),
    **{code: ("<i4", lambda n, t, f: (n,)) for code in CODES},
    "faults": ("<u2", lambda n, t, f: (n,)),
    "checksum": ("<u8", lambda n, t, f: (n,)),
    "exclusions": ("|u1", lambda n, t, f: (None,)),
    "facts": ("|u1", lambda n, t, f: (None,)),
}
# Those that shards of earlier versions lack.
LATER = dict.fromkeys(OWN_CHECKSUM.values(), DATASETS["checksum"])


class ShardError(MendableError, ValueError):
    """A shard or an index is unusable; the message names the file, the value found and the value expected."""


def check_version(where: Path | str, found_format: object, found_version: object) -> None:
    """Check that a file has the format and the version that this code reads.

    Raises:
        ShardError: format or version differ; the message names ``where``, both versions and the remedy.
    """
    if found_format != FORMAT:
        raise ShardError(f"{where}: format {found_format!r}, version {found_version!r}; expected {FORMAT!r}")
    if found_version != VERSION:
        raise ShardError(
            f"{where}: shards of version {found_version!r}; this code reads version {VERSION}: "
            f"delete {str(where).rpartition('/')[0]} and build the shards again"
        )


def shard_name(group: int, part: int) -> str:
    """Return the file name of part ``part`` of the ``group``-th group of recordings; names sort in that order."""
    return f"{shard_stem(group)}-{part:02d}.h5"


def shard_stem(group: int) -> str:
    """Return the prefix of the names of a group's shards."""
    return f"windows-{group:05d}"


def digest64(content: Any) -> int:
    """Compute the xxh3_64 of bytes, or of a contiguous array."""
    return int(xxhash.xxh3_64_intdigest(content))


def digests64(rows: NDArray[Any], which: NDArray[np.int64]) -> list[int]:
    """Compute the xxh3_64 of some rows of a contiguous array.

    The hash of 6 kB takes 0.1 us, no longer than each step of Python around it: so there are few.
    """
    content, size, digest = rows.reshape(-1).view(np.uint8).data, rows[0].nbytes, xxhash.xxh3_64_intdigest
    return [digest(content[start : start + size]) for start in (which * size).tolist()]


def checksum(arrays: Sequence[NDArray[Any]], frames: bytes) -> int:
    """Compute the xxh3_64 of one window: its rows of the arrays in ``CHECKED``, in that order, then its JPEG bytes."""
    digest = xxhash.xxh3_64()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    digest.update(frames)
    return int(digest.intdigest())
