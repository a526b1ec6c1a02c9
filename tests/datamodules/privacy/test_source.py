"""A source under pseudonyms gives neither names nor paths away, in recordings and in errors."""

from __future__ import annotations

import dataclasses
import errno
import pickle
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from datamodules.privacy.key import PrivacyError, make_key
from datamodules.privacy.pseudonyms import RECORDING, SUBJECT, Pseudonyms, is_pseudonym
from datamodules.privacy.source import PrivateSource, SourceInputs, hidden
from datamodules.recording import ImuStream, Interval, Recording, RecordingError
from datamodules.sources.registry import Source

OURS = Pseudonyms(bytes(32))
PATH = "/studies/Wilhelmina/walk.csv"


class Video:
    camera, origin = "phone", PATH
    decoder, decoder_reason = "pyav", "an empty sample"

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error

    def frame_times(self) -> Any:
        return np.arange(3.0)

    def read(self, indices: Any, height: int, width: int) -> Iterator[Any]:
        for number in indices:
            if number == 2 and self.error is not None:
                raise self.error
            yield np.full((height, width, 3), number, np.uint8)


class Named(Source):
    """Two recordings of Wilhelmina; the second can't be used."""

    def __init__(self, error: Exception | None = None, subject: str = "Wilhelmina") -> None:
        self.error, self.subject = error, subject

    def names(self) -> list[str]:
        return ["Wilhelmina_1", "Wilhelmina_2"]

    def subject_of(self, name: str) -> str | None:
        return self.subject

    def fingerprint(self) -> str:
        return "digest of a manifest"

    def load(self, name: str) -> Recording:
        if name.endswith("2") and self.error is not None:
            raise self.error
        stream = ImuStream(np.arange(4.0), np.ones((4, 6)), "wrist", origin=PATH)
        return Recording(
            name,
            self.subject,
            (stream,),
            (Video(self.error),),
            (Interval(0, 1, "walk"),),
            metadata={"import_notes": f"{PATH}: row 3", "clock_known": 1.5, "clock_note": "of Wilhelmina"},
        )


def private(error: Exception | None = None) -> tuple[PrivateSource, str, str]:
    source = PrivateSource(Named(error), OURS)
    return source, OURS.of(RECORDING, "Wilhelmina_1"), OURS.of(RECORDING, "Wilhelmina_2")


def test_a_recording_has_no_name_and_no_path() -> None:
    source, first, second = private()
    assert sorted(source.names()) == source.names() == sorted([first, second])
    recording = source.load(first)
    assert recording.name == first
    assert recording.subject == source.subject_of(first) == OURS.of(SUBJECT, "Wilhelmina")
    shown = f"{recording} {[(v.origin, v.camera) for v in recording.videos]}"
    assert "Wilhelmina" not in shown
    assert "studies" not in shown
    assert recording.metadata == {"clock_known": 1.5}
    assert [interval.activity for interval in recording.activities] == ["walk"]
    np.testing.assert_array_equal(recording.imus[0].values, np.ones((4, 6)))


def test_a_video_is_the_same_video() -> None:
    source, first, _ = private()
    (video,) = source.load(first).videos
    frames = list(video.read(np.array([0, 2]), 2, 2))
    assert [int(frame[0, 0, 0]) for frame in frames] == [0, 2]
    assert getattr(video, "decoder", "") == "pyav"


@pytest.mark.parametrize(
    "error",
    [
        RecordingError(f"{PATH}: row 3"),
        ValueError(f"{PATH}: a bug"),
        KeyError("Wilhelmina"),
        FileNotFoundError(errno.ENOENT, "No such file", PATH),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("act", ["load", "read"])
def test_errors_lose_their_words(error: Exception, act: str) -> None:
    source, first, second = private(error)

    def read() -> list[Any]:
        return list(source.load(first).videos[0].read(np.array([0, 2]), 2, 2))

    failing: Callable[[], Any] = read if act == "read" else lambda: source.load(second)
    with pytest.raises((RecordingError, OSError, RuntimeError)) as raised:
        failing()
    said = "".join(traceback.format_exception(raised.value))
    assert "Wilhelmina" not in said.replace(__file__, "")
    assert "/studies" not in said
    assert (first if act == "read" else second) in said
    mendable = isinstance(error, RecordingError | OSError)
    assert isinstance(raised.value, type(error)) if mendable else isinstance(raised.value, RuntimeError)


def test_a_subject_named_like_a_pseudonym_is_refused() -> None:
    source = PrivateSource(Named(subject="s-" + "a" * 20), OURS)
    with pytest.raises(PrivacyError, match="named like a pseudonym"):
        source.load(source.names()[0])


def test_the_fingerprint_of_files_is_keyed() -> None:
    source, _, _ = private()
    other = PrivateSource(Named(), Pseudonyms(bytes([1] * 32)))
    assert is_pseudonym(source.fingerprint())
    assert source.fingerprint() != other.fingerprint()


def test_settings_of_a_source_are_shown_without_texts(tmp_path: Path) -> None:
    make_key(tmp_path / "the.key")
    params = {"path": PATH, "people": 3, "ok": True, "names": {"Wilhelmina": ["a", 1.5]}, "empty": ""}
    inputs = SourceInputs("manifest", params, str(tmp_path / "the.key"))
    shown = inputs.shown()
    assert (shown["people"], shown["ok"], shown["empty"]) == (3, True, "")
    assert "Wilhelmina" not in str(shown)
    assert hidden(shown, Pseudonyms.of_file(tmp_path / "the.key")) == shown  # hiding twice changes nothing
    assert dataclasses.replace(inputs, key="").shown() == params
    assert pickle.loads(pickle.dumps(inputs)) == inputs


def test_a_source_that_cant_be_opened_keeps_its_words_to_itself(tmp_path: Path) -> None:
    make_key(tmp_path / "the.key")
    inputs = SourceInputs("manifest", {"path": "Wilhelmina.yaml"}, str(tmp_path / "the.key"))
    with pytest.raises(RecordingError, match="source manifest: can't be used") as raised:
        inputs.open()
    assert "Wilhelmina" not in str(raised.value)
