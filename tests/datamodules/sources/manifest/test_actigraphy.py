"""Files of actigraphs through the manifest: values, the device's clock, and what is said of files that are none."""

from __future__ import annotations

import gzip
import shutil
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers.made_actigraphy import BEGIN_S, needs_actipy, write_cwa, write_geneactiv, write_gt3x
from helpers.made_motion import make_track
from numpy.typing import NDArray

from datamodules.build.run import build
from datamodules.recording import RecordingError
from datamodules.shards.shard_file import open_shard
from datamodules.signal import DEGREE, G
from datamodules.sources.manifest.motion import read_motion
from datamodules.sources.manifest.spec import AccelerationSpec, GyroscopeSpec, ImuSpec, SensorSpec, TimeSpec
from datamodules.windows.cut import WindowSettings
from experiments.check_import import run

SENSOR = SensorSpec(AccelerationSpec(["x", "y", "z"], "g"))
WITH_GYRO = SensorSpec(SENSOR.acceleration, GyroscopeSpec(["gyro_x", "gyro_y", "gyro_z"], "deg/s"))
TIME = TimeSpec("time", "iso8601")
STAMP_S = 0.0011  # actipy cuts stamps of .cwa to milliseconds

Write = Callable[[Path, NDArray[np.float64]], NDArray[np.float64]]
FILES: dict[str, tuple[str, Write, float]] = {
    # The file's name, its writer, and how far values may be off, g: actipy rounds those of .gt3x to 0.001, others to
    # 32 bits.
    "ax3": ("a.cwa", write_cwa, 1e-6),
    "ax3 packed": ("a.cwa", lambda path, values: write_cwa(path, values, packed=True), 1e-6),
    "gt3x": ("a.gt3x", write_gt3x, 0.00051),
    "gt3x packed": ("a.gt3x", lambda path, values: write_gt3x(path, values, packed=True), 0.00051),
    "geneactiv": ("a.bin", write_geneactiv, 1e-6),
}
MANIFEST = """
groups:
  clinic:
    subject: P1
    recording: P1
    zero: first_sample
    imu:
      - files: imu/{name}.SUFFIX
        time: {column: time, unit: iso8601}
        sensors:
          left_wrist:
            acceleration: {columns: [x, y, z], unit: g, range: 8}
"""


