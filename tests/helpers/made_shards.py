"""Small directories of shards with known content."""

from pathlib import Path

import numpy as np
import simplejpeg

from core.digest import digest_of, file_digest
from datamodules.shards import layout
from datamodules.shards.index import Index, ShardEntry
from datamodules.shards.shard_file import open_shard
from datamodules.shards.writer import EncodedWindow, ShardHeader, write_shard
from datamodules.windows.cut import Exclusion, Reason, Window, WindowSettings

DIRECTORY_SETTINGS = WindowSettings(duration_s=1.0, stride_s=1.0, frames=3, frame_size=32)


def make_window(i: int, settings: WindowSettings = DIRECTORY_SETTINGS) -> EncodedWindow:
    """The i-th window: its values, masks and frames are a function of i."""
    rng = np.random.default_rng(i)
    t, f, size = settings.samples, settings.frames, settings.frame_size
    sample_mask = np.arange(t) < t - i % 4
    channel_mask = np.arange(6) < (3 if i % 5 == 4 else 6)
    imu = rng.normal(size=(t, 6)).astype(np.float32)
    frame_mask = np.arange(f) >= i % 2
    jpegs = tuple(
        simplejpeg.encode_jpeg(rng.integers(0, 256, (size, size, 3), dtype=np.uint8), 90) if seen else b""
        for seen in frame_mask
    )
    window = Window(
        recording=f"r{i // 2}",
        subject=f"s{i // 4}",
        population="general",
        placement="wrist",
        device="one" if i % 2 else "two",
        activity="" if i % 3 == 2 else ("walk", "sit")[i % 3],
        start_s=i * 1.5,
        imu=np.where(sample_mask[:, None] & channel_mask, imu, 0).astype(np.float32),
        sample_mask=sample_mask,
        channel_mask=channel_mask,
        frame_indices=np.where(frame_mask, np.arange(f), -1),
        frame_times=((np.arange(f) + 0.5) / f).astype(np.float32),
        frame_mask=frame_mask,
        faults=(Reason.NAN,) if i == 3 else (),
    )
    return EncodedWindow(window, jpegs)


def make_shards(directory: Path, sizes: list[int], settings: WindowSettings = DIRECTORY_SETTINGS) -> Path:
    """Shards of these many windows, and their index."""
    directory.mkdir(parents=True, exist_ok=True)
    tables: dict[str, set[str]] = {code: set() for code in layout.CODES}
    entries, first = [], 0
    for group, size in enumerate(sizes):
        path = directory / layout.shard_name(group, 0)
        windows = [make_window(i, settings) for i in range(first, first + size)]
        header = ShardHeader(settings, "made", True, "0" * 64, group, 0, True)
        write_shard(path, header, windows, [Exclusion("r0", 1.0, Reason.GAP, "a gap")])
        entries.append(ShardEntry(path.name, size, path.stat().st_size, file_digest(path)))
        for code in layout.CODES:
            tables[code] |= set(open_shard(path).tables[code])
        first += size
    build = {"window": settings.__dict__.copy()}
    Index(
        build=build,
        build_hash=digest_of(build),
        settings=settings,
        simulated=True,
        shards=tuple(entries),
        tables={code: sorted(values) for code, values in tables.items()},
        counts={},
        exclusions=(),
    ).write(directory)
    return directory
