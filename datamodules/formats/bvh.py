"""BVH files, a format of motion capture: a skeleton of joints, and the numbers of its channels in each frame.

A file has two parts. ``HIERARCHY`` lists joints, each with an offset from its parent and with channels in any order.
``MOTION`` has one line a frame, with the numbers of all channels in the order of the joints. Lengths have no stated
unit, angles are degrees.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from datamodules.recording import FloatArray, RecordingError

CHANNELS = tuple(f"{axis}{kind}" for kind in ("position", "rotation") for axis in "XYZ")
LEAST_FRAME_TIME, LARGEST_FRAME_TIME = 1e-4, 1.0  # seconds
_COUNT = re.compile(r"frames\s*:\s*(\d+)", re.IGNORECASE)
_FRAME_TIME = re.compile(r"frame\s+time\s*:\s*(\S+)", re.IGNORECASE)
_SHOWN = 40  # characters of a line in a message


@dataclass
class Joint:
    """A joint of the skeleton.

    Attributes:
        name: its name.
        parent: index of its parent; -1 for the root.
        offset: (3,) place in the parent's frame, in the file's unit.
        channels: names of its channels, of ``CHANNELS``, in the file's order.
        ends: offsets (3,) of its end sites, in its own frame.
    """

    name: str
    parent: int
    offset: FloatArray = field(default_factory=lambda: np.zeros(3))
    channels: tuple[str, ...] = ()
    ends: list[FloatArray] = field(default_factory=list)


@dataclass(frozen=True)
class BvhFile:
    """The content of a file.

    Attributes:
        path: the file, for messages.
        joints: parents come before their children.
        values: (frames, channels) numbers, channels in the order of the joints.
        frame_time: seconds from one frame to the next.
    """

    path: Path
    joints: tuple[Joint, ...]
    values: FloatArray
    frame_time: float


def read_bvh(path: Path) -> BvhFile:
    """Read a file.

    Raises:
        RecordingError: the file is missing or malformed; the message names the line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise RecordingError(f"{path}: there is no such file") from error
    except UnicodeDecodeError as error:
        raise RecordingError(f"{path}: byte {error.start} is no text; expected a BVH file") from error
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    start = next((k for k, (_, line) in enumerate(lines) if line.upper() == "MOTION"), None)
    if not lines or lines[0][1].upper() != "HIERARCHY" or start is None:
        found = f"'{lines[0][1][:_SHOWN]}'" if lines else "an empty file"
        raise RecordingError(f"{path}: found {found}; expected a part HIERARCHY, then a part MOTION")
    joints = _Hierarchy(path).read(lines[1:start])
    return BvhFile(path, joints, *_motion(path, lines[start + 1 :], sum(len(joint.channels) for joint in joints)))


