"""Small data sets, written as their publishers' descriptions say: what the readers of public sets are tried on."""

from __future__ import annotations

import io
import zipfile
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from scipy.io import savemat

G = 9.80665
DEGREE = np.pi / 180


def motion(samples: int, seed: int = 0) -> np.ndarray:
    """(N, 6) m/s^2 and rad/s: near rest with y up, and what no two samples share."""
    noise = np.random.default_rng(seed).normal(0, 0.3, (samples, 6))
    return np.asarray(noise + np.array([0, G, 0, 0, 0, 0]))


def write_usc_had(root: Path, subject: int = 1, activity: int = 4, trial: int = 2, **changes: object) -> Path:
    folder = root / "USC-HAD" / f"Subject{subject}"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"a{activity}t{trial}.mat"
    content = {
        "title": "USC Human Motion Database",
        "subject": str(subject),
        "activity_number": str(activity),
        "trial": str(trial),
        "sensor_readings": motion(500) / np.array([G] * 3 + [DEGREE] * 3),
    }
    savemat(path, {key: value for key, value in {**content, **changes}.items() if value is not None})
    return path


def hapt_text(values: np.ndarray) -> str:
    """Numbers as HAPT has them: 9.1805557e-001."""
    return "".join(
        " ".join(f"{v:.7e}".replace("e-", "e-0").replace("e+", "e+0") for v in row) + " \n" for row in values
    )


HAPT_LABELS = "1 1 5 11 100\n1 1 7 101 150\n2 1 4 1 50\n1 1 4 151 200\n"


def write_hapt(root: Path) -> Path:
    folder = root / "HAPT Data Set" / "RawData"
    folder.mkdir(parents=True)
    for experiment, user, n in ((1, 1, 250), (2, 1, 100), (10, 5, 60)):
        values = motion(n, experiment)
        name = f"exp{experiment:02d}_user{user:02d}.txt"
        (folder / f"acc_{name}").write_text(hapt_text(values[:, :3] / G))
        (folder / f"gyro_{name}").write_text(hapt_text(values[:, 3:]))
    (folder / "labels.txt").write_text(HAPT_LABELS)
    return folder


MOTIONSENSE_HEADER = (
    ",attitude.roll,attitude.pitch,attitude.yaw,gravity.x,gravity.y,gravity.z,rotationRate.x,rotationRate.y,"
    "rotationRate.z,userAcceleration.x,userAcceleration.y,userAcceleration.z"
)
# The first rows of a file, from the publisher's readme.
MOTIONSENSE_ROWS = """\
0,-2.544349,-1.250641,2.175416,-0.176977,0.949187,0.260222,-7.204869,2.267762,0.103529,-0.060221,1.576174,-0.091292
1,-2.524075,-1.187355,2.047589,-0.21661,0.927383,0.305012,-2.554745,6.548334,-0.005139,0.134136,0.860307,-2.152149
2,-2.534324,-1.141923,1.990077,-0.237286,0.909435,0.341488,-2.38587,0.112576,-0.576825,0.427914,0.442891,-0.892025
3,-2.544,-1.098202,1.960054,-0.248344,0.89039,0.381471,-2.098059,0.199309,-0.671066,0.619987,0.007925,-0.946626
"""


