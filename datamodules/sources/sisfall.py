"""SisFall: 23 young and 15 older people, 19 daily activities, 15 kinds of fall, one sensor at the waist.

A. Sucerquia, J. D. López, J. F. Vargas-Bonilla: SisFall: A Fall and Movement Dataset. Sensors 17(1):198, 2017.

- People: SA01 to SA23 are 19 to 30 years old, SE01 to SE15 are 60 to 75. The older people did not fall, and left out
  the activities D06, D13, D18 and D19 on a physician's advice. SE06, an expert in judo, did everything.
- Sensor: on the belt, 200 Hz: two accelerometers (ADXL345, +-16 g, 13 bit; MMA8451Q, +-8 g, 14 bit) and a gyroscope
  (ITG3200, +-2000 deg/s, 16 bit), in bits; here m/s^2 and rad/s. All three have the same axes; y points down.
- Falls are acted, onto a mattress.
- Licence: none is stated; the authors ask for a citation of the paper. Get it from them (the SISTEMIC group of the
  Universidad de Antioquia, sistemic.udea.edu.co): 4,510 files.
- Layout below ``root``: ``SA01/D01_SA01_R01.txt``: activity, person, trial. Each line has nine whole numbers (ADXL345,
  ITG3200, MMA8451Q) with commas between them and ';' at the end.

A daily activity labels its whole trial, as published. A fall takes a second or two of its trial of 15 s. Before it the
person walks, jogs or sits; after it the person lies. A label "fall" for the whole trial would teach and test walking as
falling. So only ``fall_interval_s`` around the impact (the largest acceleration) is "fall", and the rest of the trial
has no label. All 15 kinds are one activity; ``metadata`` has the kind and the time of the impact.

Checked on trial R01 of 12 young and 10 older people (without D02 and D04): the mean acceleration of both
accelerometers is 1.01 to 1.02 g; they agree within 3 % in scale and 0.05 g in offset. The low-passed acceleration
rotates as the gyroscope measures (correlation 0.75 to 0.80 per axis, slope 1.1 to 1.4), which confirms common axes and
right units.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datamodules.formats.text_table import parse_integers, read_lines
from datamodules.recording import FloatArray, ImuStream, Interval, Recording, RecordingError
from datamodules.signal import DEGREE, G
from datamodules.sources.registry import Source, source

RATE_HZ = 200.0
FALL = "fall"
ACTIVITIES = {
    "D01": "walking_slow",
    "D02": "walking_quick",
    "D03": "jogging_slow",
    "D04": "jogging_quick",
    "D05": "stairs_slow",
    "D06": "stairs_quick",
    "D07": "chair_slow",
    "D08": "chair_quick",
    "D09": "low_chair_slow",
    "D10": "low_chair_quick",
    "D11": "collapse_into_chair",
    "D12": "lie_down_slow",
    "D13": "lie_down_quick",
    "D14": "turn_over_lying",
    "D15": "bend_knees",
    "D16": "bend_over",
    "D17": "in_and_out_of_car",
    "D18": "stumble",
    "D19": "jump",
}
FALLS = {
    "F01": "forward, walking, slip",
    "F02": "backward, walking, slip",
    "F03": "lateral, walking, slip",
    "F04": "forward, walking, trip",
    "F05": "forward, jogging, trip",
    "F06": "vertical, walking, fainting",
    "F07": "walking, hands on a table, fainting",
    "F08": "forward, getting up",
    "F09": "lateral, getting up",
    "F10": "forward, sitting down",
    "F11": "backward, sitting down",
    "F12": "lateral, sitting down",
    "F13": "forward, sitting, fainting or asleep",
    "F14": "backward, sitting, fainting or asleep",
    "F15": "lateral, sitting, fainting or asleep",
}
_POPULATIONS = {"SA": "young", "SE": "older"}
_NAME = re.compile(r"([DF]\d\d)_((S[AE])\d\d)_R(\d\d)")
_COLUMNS = 9
_GYROSCOPE = slice(3, 6)
_GYROSCOPE_RANGE = 2000 * DEGREE


@dataclass(frozen=True)
class _Accelerometer:
    columns: slice
    range_g: float
    bits: int
    device: str


ACCELEROMETERS = {
    "adxl345": _Accelerometer(slice(0, 3), 16.0, 13, "ADXL345 and ITG3200"),
    "mma8451q": _Accelerometer(slice(6, 9), 8.0, 14, "MMA8451Q and ITG3200"),
}


@dataclass
class SisFallParams:
    """Settings of SisFall."""

    root: str = "../shared/data/sisfall"
    subjects: list[str] = field(default_factory=list)  # e.g. ["SA01", "SE06"]; empty takes all
    accelerometer: str = "adxl345"  # or "mma8451q", which has finer steps but saturates in falls, at 8 g
    fall_interval_s: float = 5.0  # seconds around the impact with the label "fall"


@source("sisfall", SisFallParams)
class SisFall(Source):
    """One recording per trial, named as its file (``D05_SA01_R01``), with one IMU at ``waist``.

    Raises:
        ValueError: there is no such accelerometer, or the fall's interval is not positive.
    """

    def __init__(self, params: SisFallParams) -> None:
        if params.accelerometer not in ACCELEROMETERS:
            known = " or ".join(ACCELEROMETERS)
            raise ValueError(f"sisfall: accelerometer is '{params.accelerometer}'; expected {known}")
        if not (math.isfinite(params.fall_interval_s) and params.fall_interval_s > 0):
            raise ValueError(f"sisfall: fall_interval_s is {params.fall_interval_s}; expected seconds above 0")
        self.params = params
        self.root = Path(params.root)

    def names(self) -> list[str]:
        """List the names ``{activity}_{subject}_R{trial}``, by subject, activity and trial.

        Raises:
            ValueError: there is no such data set below ``root``.
        """
        found = []
        for path in self.root.glob("S[AE]*/*.txt"):
            match = _NAME.fullmatch(path.stem)
            if match and path.parent.name == match[2]:
                found.append((match[2], path.stem))
        if not found:
            raise ValueError(
                f"{self.root.absolute()}: no SisFall here; expected SA01/D01_SA01_R01.txt and others "
                "(set the source's 'root')"
            )
        wanted = self.params.subjects
        names = [name for subject, name in sorted(found) if not wanted or subject in wanted]
        if not names:
            raise ValueError(f"{self.root.absolute()}: no trial of subjects {', '.join(wanted)}")
        return names

    def subject_of(self, name: str) -> str:
        """Return ``SA01`` for ``D05_SA01_R01``."""
        return _parse_name(name)[1]

    def load(self, name: str) -> Recording:
        """Load one trial.

        Raises:
            RecordingError: the file is missing or malformed; the message names file and line.
        """
        code, subject, population, trial = _parse_name(name)
        path = self.root / subject / f"{name}.txt"
        bits = _read(path)
        sensor = ACCELEROMETERS[self.params.accelerometer]
        scale = 2 * sensor.range_g / 2**sensor.bits * G
        turn_scale = 2 * _GYROSCOPE_RANGE / 2**16
        values: FloatArray = np.concatenate([bits[:, sensor.columns] * scale, bits[:, _GYROSCOPE] * turn_scale], axis=1)
        stream = ImuStream(
            times=np.arange(len(values)) / RATE_HZ,
            values=values,
            placement="waist",
            device=sensor.device,
            acceleration_range=sensor.range_g * G,
            angular_velocity_range=_GYROSCOPE_RANGE,
            origin=str(path),
        )
        metadata: dict[str, str | float | int | bool] = {"code": code, "trial": trial}
        duration = len(values) / RATE_HZ
        if code in FALLS:
            impact = float(np.argmax(np.linalg.norm(values[:, :3], axis=1))) / RATE_HZ
            half = self.params.fall_interval_s / 2
            activity = Interval(max(0.0, impact - half), min(duration, impact + half), FALL)
            metadata |= {"fall": FALLS[code], "impact_s": impact}
        else:
            activity = Interval(0.0, duration, ACTIVITIES[code])
        return Recording(
            name=name,
            subject=subject,
            imus=(stream,),
            activities=(activity,),
            population=population,
            source="sisfall",
            metadata=metadata,
        )


def _parse_name(name: str) -> tuple[str, str, str, int]:
    """Return the activity's code, subject, population and trial."""
    match = _NAME.fullmatch(name)
    if not match or match[1] not in ACTIVITIES.keys() | FALLS.keys():
        raise RecordingError(
            f"'{name}' is not a trial of SisFall; expected D05_SA01_R01, with D01 to D19 or F01 to F15 and SA or SE"
        )
    return match[1], match[2], _POPULATIONS[match[3]], int(match[4])


def _read(path: Path) -> NDArray[np.int64]:
    """Read the file's numbers, (N, 9)."""
    lines = read_lines(path)
    values = parse_integers(path, lines, _COLUMNS, lambda text: text.removesuffix(";").split(","))
    # Drop a last line without ';': it may end inside a number, e.g. at -9 of -999.
    torn = lines[0].text.endswith(";") and not lines[-1].text.endswith(";")
    return values[:-1] if torn else values
