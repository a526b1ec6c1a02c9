"""Data of ``benchmarks.bench``: random windows of realistic sizes, in plain arrays and in our shards.

Every peer writes its own format from the plain arrays (``benchmarks/peers/protocol.py``).
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import simplejpeg

from benchmarks.peers.protocol import FRAMES, SIZE, Records
from core.digest import digest_of, file_digest
from datamodules.features.meta import BLOCK, FORMAT, VERSION, digest
from datamodules.shards import layout
from datamodules.shards.index import Index, ShardEntry
from datamodules.shards.writer import EncodedWindow, ShardHeader, write_shard
from datamodules.windows.cut import Window, WindowSettings

CASES = ("imu", "features", "jpeg", "raw")
WINDOWS_A_RECORDING = 120  # ten minutes of windows
SHARD_BYTES = 256 << 20
SAMPLES, RATE_HZ = 250, 50.0
WIDTH = 768


def settings(case: str) -> WindowSettings:
    """Give the settings that the windows of a case would have been cut with."""
    frames = 0 if case == "imu" else FRAMES
    return WindowSettings(frames=frames, frame_size=SIZE, jpeg_quality=0 if case == "raw" else 90)


def make(folder: Path, windows: int, clips: int) -> None:
    """Make missing plain arrays and shards of all cases."""
    note = folder / "made.json"
    wanted = {"windows": windows, "clips": clips}
    if note.is_file() and json.loads(note.read_text(encoding="utf-8")) == wanted:
        return
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    motion = made_motion(rng, windows)
    np.save(folder / "imu-imu.npy", motion)
    np.save(folder / "features-imu.npy", motion)
    np.save(folder / "features.npy", rng.standard_normal((windows, FRAMES, WIDTH), np.float32).astype(np.float16))
    make_clips(folder, rng, motion[:clips], ("jpeg", "raw"))
    for case in CASES:
        write_shards(folder / "ours" / case, settings(case), encoded(Records(folder, case)))
    write_features(folder / "ours" / "features", folder / "features.npy")
    note.write_text(json.dumps(wanted), encoding="utf-8")


def make_clips(folder: Path, rng: np.random.Generator, motion: np.ndarray, cases: Iterable[str]) -> None:
    """Make plain arrays of the cases with pixels, a clip for each window of ``motion`` (N, T, 6)."""
    jpegs = [simplejpeg.encode_jpeg(image, 90, "RGB", "420") for image in made_images(rng, 256)]
    np.save(folder / "jpeg-bytes.npy", np.frombuffer(b"".join(jpegs), np.uint8))
    np.save(folder / "jpeg-offsets.npy", np.cumsum([0, *map(len, jpegs)]))
    for case in cases:
        np.save(folder / f"{case}-imu.npy", motion)
        np.save(folder / f"{case}-frames.npy", rng.integers(0, len(jpegs), (len(motion), FRAMES)))


def made_motion(rng: np.random.Generator, windows: int) -> np.ndarray:
    """Make smooth noise about gravity, (N, T, 6) float32."""
    values = rng.standard_normal((windows, SAMPLES, 6), np.float32)
    values[:, 1:] += values[:, :-1]
    values[..., 2] += 9.81
    return values


def made_images(rng: np.random.Generator, count: int) -> Iterator[np.ndarray]:
    """Make images whose spectrum falls with frequency, like that of photographs: about 18 KB each as JPEG."""
    frequency = np.hypot(np.fft.fftfreq(SIZE)[:, None], np.fft.rfftfreq(SIZE)[None])
    frequency[0, 0] = np.inf
    for _ in range(count):
        channels = []
        for _ in range(3):
            phase = np.exp(2j * np.pi * rng.random(frequency.shape))
            channels.append(np.fft.irfft2(phase / frequency**1.45, s=(SIZE, SIZE)))
        image = np.stack(channels, axis=-1)
        luma = image.mean(axis=-1, keepdims=True)
        image = luma + 0.3 * (image - luma)
        image = 128 + 45 * image / image.std()
        yield np.ascontiguousarray(image.clip(0, 255).astype(np.uint8))


def encoded(records: Records) -> Iterator[EncodedWindow]:
    """Encode the records as our windows."""
    frames = 0 if records.case == "imu" else FRAMES
    seen = np.ones(frames, bool)  # features stand in for the frames, which have no bytes
    for i in range(len(records)):
        record = records[i]
        if records.case == "raw":
            jpegs = tuple(frame.tobytes() for frame in record["clip"])
        else:
            jpegs = tuple(record.get("jpegs", [b""] * frames))
        window = Window(
            recording=f"recording-{i // WINDOWS_A_RECORDING:05d}",
            subject=f"subject-{i // WINDOWS_A_RECORDING:05d}",
            population="general",
            placement="wrist",
            device="device",
            activity=f"activity {i % 5}",
            start_s=(i % WINDOWS_A_RECORDING) * 5.0,
            imu=record["imu"],
            sample_mask=np.ones(SAMPLES, bool),
            channel_mask=np.ones(6, bool),
            frame_indices=np.arange(frames),
            frame_times=(np.arange(frames) / 2).astype(np.float32),
            frame_mask=seen,
            faults=(),
        )
        yield EncodedWindow(window, jpegs)


def write_shards(folder: Path, how: WindowSettings, windows: Iterator[EncodedWindow]) -> None:
    """Write shards of at most ``SHARD_BYTES``, and their index."""
    folder.mkdir(parents=True, exist_ok=True)
    entries: list[ShardEntry] = []
    tables: dict[str, set[str]] = {code: set() for code in layout.CODES}
    waiting: list[EncodedWindow] = []

    def flush() -> None:
        path = folder / layout.shard_name(len(entries), 0)
        write_shard(path, ShardHeader(how, "made", False, "0" * 64, len(entries), 0, True), waiting, [])
        entries.append(ShardEntry(path.name, len(waiting), path.stat().st_size, file_digest(path)))
        for code in layout.CODES:
            tables[code] |= {str(getattr(row.window, code)) for row in waiting} - {""}
        waiting.clear()

    size = 0
    for window in windows:
        waiting.append(window)
        size += window.nbytes
        if size > SHARD_BYTES:
            flush()
            size = 0
    if waiting:
        flush()
    build = {"source": "made", "window": dataclasses.asdict(how)}
    Index(
        build=build,
        build_hash=digest_of(build),
        settings=how,
        simulated=False,
        shards=tuple(entries),
        tables={code: sorted(names) for code, names in tables.items()},
        counts={},
        exclusions=(),
    ).write(folder)


def write_features(folder: Path, source: Path) -> None:
    """Write a feature cache beside these shards, with the features of ``source``, (N, F, D)."""
    from datamodules.shards.reader import ShardSet

    features = np.load(source, mmap_mode="r")
    digests = []
    with (folder / "features.f16").open("wb") as file:
        for start in range(0, len(features), BLOCK):
            file.write(features[start : start + BLOCK].tobytes())
            digests.append(digest(features[start : start + BLOCK]))
    meta = {
        "format": FORMAT,
        "version": VERSION,
        "encoder": "made",
        "shards": ShardSet.open(folder).fingerprint,
        "shape": [len(features), 1, *features.shape[1:]],
        "xxh3": digests,
    }
    (folder / "features.json").write_text(json.dumps(meta), encoding="utf-8")
