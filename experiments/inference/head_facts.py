"""Facts of a head as ``head.json`` has them: all that is known of it without its numbers, and without torch.

A command that leaves scoring to other processes needs no more, and saves the 300 MB that torch takes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.digest import digest_of
from datamodules.handcrafted import FEATURE_NAMES
from datamodules.privacy.pseudonyms import is_pseudonym
from datamodules.windows.settings import WindowSettings
from experiments.inference.errors import InferenceError
from experiments.inference.json_files import ENCODER, HEAD, check_seal, read_json, settings_of
from experiments.inference.parts import on_a_grid

FORMAT = "imu-video-har head 1"

# Method of the evaluation -> blocks of features, in the order of the head's numbers.
BLOCKS = {
    "hybrid_logistic": ("handcrafted", "pretrained"),
    "linear_probe": ("pretrained",),
    "handcrafted_logistic": ("handcrafted",),
}


@dataclass(frozen=True)
class HeadFacts:
    """A head without its numbers; see :class:`experiments.inference.head.Head`.

    Attributes:
        method: that it was fitted by, a key of ``BLOCKS``.
        classes: activities.
        temperature: that logits are divided by.
        clip: largest standardised feature, infinite without a limit.
        window: settings that windows are cut with.
        gyroscope: False masks the gyroscope, as in the study.
        numbers: SHA-256 of the file of its numbers.
        encoder: digests of its encoder; None without.
        about: data, people, estimate and more.
    """

    method: str
    classes: tuple[str, ...]
    temperature: float
    clip: float
    window: WindowSettings
    gyroscope: bool
    numbers: Any
    encoder: Any
    about: Mapping[str, Any]

    @property
    def private(self) -> bool:
        """Whether the people of its study go by pseudonyms."""
        return is_private(self.about)

    @property
    def grid(self) -> WindowSettings:
        """Settings for recordings of any length: windows one behind the other."""
        return on_a_grid(self.window)


def is_private(about: Mapping[str, Any]) -> bool:
    """Say whether the people of a head's study go by pseudonyms."""
    return any(is_pseudonym(str(name)) for name in about.get("subjects", ()))


def read_facts(folder: Path) -> HeadFacts:
    """Read ``head.json``.

    Raises:
        InferenceError: it is missing or damaged; one sentence says what is wrong.
    """
    path = folder / HEAD
    if not folder.is_dir():
        raise InferenceError(f"{folder}: there is no such folder; expected one that experiments.adapt wrote")
    content = read_json(path, "the description of a head, which experiments.adapt writes")
    if content.get("format") != FORMAT:
        raise InferenceError(f"{path}: its format is {content.get('format')!r}; expected '{FORMAT}'")
    try:
        method, classes = content["method"], content["classes"]
        temperature, clip = float(content["temperature"]), content["clip"]
        window, gyroscope = settings_of(content["window"], path), content["gyroscope"] is not False
        numbers, encoder, about = content["numbers"], content["encoder"], dict(content["about"])
        features = content["handcrafted"]
    except KeyError as error:
        raise InferenceError(f"{path}: damaged: {error} is missing") from error
    except (TypeError, ValueError, OverflowError) as error:
        raise InferenceError(f"{path}: damaged: {error}") from error
    _check_plain(path, method, classes, temperature, clip)
    if "handcrafted" in BLOCKS[method] and features != digest_of(list(FEATURE_NAMES)):
        raise InferenceError(
            f"{path}: it was fitted on other handcrafted features than this version computes; adapt again"
        )
    check_seal(content, path)
    limit = float("inf") if clip is None else float(clip)
    return HeadFacts(method, tuple(classes), temperature, limit, window, gyroscope, numbers, encoder, about)


def incomplete_of(folder: Path, facts: HeadFacts) -> str:
    """Say how far the training of a head's encoder came, e.g. ``step 7 of 1,400``; empty if to its end, or without.

    Raises:
        InferenceError: the encoder's description is missing or damaged.
    """
    if facts.encoder is None:
        return ""
    path = folder / ENCODER / "config.json"
    content = read_json(path, "the description of an encoder")
    check_seal(content, path)
    return str(content.get("incomplete", ""))


def _check_plain(path: Path, method: Any, classes: Any, temperature: float, clip: Any) -> None:
    if not isinstance(method, str) or method not in BLOCKS:
        raise InferenceError(f"{path}: its method is {method!r}; expected one of {', '.join(BLOCKS)}")
    names = isinstance(classes, list) and all(isinstance(name, str) and name for name in classes)
    if not names or len(set(classes)) != len(classes) or len(classes) < 2:
        raise InferenceError(f"{path}: damaged: expected 'classes', at least two names, each once")
    if not 0 < temperature < float("inf"):
        raise InferenceError(f"{path}: damaged: temperature is {temperature}; expected a number above 0")
    if clip is not None and not (isinstance(clip, int | float) and 0 < clip < 1e300):
        raise InferenceError(f"{path}: damaged: clip is {clip!r}; expected a number above 0")
