"""Daphnet: freezing of gait in ten people with Parkinson's disease; accelerometers at ankle, thigh and trunk.

M. Bächlin, M. Plotnik, D. Roggen, I. Maidan, J. M. Hausdorff, N. Giladi, G. Tröster: Wearable Assistant for
Parkinson's Disease Patients With the Freezing of Gait Symptom. IEEE Transactions on Information Technology in
Biomedicine 14(2):436-446, 2010.

- People: S01 to S10, recorded in the lab (Tel Aviv Sourasky Medical Center, 2008). They walked straight, turned, and
  walked as at home. Freezing was annotated from videos. S04 and S10 never froze.
- Sensors: three accelerometers at the ankle, on the thigh above the knee and on the trunk at the hip, 64 Hz, no
  gyroscope, in mg; here m/s^2. Axes: forward, vertical (up), lateral. The range is unpublished, so saturation is
  unknown.
- Licence: the only condition is to acknowledge the paper above. Get the data from the UCI Machine Learning Repository
  ("Daphnet Freezing of Gait"): 17 recordings.
- Layout: ``S01R02.txt``: person and recording. Each line has eleven whole numbers: a time in ms, three axes each of
  ankle, thigh and trunk, and the annotation: 0 outside the experiment, 1 no freezing, 2 freezing. The published files
  have blanks and no header. Files with commas and a header, without the parts outside the experiment, are read too.
  The first line tells the format.

"freezing" and "no_freezing" label the experiment; samples outside it have no label. Both labels end where samples are
missing.

Times: in every inspected file, the stamps are multiples of 1/64 s truncated to whole ms (15, 31, 46, 62, ...). Such a
stamp is restored to its multiple; any other stamp is kept. Only these times place the samples, so a removed part (up
to 260 s) leaves a gap, which windows don't span.

Damaged samples: 34 at the ankle, 29 of them in S07, read 6 to 31 g in an axis amid samples near rest; their bytes were
mixed up. No other sample is beyond 5.2 g. Samples with an axis beyond ``GLITCH_MG`` become lost samples (NaN). A sensor
that is off reads zero in all axes, e.g. the thigh's in all of S03R03. These zeros are kept, and the rules of quality
mark windows with them as flat and without gravity.

Checked on 11 recordings of 7 people (2 h): mean norm at the trunk 1.02 to 1.04 g, 139 episodes of freezing, every
stamp a multiple of 1/64 s; three recordings are the same in both layouts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datamodules import signal
from datamodules.formats.text_table import parse_integers, read_lines
from datamodules.recording import FloatArray, ImuStream, Interval, Recording, RecordingError
from datamodules.signal import MILLI_G
from datamodules.sources.registry import Source, source
from datamodules.sources.shared.listing import choose

RATE_HZ = 64
PLACEMENTS = ("ankle", "thigh", "trunk")
ACTIVITIES = {1: "no_freezing", 2: "freezing"}
GLITCH_MG = 6000
_OUTSIDE = 0
_AXES = ("hori_fw", "vertical", "hori_lat")
_HEADER = ("timestamp", *(f"{place}_{axis}" for place in PLACEMENTS for axis in _AXES), "annotation")
_LABEL_GAP_S = 0.1  # a label ends at a longer gap of samples
_NAME = re.compile(r"(S\d\d)R\d\d")


@dataclass
class DaphnetParams:
    """Settings of Daphnet."""

    root: str = "../shared/data/daphnet/trimmed_csv"  # the folder that holds S01R02.txt and others
    subjects: list[str] = field(default_factory=list)  # e.g. ["S01", "S03"]; empty takes all


@source("daphnet", DaphnetParams)
class Daphnet(Source):
    """One recording per file, named as it (``S01R02``), with IMUs at ``ankle``, ``thigh`` and ``trunk``."""

    def __init__(self, params: DaphnetParams) -> None:
        self.params = params
        self.root = Path(params.root)

    def names(self) -> list[str]:
        """List the names ``S{subject}R{recording}``, in alphabetical order.

        Raises:
            ValueError: there is no such data set in ``root``.
        """
        stems = [path.stem for path in self.root.glob("*.txt") if _NAME.fullmatch(path.stem)]
        found = {stem: self.subject_of(stem) for stem in stems}
        return choose(self.root, found, self.params.subjects, "Daphnet", "S01R01.txt and others")

    def subject_of(self, name: str) -> str:
        """Return ``S01`` for ``S01R02``."""
        match = _NAME.fullmatch(name)
        if not match:
            raise RecordingError(f"'{name}' is not a recording of Daphnet; expected S01R02")
        return match[1]

    def load(self, name: str) -> Recording:
        """Load one recording.

        Raises:
            RecordingError: the file is missing or malformed; the message names file and line.
        """
        subject = self.subject_of(name)
        path = self.root / f"{name}.txt"
        table = _read(path)
        times = _times(table[:, 0])
        streams = []
        for i, placement in enumerate(PLACEMENTS):
            milli_g = table[:, 1 + 3 * i : 4 + 3 * i]
            values = np.full((len(table), 6), np.nan)
            values[:, :3] = milli_g * MILLI_G
            values[(np.abs(milli_g) > GLITCH_MG).any(axis=1)] = np.nan
            streams.append(
                ImuStream(times, values, placement, device="Daphnet wearable accelerometer", origin=str(path))
            )
        return Recording(
            name=name,
            subject=subject,
            imus=tuple(streams),
            activities=_intervals(times, table[:, -1]),
            population="parkinson",
            source="daphnet",
        )


def _read(path: Path) -> NDArray[np.int64]:
    """Read the file's numbers, (N, 11)."""
    lines = read_lines(path)
    first = lines[0]
    commas = "," in first.text
    if first.text[0].isalpha():
        header = tuple(field.strip() for field in first.text.split(","))
        if header != _HEADER:
            raise RecordingError(
                f"{path}, line {first.number}: the header is {first.text!r}; expected {', '.join(_HEADER)}"
            )
        lines = lines[1:]
    table = parse_integers(path, lines, len(_HEADER), lambda text: text.split("," if commas else None))
    unknown = np.flatnonzero(~np.isin(table[:, -1], (_OUTSIDE, *ACTIVITIES)))
    if unknown.size:
        at = unknown[0]
        raise RecordingError(f"{path}, line {lines[at].number}: the annotation is {table[at, -1]}; expected 0, 1 or 2")
    return table


