"""Metadata of a feature cache, ``features.json``: shapes, fingerprints of encoder and shards, a checksum a block.

Shape legend: N windows, F frames, B batch, H height, W width.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import xxhash
from numpy.typing import NDArray

from core.bounds import parse_json
from core.digest import seal_holds
from core.errors import MendableError

FORMAT = "imu-video-har features"
VERSION = 1
META, RAW, POOLED = "features.json", "features.f16", "pooled.f16"
BLOCK = 128  # windows; the unit of resuming and of checksums
_LARGEST_SIDE = 1 << 40  # of a shape: more windows than there are


class FeatureCacheError(MendableError, ValueError):
    """A feature cache is unusable; the message names the folder, the value found and the value expected."""


class ClipReader(Protocol):
    """The part of a set of shards' interface that a feature cache needs."""

    @property
    def n_windows(self) -> int:
        """Number of windows, N."""

    @property
    def fingerprint(self) -> str:
        """Digest of the shards' content."""

    def frames(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Read the clips of windows, (B, F, H, W, 3)."""

    def frame_times(self, indices: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Read the frames' times, seconds since the window's start, and their mask, (B, F) each."""


def parse_meta(content: bytes, where: str, shards: ClipReader, encoder_fingerprint: str) -> dict[str, Any]:
    """Parse the content of ``features.json``, which is at ``where``.

    Raises:
        FeatureCacheError: the file is damaged; or version, encoder or shards differ.
    """
    try:
        meta = parse_json(content)
    except json.JSONDecodeError as error:
        raise FeatureCacheError(f"{where}: damaged: not JSON; delete the folder ({error})") from error
    if not isinstance(meta, dict):
        raise FeatureCacheError(
            f"{where}: damaged: a JSON {type(meta).__name__}, expected an object; delete the folder"
        )
    if not seal_holds(meta):
        raise FeatureCacheError(f"{where}: damaged: its content differs from its digest; delete the folder")
    check_meta(meta, where, shards, encoder_fingerprint)
    if not isinstance(meta.get("views", {}), dict):
        raise FeatureCacheError(f"{where}: damaged: views is {meta['views']!r}, expected an object")
    _check_digests(meta, f"{where}: damaged:")
    if "pooled" in meta:
        _check_digests(meta["pooled"], f"{where}: damaged: pooled:")
    return meta


def _check_digests(meta: dict[str, Any], where: str) -> None:
    """Check that one of the files, whose shape is known to be one, has a checksum for each block."""
    digests, blocks = meta.get("xxh3"), -(-meta["shape"][0] // BLOCK)
    if not isinstance(digests, list) or len(digests) != blocks or not all(isinstance(each, str) for each in digests):
        raise FeatureCacheError(f"{where} xxh3 is no list of {blocks} checksums")


def check_meta(meta: dict[str, Any], where: str, shards: ClipReader, encoder_fingerprint: str) -> None:
    """Check that ``features.json``, at ``where``, names this version, this encoder and these shards.

    Raises:
        FeatureCacheError: version, encoder or shards differ.
    """
    expected = {
        "format": FORMAT,
        "version": VERSION,
        "encoder": encoder_fingerprint,
        "shards": shards.fingerprint,
    }
    for key, value in expected.items():
        if meta.get(key) != value:
            raise FeatureCacheError(f"{where}: {key} is {meta.get(key)!r}, expected {value!r}")
    _check_shape(meta.get("shape"), 4, f"{where}: shape")
    if "pooled" in meta:
        pooled = meta["pooled"]
        _check_shape(pooled.get("shape") if isinstance(pooled, dict) else None, 3, f"{where}: pooled")


def _check_shape(shape: Any, sides: int, where: str) -> None:
    """Refuse what is no shape; whether it is that of the file, its size says."""
    plain = isinstance(shape, list) and len(shape) == sides and all(type(side) is int for side in shape)
    if not plain or not all(0 <= side <= _LARGEST_SIDE for side in shape):
        raise FeatureCacheError(
            f"{where} is {str(shape)[:100]}; expected {sides} whole numbers from 0 to {_LARGEST_SIDE:,}"
        )


def damaged_blocks(array: NDArray[np.float16], digests: Sequence[str], where: str) -> list[str]:
    """Compare blocks of windows with their checksums; return a line for each damaged one, starting with ``where``."""
    return [
        f"{where}: windows {number * BLOCK} to {min((number + 1) * BLOCK, len(array)) - 1}: checksum differs"
        for number, expected in enumerate(digests)
        if digest(array[number * BLOCK : (number + 1) * BLOCK]) != expected
    ]


def digest(block: NDArray[np.float16]) -> str:
    """Compute the xxh3 of an array's bytes."""
    return xxhash.xxh3_64_hexdigest(np.ascontiguousarray(block).view(np.uint8).data)