def made(seconds: float = 60.0) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Acceleration in g and angular velocity in deg/s, at 100 Hz."""
    track = make_track(1, seconds, 100.0)
    return np.clip(track[:, :3] / G, -3, 3), track[:, 3:] / DEGREE


@needs_actipy
@pytest.mark.parametrize("kind", FILES)
def test_values_and_times_are_the_device_s(tmp_path: Path, kind: str) -> None:
    name, write, off = FILES[kind]
    written = write(tmp_path / name, made()[0])
    motion = read_motion(tmp_path / name, ImuSpec("x", {"wrist": SENSOR}, TIME))
    np.testing.assert_allclose(motion.values["wrist"][:, :3] / G, written, rtol=0, atol=off)
    assert np.isnan(motion.values["wrist"][:, 3:]).all()
    np.testing.assert_allclose(motion.times - BEGIN_S, np.arange(6000) / 100, atol=STAMP_S)
    assert motion.notes == ()
    assert motion.offsets == {False}


@needs_actipy
def test_an_ax6_has_a_gyroscope(tmp_path: Path) -> None:
    written = write_cwa(tmp_path / "a.cwa", *made())
    motion = read_motion(tmp_path / "a.cwa", ImuSpec("x", {"wrist": WITH_GYRO}, TIME))
    np.testing.assert_allclose(motion.values["wrist"][:, :3] / G, written[:, :3], atol=1e-6)  # 32 bits
    np.testing.assert_allclose(motion.values["wrist"][:, 3:] / DEGREE, written[:, 3:], atol=1e-4)
    assert {round(step, 3) for step in np.diff(motion.times)} <= {0.009, 0.01, 0.011}


@needs_actipy
@pytest.mark.parametrize("kind", ["ax3", "gt3x", "geneactiv"])
def test_a_manifest_reads_it_into_shards(tmp_path: Path, kind: str) -> None:
    name, write, off = FILES[kind]
    (tmp_path / "imu").mkdir()
    written = write(tmp_path / "imu" / name, made()[0])
    manifest = tmp_path / "manifest.yaml"
    manifest.write_text(MANIFEST.replace("SUFFIX", name.partition(".")[2]))
    lines, remarks = run(manifest)
    assert any("6000 samples at 100 Hz, no gaps" in line for line in lines)
    assert not [remark.text for remark in remarks if remark.problem]
    settings = WindowSettings(frames=0, imu_rate_hz=100.0)
    report = build("manifest", {"path": str(manifest)}, tmp_path / "shards", settings, camera="", workers=1)
    assert report.index.n_windows == 12
    (entry,) = report.index.shards
    stored = open_shard(tmp_path / "shards" / entry.file).array("imu").reshape(-1, 6)[:, :3] / G
    # A stamp that is up to a millisecond off, in movement of up to some 5 g a second.
    np.testing.assert_allclose(stored, written, atol=off + 0.05)
    assert np.abs(stored - written).mean() < off + 0.003


@needs_actipy
def test_the_device_s_clock_is_not_put_forward_in_spring(tmp_path: Path) -> None:
    write_gt3x(tmp_path / "a.gt3x", made()[0])
    spec = ImuSpec("x", {"wrist": SENSOR}, TimeSpec("time", "iso8601", zone="Europe/Berlin"))
    times = read_motion(tmp_path / "a.gt3x", spec).times
    # 10:00 in May is 8:00 UTC; all later stamps keep the first one's distance.
    np.testing.assert_allclose(times - BEGIN_S + 7200, np.arange(6000) / 100, atol=1e-6)


@needs_actipy
def test_damaged_packets_are_left_out_and_said(tmp_path: Path) -> None:
    path = tmp_path / "a.cwa"
    written = write_cwa(path, made()[0])
    content = bytearray(path.read_bytes())
    content[1024 + 512 * 10 + 100] ^= 0xFF
    path.write_bytes(content[:-200])  # and the last packet is broken off
    motion = read_motion(path, ImuSpec("x", {"wrist": SENSOR}, TIME))
    # actipy spreads the packet behind the damaged one over both; nothing is left of either.
    kept = np.concatenate([np.arange(800), np.arange(960, 5920)])
    np.testing.assert_allclose(motion.times - BEGIN_S, kept / 100, atol=STAMP_S)
    np.testing.assert_allclose(motion.values["wrist"][:, :3] / G, written[kept], atol=1e-6)  # 32 bits
    faults, stretched = motion.notes
    assert "actipy found 2 faults in a.cwa" in faults
    assert "checksum" in faults
    assert stretched.startswith("80 samples of a.cwa behind lost packets left out")


@needs_actipy
@pytest.mark.parametrize(
    ("spec", "says"),
    [
        (ImuSpec("x", {"wrist": SENSOR}, TimeSpec("time", "ms")), "the device's times are dates"),
        (ImuSpec("x", {"wrist": SENSOR}, TimeSpec("x", "iso8601")), "the device's times are dates"),
        (ImuSpec("x", {"wrist": WITH_GYRO}, TIME), "no column 'gyro_x'"),
        (
            ImuSpec("x", {"wrist": SensorSpec(AccelerationSpec(["x", "y", "z"], "m/s^2"))}, TIME),
            "the device gives g, the manifest says m/s\\^2; expected unit: g",
        ),
    ],
)
def test_a_manifest_that_says_otherwise_is_told(tmp_path: Path, spec: ImuSpec, says: str) -> None:
    write_cwa(tmp_path / "a.cwa", made(3.2)[0])
    with pytest.raises(RecordingError, match=says):
        read_motion(tmp_path / "a.cwa", spec)


def write_bomb(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("info.txt", b"")
        archive.writestr("log.bin", b"")
    content = bytearray(path.read_bytes())
    for at in (content.index(b"PK\x01\x02"), content.rindex(b"PK\x01\x02")):
        content[at + 24 : at + 28] = (0xFFFFFFF0).to_bytes(4, "little")
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.cwa", b"", "no file of an Axivity: it begins with b''"),
        ("a.cwa", b"t,x,y,z\n", "no file of an Axivity"),
        ("a.gt3x", b"PK\x03\x04 no zip", "no .gt3x that can be read"),
        ("a.bin", b"\0" * 1000, "no file of a GENEActiv"),
        ("a.cwa", gzip.compress(b"MD", mtime=0), "packed; expected .cwa files unpacked"),
    ],
)
def test_other_files_never_reach_java(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(RecordingError, match=says):
        read_motion(tmp_path / name, ImuSpec("x", {"wrist": SENSOR}, TIME))


def test_a_log_that_unpacks_to_gigabytes_is_refused(tmp_path: Path) -> None:
    write_bomb(tmp_path / "a.gt3x")
    with pytest.raises(RecordingError, match=r"unpacks to 8589934560 bytes"):
        read_motion(tmp_path / "a.gt3x", ImuSpec("x", {"wrist": SENSOR}, TIME))


@needs_actipy
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.cwa", b"MD" + b"\0" * 2000),
        ("a.bin", b"Device Identity\nDevice Unique Serial Code:1\nno more\n"),
        ("a.bin", b"Device Identity"),
    ],
)
def test_files_that_java_refuses_are_named(
    tmp_path: Path, name: str, content: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(RecordingError, match=rf"{name}: no file of a.* that can be read: \w"):
        read_motion(tmp_path / name, ImuSpec("x", {"wrist": SENSOR}, TIME))
    assert "at java.base" not in capfd.readouterr().err  # no trace of Java's above our message


def test_what_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_cwa(tmp_path / "a.cwa", made(3.2)[0])
    spec = ImuSpec("x", {"wrist": SENSOR}, TIME)
    monkeypatch.setitem(sys.modules, "actipy", None)
    with pytest.raises(RecordingError, match=r"a.cwa: to read .cwa files the package actipy.*extra 'actigraphy'"):
        read_motion(tmp_path / "a.cwa", spec)


@needs_actipy
def test_a_missing_java_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_cwa(tmp_path / "a.cwa", made(3.2)[0])
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(RecordingError, match=r"Java 8 or later is needed.*apt-get install"):
        read_motion(tmp_path / "a.cwa", ImuSpec("x", {"wrist": SENSOR}, TIME))