def _times(stamps: NDArray[np.int64]) -> FloatArray:
    """Convert stamps in ms to seconds, (N,); a truncated multiple of 1/64 s becomes that multiple."""
    ticks = -(-stamps * RATE_HZ // 1000)  # the first multiple at or after the stamp
    on_grid = ticks * 1000 // RATE_HZ == stamps
    return np.where(on_grid, ticks / RATE_HZ, stamps / 1000)


def _intervals(times: FloatArray, annotations: NDArray[np.int64]) -> tuple[Interval, ...]:
    """Find the runs of one annotation without a gap; a run ends at the next sample, or one period after its last."""
    if not times.size:
        return ()
    gaps = np.searchsorted(times, signal.find_gaps(times, _LABEL_GAP_S)[:, 1])
    changes = np.flatnonzero(np.diff(annotations)) + 1
    first = np.unique(np.concatenate([[0], changes, gaps]))
    after = np.append(first[1:], times.size)
    intervals = []
    for a, b in zip(first, after, strict=True):
        if annotations[a] != _OUTSIDE:
            touches = b < times.size and b not in gaps
            end = times[b] if touches else times[b - 1] + 1 / RATE_HZ
            intervals.append(Interval(float(times[a]), float(end), ACTIVITIES[int(annotations[a])]))
    return tuple(intervals)