class _Hierarchy:
    """Reader of the first part."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.joints: list[Joint] = []
        self.open: list[Joint | None] = []  # the blocks around the present line; None is an end site
        self.next: Joint | None = None  # what the next "{" opens
        self.waiting = False  # whether a "{" has to come

    def read(self, lines: list[tuple[int, str]]) -> tuple[Joint, ...]:
        for number, statement in _statements(lines):
            words = statement.split()
            kind = words[0].upper()
            if self.waiting != (kind == "{"):
                raise self._error(number, statement, "'{'" if self.waiting else "no '{' here")
            if kind == "{":
                self.open.append(self.next)
                self.waiting = False
            elif kind == "}":
                if not self.open:
                    raise self._error(number, statement, "no '}' without a '{'")
                self.open.pop()
            elif kind in ("ROOT", "JOINT", "END"):
                self._begin(number, statement, kind, " ".join(words[1:]))
            elif kind == "OFFSET":
                self._offset(number, statement, words[1:])
            elif kind == "CHANNELS":
                self._channels(number, statement, words[1:])
            else:
                raise self._error(number, statement, "ROOT, JOINT, End Site, OFFSET, CHANNELS, '{' or '}'")
        if self.open or self.waiting or not self.joints:
            raise RecordingError(f"{self.path}: HIERARCHY ends inside a joint, or has none; expected a closed ROOT")
        return tuple(self.joints)

    def _begin(self, number: int, statement: str, kind: str, name: str) -> None:
        inside = self.open[-1] if self.open else None
        self.waiting, self.next = True, None
        if kind == "ROOT" and (self.open or self.joints):
            raise self._error(number, statement, "one ROOT, the first joint: a file is about one person")
        if kind != "ROOT" and inside is None:
            raise self._error(number, statement, "a joint inside another one, and none in an end site")
        if kind == "END":
            return
        if not name or any(joint.name == name for joint in self.joints):
            raise self._error(number, statement, "a name of its own for each joint")
        parent = -1 if inside is None else next(k for k, joint in enumerate(self.joints) if joint is inside)
        self.next = Joint(name, parent)
        self.joints.append(self.next)

    def _offset(self, number: int, statement: str, words: list[str]) -> None:
        values = _numbers(words)
        if values is None or len(values) != 3 or not self.open:
            raise self._error(number, statement, "OFFSET and three numbers, inside a joint")
        inside = self.open[-1]
        if inside is not None:
            inside.offset = values
        elif (owner := self.open[-2]) is not None:
            owner.ends.append(values)

    def _channels(self, number: int, statement: str, words: list[str]) -> None:
        names = {name.lower(): name for name in CHANNELS}
        channels = tuple(names.get(word.lower(), "") for word in words[1:])
        joint = self.open[-1] if self.open else None
        right = bool(words) and words[0] == str(len(channels)) and "" not in channels
        if joint is None or not right or len(set(channels)) != len(channels):
            raise self._error(number, statement, f"CHANNELS, their number, and names of {', '.join(CHANNELS)}")
        joint.channels = channels

    def _error(self, number: int, found: str, expected: str) -> RecordingError:
        return RecordingError(f"{self.path}, line {number}: found '{found[:_SHOWN]}'; expected {expected}")


def _statements(lines: list[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    """Yield lines with their numbers; a brace is a statement of its own wherever it stands."""
    for number, line in lines:
        for piece in re.split(r"([{}])", line):
            if piece.strip():
                yield number, piece.strip()


def _motion(path: Path, lines: list[tuple[int, str]], channels: int) -> tuple[FloatArray, float]:
    """Read the second part: the numbers (frames, channels), and the frame time."""
    heads = [*lines[:2], (0, ""), (0, "")]
    count, seconds = _COUNT.fullmatch(heads[0][1]), _FRAME_TIME.fullmatch(heads[1][1])
    if count is None or seconds is None:
        number, found = heads[0] if count is None else heads[1]
        expected = "'Frames: N'" if count is None else "'Frame Time: seconds'"
        raise RecordingError(f"{path}, line {number}: found '{found[:_SHOWN]}' after MOTION; expected {expected}")
    step = _numbers([seconds[1]])
    if step is None or not LEAST_FRAME_TIME <= step[0] <= LARGEST_FRAME_TIME:
        raise RecordingError(
            f"{path}, line {heads[1][0]}: the frame time is {seconds[1][:_SHOWN]}; expected {LEAST_FRAME_TIME:g} to "
            f"{LARGEST_FRAME_TIME:g} s"
        )
    rows = lines[2:]
    if len(rows) != int(count[1]):
        raise RecordingError(f"{path}, line {heads[0][0]}: {count[1]} frames are announced, and {len(rows)} are there")
    values = np.empty((len(rows), channels))
    for k, (number, row) in enumerate(rows):
        found_values = _numbers(row.split())
        if found_values is None or len(found_values) != channels:
            said = "something that is no number" if found_values is None else f"{len(found_values)} numbers"
            raise RecordingError(f"{path}, line {number}: frame {k} has {said}; expected {channels} finite numbers")
        values[k] = found_values
    return values, float(step[0])


def _numbers(words: list[str]) -> FloatArray | None:
    """Convert to numbers; None if there is none, or something else among them."""
    try:
        values = np.array(words, dtype=np.float64)
    except ValueError:
        return None
    return values if values.size and np.isfinite(values).all() else None
