"""Folders as the publishers of the paper's data sets lay them out, with made-up people: real file formats, tiny sizes.

Motion is gravity, a movement that is each activity's own, and noise. Pictures are a moving test card.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
from helpers.made_data import make_video
from numpy.typing import NDArray

G = 9.80665
MMEA_ACTIVITIES = {
    "1_upstairs": 0, "2_downstairs": 1, "3_drinking": 2, "4_fall": 3, "12_standing": 4,
    "17_walking": 5, "24_sit-stand": 6, "32_watch_TV": 7,
}  # fmt: skip
PD_ACTIVITIES = ("walking", "turning", "bending", "standing", "sitting")
MANIFEST = """\
groups:
  home:
    imu:
      - files: imu/{subject}.csv
        time: {column: time_s, unit: s}
        sensors:
          chest:
            acceleration: {columns: [ax, ay, az], unit: m/s^2}
            gyroscope: {columns: [gx, gy, gz], unit: rad/s}
    videos:
      - {files: "video/{subject}.mp4", camera: home}
    labels: {files: "labels/{subject}.csv"}
    population: parkinson
"""


def motion(times: NDArray[np.float64], activity: int, seed: int) -> NDArray[np.float64]:
    """Acceleration in m/s^2 with gravity and angular rate in rad/s, (N, 6); (N,) seconds."""
    rng = np.random.default_rng([activity, seed])
    rate, size = 0.6 + 0.5 * activity, 0.5 + 0.4 * (activity % 3)
    phases = rng.uniform(0, 2 * np.pi, 6)
    moved = size * np.sin(2 * np.pi * rate * times[:, None] + phases) + rng.normal(scale=0.15, size=(len(times), 6))
    moved[:, :3] += G * np.array([0.1, 0.97, 0.2])
    return moved


def make_ego4d(root: Path, videos: int = 4, seconds: float = 30.0) -> None:
    """Ego4D: ``ego4d.json``, ``v2/imu/UID.csv`` at 200 Hz and ``v2/video_540ss/UID.mp4``; two videos a person."""
    header = "component_idx,component_timestamp_ms,canonical_timestamp_ms,gyro_x,gyro_y,gyro_z,accl_x,accl_y,accl_z"
    entries = []
    (root / "v2" / "imu").mkdir(parents=True)
    film = make_video(root / "film.mp4", seconds)
    for number in range(videos):
        uid = f"{number:08x}-0000-4000-8000-000000000000"
        ms = np.arange(0, seconds * 1000, 1000 / 201)
        values = motion(ms / 1000, number % 5, 100 + number)
        rows = [
            f"0,{t},{t},{','.join(map(str, [*row[3:], *row[:3]]))}"
            for t, row in zip(ms.tolist(), values.tolist(), strict=True)
        ]
        (root / "v2" / "imu" / f"{uid}.csv").write_text("\n".join([header, *rows]) + "\n")
        target = root / "v2" / "video_540ss" / f"{uid}.mp4"
        target.parent.mkdir(exist_ok=True)
        shutil.copy(film, target)
        entries.append(
            {
                "video_uid": uid,
                "duration_sec": seconds,
                "fb_participant_id": 10 + number // 2,
                "video_source": "made_up",
                "device": "GoPro Hero Black 7",
                "scenarios": ["Cooking"],
            }
        )
    film.unlink()
    (root / "ego4d.json").write_text(json.dumps({"date": "221114", "videos": entries, "clips": []}))


def make_mmea(root: Path, seconds: float = 10.4) -> None:
    """UESTC-MMEA-CL: ``sensor/12_standing/CLIP.csv`` in bits at 25 Hz, ``video/.../CLIP.mp4``, and the three lists."""
    lists: dict[str, list[str]] = {"train": [], "val": [], "test": []}
    root.mkdir(parents=True)
    for folder, activity in MMEA_ACTIVITIES.items():
        # Each activity has colours of its own: videos that are all alike would make all prototypes the same.
        film = make_video(root / "film.mp4", seconds, options=("-vf", f"hue=h={45 * activity}"))
        for number, split in enumerate(("train", "train", "train", "val", "test", "test")):
            clip = f"{folder}/{folder.partition('_')[2]}_{number:03d}"
            values = motion(np.arange(0, seconds, 1 / 25), activity, 200 + number)
            bits = np.round(values / [*[G / 8192] * 3, *[np.deg2rad(1) / 16.4] * 3]).astype(int)
            path = root / "sensor" / f"{clip}.csv"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(",".join(map(str, row)) + "\n" for row in bits.tolist()))
            video = root / "video" / f"{clip}.mp4"
            video.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(film, video)
            lists[split].append(f"video/{clip} {round(seconds * 25)} {activity}")
        film.unlink()
    for split, lines in lists.items():
        (root / f"{split}.txt").write_text("\n".join(lines) + "\n")


def make_parkinsons(root: Path, people: int = 4, each_s: float = 15.0) -> None:
    """The paper's patients by its description: a sensor at the chest, video, five activities, one recording each."""
    for folder in ("imu", "labels", "video"):
        (root / folder).mkdir(parents=True)
    film = make_video(root / "film.mp4", each_s * len(PD_ACTIVITIES), rate=10)
    for person in range(people):
        parts, labels = [], ["start,end,activity"]
        for position, activity in enumerate(np.roll(PD_ACTIVITIES, person)):
            start = position * each_s
            times = start + np.arange(0, each_s, 0.01)
            values = motion(times - start, PD_ACTIVITIES.index(str(activity)), 300 + person)
            parts += [",".join(map(str, (round(t, 2), *row))) for t, row in zip(times, values.tolist(), strict=True)]
            labels.append(f"{start},{start + each_s},{activity}")
        (root / "imu" / f"PD{person}.csv").write_text("\n".join(["time_s,ax,ay,az,gx,gy,gz", *parts]) + "\n")
        (root / "labels" / f"PD{person}.csv").write_text("\n".join(labels) + "\n")
        shutil.copy(film, root / "video" / f"PD{person}.mp4")
    film.unlink()
    (root / "manifest.yaml").write_text(MANIFEST)