def write_motionsense(root: Path, rows: str = MOTIONSENSE_ROWS) -> Path:
    """As the archive unpacks, with what Apple's archiver adds."""
    folder = root / "A_DeviceMotion_data" / "A_DeviceMotion_data"
    (root / "__MACOSX" / "A_DeviceMotion_data" / "A_DeviceMotion_data" / "deep").mkdir(parents=True)
    for name in ("dws_1/sub_1.csv", "dws_1/sub_10.csv", "wlk_7/sub_2.csv"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{MOTIONSENSE_HEADER}\n{rows}")
    other = root / "B_Accelerometer_data" / "dws_1" / "sub_1.csv"
    other.parent.mkdir(parents=True)
    other.write_text(",x,y,z\n0,0,0,1\n")
    return folder / "dws_1" / "sub_1.csv"


PAMAP2_ACTIVITIES = [0] * 50 + [4] * 100 + [0] * 20 + [12] * 80


def pamap2_rows(activities: list[int], seed: int = 0) -> list[list[float]]:
    n = len(activities)
    rows = np.full((n, 54), np.nan)
    rows[:, 0] = 8.38 + np.arange(n) / 100
    rows[:, 1] = activities
    rows[::10, 2] = 100
    for i, first in enumerate((3, 20, 37)):
        values = motion(n, seed + i)
        rows[:, first] = 30.375
        rows[:, first + 1 : first + 4] = values[:, :3]
        rows[:, first + 4 : first + 7] = 2 * values[:, :3]  # not what is read
        rows[:, first + 7 : first + 10] = values[:, 3:]
        rows[:, first + 10 : first + 17] = 1
    return rows.tolist()


def pamap2_text(rows: list[list[float]]) -> str:
    return "".join(" ".join("NaN" if v != v else f"{v:.7g}" for v in row) + "\n" for row in rows)


def write_pamap2(root: Path) -> Path:
    for part in ("Protocol", "Optional"):
        (root / "PAMAP2_Dataset" / part).mkdir(parents=True)
    path = root / "PAMAP2_Dataset" / "Protocol" / "subject101.dat"
    path.write_text(pamap2_text(pamap2_rows(PAMAP2_ACTIVITIES)))
    (root / "PAMAP2_Dataset" / "Optional" / "subject105.dat").write_text(pamap2_text(pamap2_rows([18] * 10)))
    return path


HARTH_HEADER = "timestamp,back_x,back_y,back_z,thigh_x,thigh_y,thigh_z,label"


def harth_rows(labels: list[int], start: datetime = datetime(2019, 1, 12), seed: int = 0) -> list[str]:
    back, thigh = motion(len(labels), seed) / G, motion(len(labels), seed + 1) / G
    return [
        f"{(start + timedelta(milliseconds=20 * i)).isoformat(sep=' ', timespec='milliseconds')},"
        + ",".join(f"{v:.6f}" for v in (*back[i, :3], *thigh[i, :3]))
        + f",{label}"
        for i, label in enumerate(labels)
    ]


def write_harth(root: Path, labels: list[int] | None = None) -> Path:
    (root / "harth").mkdir(parents=True, exist_ok=True)
    path = root / "harth" / "S006.csv"
    path.write_text("\n".join([HARTH_HEADER, *harth_rows(labels or [6] * 60 + [1] * 90)]) + "\n")
    return path


REALWORLD_HEADER = "id,attr_time,attr_x,attr_y,attr_z"
REALWORLD_START = 1435993000000  # ms since 1970


def realworld_text(values: np.ndarray, first_ms: int = 0, step_ms: int = 20) -> str:
    lines = [
        f"{i},{REALWORLD_START + first_ms + step_ms * i},{','.join(f'{v:.6f}' for v in row)}"
        for i, row in enumerate(values)
    ]
    return "\n".join([REALWORLD_HEADER, *lines]) + "\n"


def zipped(files: dict[str, str | bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def write_realworld(root: Path, samples: int = 200) -> Path:
    """Walking in one piece, as most are; climbing in parts, as three people's is."""
    folder = root / "realworld2016_dataset" / "proband4" / "data"
    folder.mkdir(parents=True, exist_ok=True)
    values = motion(samples)
    acc, gyr = values[:, :3], values[:, 3:]
    files: dict[str, str | bytes] = {
        "readMe": "about",
        "acc_walking_2_chest.csv": realworld_text(acc),
        "acc_walking_2_upperarm.csv": realworld_text(acc, first_ms=1000),
    }
    path = folder / "acc_walking_csv.zip"
    path.write_bytes(zipped(files))
    (folder / "gyr_walking_csv.zip").write_bytes(zipped({"Gyroscope_walking_2_chest.csv": realworld_text(gyr)}))
    parts: dict[str, str | bytes] = {
        "acc_climbingup_1_csv.zip": zipped({"acc_climbingup_shin.csv": realworld_text(acc)}),
        "acc_climbingup_2_csv.zip": zipped({"acc_climbingup_2_shin.csv": realworld_text(acc)}),
    }
    turning: dict[str, str | bytes] = {
        "gyr_climbingup_csv.zip": zipped({"Gyroscope_climbingup_shin.csv": realworld_text(gyr)}),
        "gyr_climbingup_2_csv.zip": zipped({"Gyroscope_climbingup_2_shin.csv": realworld_text(gyr[::2], step_ms=40)}),
    }
    (folder / "acc_climbingup_csv.zip").write_bytes(zipped(parts))
    (folder / "gyr_climbingup_csv.zip").write_bytes(zipped(turning))
    return path


FOG_STAR_SENSORS = [
    f"{name}_{part}_{axis}"
    for name in ("ankleL", "ankleR", "back", "wrist")
    for part in ("acc", "gyro")
    for axis in "xyz"
]
FOG_STAR_HEADER = ",".join(
    ["timestamp", *FOG_STAR_SENSORS, "activity", "fog", "fog_severity", "subjectID", "sessionID", "taskID"]
)


def fog_star_rows(
    codes: list[tuple[int, int]], subject: int, session: int = 1, task: int = 1, step: float = 1000 / 60, seed: int = 0
) -> list[list[float]]:
    """``codes`` are activity and freezing of each sample."""
    values = [motion(len(codes), seed + i) / np.array([G] * 3 + [DEGREE] * 3) for i in range(4)]
    return [
        [1e5 + step * i, *(float(v) for part in values for v in part[i]), activity, fog, 0, subject, session, task]
        for i, (activity, fog) in enumerate(codes)
    ]


def fog_star_text(rows: list[list[float]]) -> str:
    lines = [",".join("" if v != v else f"{v:.10g}" for v in row) for row in rows]
    return "\n".join([FOG_STAR_HEADER, *lines]) + "\n"


FOG_STAR_CODES = [(2, 0)] * 30 + [(4, 0)] * 60 + [(1, 0)] * 60 + [(1, 1)] * 30 + [(0, 0)] * 15


def write_fog_star(root: Path, rows: list[list[float]] | None = None) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    path = root / "sensor_data.csv"
    if rows is None:
        rows = [
            *fog_star_rows(FOG_STAR_CODES, 1),
            *fog_star_rows([(6, 0)] * 60, 1, task=7),
            *fog_star_rows([(3, 0)] * 60, 12, session=2, task=2),
        ]
    path.write_text(fog_star_text(rows))
    return path


WEARGAIT_SENSORS = ("LowerBack", "R_Wrist", "L_LatShank")
WEARGAIT_EVENTS = ["Standing"] * 50 + ["Walk"] * 200 + ["Turn"] * 100 + [""] * 50


def weargait_text(
    events: list[str], sensors: tuple[str, ...] = WEARGAIT_SENSORS, sec: str = " sec", seed: int = 0
) -> str:
    header = ["Time", "GeneralEvent", "ClinicalEvent", "L Foot Contact"]
    header += [f"{s}_{part}_{axis}" for s in sensors for part in ("Acc", "Gyr") for axis in "XYZ"]
    values = [motion(len(events), seed + i) for i in range(len(sensors))]
    lines = [
        ",".join([f"{i / 100:.2f}{sec}", event, "unlabeled", "0", *(f"{v:.6f}" for part in values for v in part[i])])
        for i, event in enumerate(events)
    ]
    return "\n".join([",".join(header), *lines]) + "\n"


def write_weargait_pd(root: Path) -> Path:
    for folder, name in (("PD SUBJECTS", "NLS002_SelfPace_matTURN"), ("CONTROL SUBJECTS", "WHC010_TUG")):
        (root / folder / "CSV files").mkdir(parents=True)
        (root / folder / "CSV files" / f"{name}.csv").write_text(weargait_text(WEARGAIT_EVENTS))
    (root / "PD SUBJECTS" / "PD - Demographic+Clinical - datasetV1.csv").write_text("Subject ID\nNLS002\n")
    return root / "PD SUBJECTS" / "CSV files" / "NLS002_SelfPace_matTURN.csv"
