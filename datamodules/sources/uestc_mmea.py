"""UESTC-MMEA-CL ("MMEA"): smart glasses with a camera and an IMU, ten people, 32 daily activities, 30.4 h.

L. Xu, Q. Wu, L. Pan, F. Meng, H. Li, C. He, H. Wang, S. Cheng, Y. Dai: Towards Continual Egocentric Activity
Recognition: A Multi-Modal Egocentric Activity Dataset for Continual Learning. IEEE Transactions on Multimedia 26, 2024.

- Sensor: on the glasses, 25 Hz, accelerometer and gyroscope in bits: 8192 per g (so +-4 g) and 16.4 per deg/s (so
  +-2000 deg/s); here m/s^2 with gravity and rad/s. The authors report outliers and a drift of the gyroscope's zero.
- Video: 25 fps MP4, 640 x 480, of the same clip.
- Licence: none; use must be educational or non-commercial. Get it from
  https://ivipclab.github.io/publication_uestc-mmea-cl/mmea-cl/.
- Layout below ``root`` (https://github.com/Tflowers-0129/uestc-mmea-cl): ``sensor/1_upstairs/CLIP.csv``,
  ``video/1_upstairs/CLIP.mp4``, ..., ``32_watch_TV``; ``train.txt``, ``val.txt``, ``test.txt`` list clips. The CSV has
  no header; its first six columns are acceleration x, y, z and angular velocity x, y, z.
- Labels: the folder's name without its number, in lower case with ``_`` for other characters than letters and digits
  (``watch_tv``), for the whole clip. ``metadata["split"]`` is the clip's list.
- People: as far as we know, the clips' subjects are unpublished. The published lists are drawn by clip, so people are
  on both sides of them. By default all clips have the subject "unknown", so that no split claims to be by person. If
  you know the subjects, set ``subject_pattern`` (a regular expression on ``1_upstairs/CLIP`` whose first group is the
  subject). ``split_as_subject`` makes the three lists the subjects, to repeat published results.

Times: sample i is at i / 25 s. Published code divides by 8192 (the authors') or by 16384 (COMODO's). A clip whose
median acceleration by ``lsb_per_g`` is outside 0.6 to 1.8 g is refused, so the first clip reveals a wrong scale.

Checked on a fixture made from the published description, not on the publisher's files.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np

from datamodules.formats.video import VideoFile
from datamodules.recording import FloatArray, ImuStream, Interval, Recording, RecordingError
from datamodules.signal import DEGREE, G
from datamodules.sources.manifest.csv_table import CsvTable
from datamodules.sources.manifest.spec import CsvSpec
from datamodules.sources.manifest.table import NUMBER, Wanted, read_all
from datamodules.sources.registry import Source, source
from datamodules.sources.shared.listing import choose

RATE_HZ = 25.0
LSB_PER_DEGREE_PER_S = 16.4
SPLITS = ("train", "val", "test")
_FOLDER = re.compile(r"\d+_(.+)")
_AXES = ("acceleration x", "acceleration y", "acceleration z", "rotation x", "rotation y", "rotation z")
_PLAUSIBLE_G = (0.6, 1.8)
_BITS = 2**15  # largest magnitude of a reading of 16 bits
_UNKNOWN = "unknown"


@dataclass
class UestcMmeaParams:
    """Settings of UESTC-MMEA-CL."""

    root: str = "../UESTC-MMEA-CL"
    subjects: list[str] = field(default_factory=list)  # empty takes all
    subject_pattern: str = ""  # regular expression on "1_upstairs/CLIP"; its first group is the subject
    split_as_subject: bool = False  # the published lists are the subjects, although people are on both sides
    lsb_per_g: float = 8192.0  # reading at one g
    video_fit: str = "crop"  # "crop", "pad" or "squash", see formats.video.VideoFile


@source("uestc_mmea", UestcMmeaParams)
class UestcMmea(Source):
    """One recording per clip, ``1_upstairs/CLIP``, with IMU and camera ``head``.

    Raises:
        ValueError: the pattern is not a regular expression with a group, the scale is not positive, or both
            ``subject_pattern`` and ``split_as_subject`` are set.
    """

    def __init__(self, params: UestcMmeaParams) -> None:
        if not params.lsb_per_g > 0:
            raise ValueError(f"uestc_mmea: lsb_per_g is {params.lsb_per_g}; expected a number above 0")
        if params.subject_pattern and params.split_as_subject:
            raise ValueError("uestc_mmea: subject_pattern and split_as_subject are both set; expected one of them")
        try:
            self._pattern = re.compile(params.subject_pattern) if params.subject_pattern else None
        except re.error as error:
            raise ValueError(f"uestc_mmea: subject_pattern is no regular expression: {error}") from error
        if self._pattern is not None and self._pattern.groups < 1:
            raise ValueError("uestc_mmea: subject_pattern has no group; expected one, the subject")
        self.params = params
        self.root = Path(params.root)
        self._lists: dict[str, str] | None = None

    def names(self) -> list[str]:
        """List the names ``1_upstairs/CLIP``, by folder and clip, of all that have an IMU file.

        Raises:
            ValueError: there is no such data set below ``root``.
            RecordingError: a list of clips can't be read.
        """
        found = {}
        for path in (self.root / "sensor").glob("*/*.csv"):
            if _FOLDER.fullmatch(path.parent.name):
                name = f"{path.parent.name}/{path.stem}"
                found[name] = self.subject_of(name)
        return choose(self.root, found, self.params.subjects, "UESTC-MMEA-CL", "sensor/1_upstairs/CLIP.csv and others")

    def subject_of(self, name: str) -> str:
        """Return the subject by the pattern or the published lists; otherwise "unknown".

        Raises:
            RecordingError: the pattern does not match, or no list has the clip.
        """
        if self._pattern is not None:
            match = self._pattern.search(name)
            if match is None or not match[1]:
                raise RecordingError(
                    f"{self.root / 'sensor' / name}.csv: subject_pattern "
                    f"{self.params.subject_pattern!r} finds no subject"
                )
            return match[1]
        if self.params.split_as_subject:
            if name not in self._split_of():
                raise RecordingError(f"{self.root / 'sensor' / name}.csv: in none of {', '.join(SPLITS)} (.txt)")
            return self._split_of()[name]
        return _UNKNOWN

    def load(self, name: str) -> Recording:
        """Load one clip.

        Raises:
            RecordingError: a file is missing or malformed; the message names file and line.
        """
        match = _FOLDER.fullmatch(name.partition("/")[0])
        if match is None:
            raise RecordingError(f"'{name}' is not a clip of UESTC-MMEA-CL; expected 1_upstairs/CLIP")
        path = self.root / "sensor" / f"{name}.csv"
        values = self._read(path)
        mp4 = self.root / "video" / f"{name}.mp4"
        if not mp4.is_file():
            raise RecordingError(f"{mp4}: not there, but its samples are ({path})")
        stream = ImuStream(
            times=np.arange(len(values)) / RATE_HZ,
            values=values,
            placement="head",
            device="UESTC glasses",
            acceleration_range=_BITS / self.params.lsb_per_g * G,
            angular_velocity_range=_BITS / LSB_PER_DEGREE_PER_S * DEGREE,
            origin=str(path),
        )
        split = self._split_of().get(name)
        return Recording(
            name=name,
            subject=self.subject_of(name),
            imus=(stream,),
            videos=(VideoFile(mp4, "head", fit=self.params.video_fit),),
            activities=(Interval(0.0, len(values) / RATE_HZ, label_of(match[1])),),
            labelled_on=("head",),
            source="uestc_mmea",
            metadata={"split": split} if split else {},
        )

    def _read(self, path: Path) -> FloatArray:
        spec = CsvSpec(separator=",", header=False)
        table = CsvTable(path, spec, [Wanted(i + 1, NUMBER, axis) for i, axis in enumerate(_AXES)])
        values: FloatArray = np.stack(read_all(table), axis=1)
        if len(values) < 2:
            raise RecordingError(f"{path}: {len(values)} samples; expected at least 2")
        bad = np.argwhere(~(np.abs(values) <= _BITS))
        if bad.size:
            row, axis = (int(i) for i in bad[0])
            raise RecordingError(
                f"{path}, {table.place(row)}, column '{axis + 1}' ({_AXES[axis]}): found {values[row, axis]}; expected "
                f"a reading of 16 bits, within +-{_BITS}"
            )
        values[:, 3:] *= DEGREE / LSB_PER_DEGREE_PER_S
        norm = float(np.median(np.linalg.norm(values[:, :3], axis=1)))
        if not _PLAUSIBLE_G[0] <= norm / self.params.lsb_per_g <= _PLAUSIBLE_G[1]:
            raise RecordingError(
                f"{path}: the median acceleration is {norm:.0f}, or {norm / self.params.lsb_per_g:.2f} g at "
                f"{self.params.lsb_per_g:g} per g; expected about 1 g (the source's 'lsb_per_g': 8192 or 16384?)"
            )
        values[:, :3] *= G / self.params.lsb_per_g
        return values

    def _split_of(self) -> dict[str, str]:
        """Read the published lists: clip -> its list; a missing list is empty."""
        if self._lists is None:
            self._lists = {}
            for split in SPLITS:
                for line, clip in _listed(self.root / f"{split}.txt"):
                    if self._lists.setdefault(clip, split) != split:
                        raise RecordingError(
                            f"{self.root / split}.txt, line {line}: '{clip}' is in {self._lists[clip]}.txt as well"
                        )
        return self._lists


def label_of(text: str) -> str:
    """Convert to lower case, and other characters than letters and digits to ``_``."""
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")


def _listed(path: Path) -> Iterator[tuple[int, str]]:
    """Yield line number and ``folder/clip`` of each line ``some/path/folder/clip[.mp4] frames label``."""
    if not path.is_file():
        return
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise RecordingError(f"{path}: not a text file: {error}") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        # A path may contain blanks, so remove the numbers from the end.
        text = re.sub(r"(\s+\d+){1,2}\s*$", "", line).strip().replace("\\", "/")
        clip = PurePosixPath(text)
        if len(clip.parts) < 2 or not _FOLDER.fullmatch(clip.parent.name):
            raise RecordingError(
                f"{path}, line {number}: {line[:60]!r}; expected .../1_upstairs/CLIP, frames and label"
            )
        name = clip.name.removesuffix(".mp4").removesuffix(".csv")
        yield number, f"{clip.parent.name}/{name}"
