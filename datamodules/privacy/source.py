"""A source under pseudonyms: whatever reads it sees neither names of people and recordings nor paths.

A source's own messages name files and cells of tables, so they are not passed on. What the build says itself about a
recording, by its pseudonym, is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from core.errors import MendableError
from datamodules.privacy.key import PrivacyError
from datamodules.privacy.pseudonyms import RECORDING, SUBJECT, TEXT, Pseudonyms, is_pseudonym
from datamodules.recording import FloatArray, FrameArray, Recording, RecordingError, VideoStream
from datamodules.sources.registry import Source, make_source

T = TypeVar("T")
_EXPLAIN = "the owner of the key sees it by python -m experiments.pseudonyms CONFIG --explain"
_CLOCK = "clock_"  # prefix of the only metadata that a build keeps


@dataclass(frozen=True)
class SourceInputs:
    """What a source is made of, in any process.

    Attributes:
        name: of the source.
        params: its settings.
        key: file of the key of pseudonyms; empty leaves names as they are.
    """

    name: str
    params: Mapping[str, Any] = field(default_factory=dict)
    key: str = ""

    def open(self) -> Source:
        """Make the source; under pseudonyms if there is a key.

        Raises:
            RecordingError: a file that it reads at once is unusable.
            ValueError: a setting is wrong.
        """
        if not self.key:
            return make_source(self.name, self.params)
        pseudonyms = Pseudonyms.of_file(self.key)
        try:
            source = quiet(f"source {self.name}", lambda: make_source(self.name, self.params))
        except RuntimeError as error:  # a setting of the wrong type
            raise RecordingError(str(error)) from None
        return PrivateSource(source, pseudonyms)

    def shown(self) -> dict[str, Any]:
        """Return the settings as they may be written down: without any text, where there is a key."""
        return hidden(dict(self.params), Pseudonyms.of_file(self.key)) if self.key else dict(self.params)

    def key_id(self) -> str:
        """Return what tells the key from others; empty without one."""
        return Pseudonyms.of_file(self.key).key_id if self.key else ""


def hidden(value: Any, pseudonyms: Pseudonyms) -> Any:
    """Replace every text in plain values by its pseudonym; names of settings, numbers and truth values stay."""

    def inner(part: Any) -> Any:
        if isinstance(part, str):
            return pseudonyms.of(TEXT, part) if part else part
        if isinstance(part, Mapping):
            return {inner(key): inner(each) for key, each in part.items()}
        return [inner(each) for each in part] if isinstance(part, list | tuple) else part

    return {key: inner(each) for key, each in value.items()} if isinstance(value, Mapping) else inner(value)


class PrivateSource(Source):
    """A source whose recordings, subjects and files go by pseudonyms.

    Args:
        source: the source, with names.
        pseudonyms: of the project.
    """

    def __init__(self, source: Source, pseudonyms: Pseudonyms) -> None:
        self._source, self._pseudonyms = source, pseudonyms
        self._names: dict[str, str] = {}

    def names(self) -> list[str]:
        """See :class:`Source`; in the order of pseudonyms."""
        if not self._names:
            self._names = self._pseudonyms.table(RECORDING, quiet("the list of recordings", self._source.names))
        return list(self._names)

    @property
    def pseudonyms(self) -> Pseudonyms:
        """What hides the names."""
        return self._pseudonyms

    def name_of(self, pseudonym: str) -> str:
        """Return the name behind a recording's pseudonym."""
        self.names()
        return self._names[pseudonym]

    def raw_files(self, name: str) -> list[Path]:
        """List the files behind a recording's pseudonym that the source lists: to be read, never to be shown.

        Raises:
            RecordingError: the source can't list them.
        """
        return quiet(name, lambda: self._source.files(self.name_of(name)))

    def load(self, name: str) -> Recording:
        """See :class:`Source`."""
        raw = self.name_of(name)
        return self._private(name, quiet(name, lambda: self._source.load(raw)))

    def subject_of(self, name: str) -> str | None:
        """See :class:`Source`."""
        found = self._source.subject_of(self.name_of(name))
        return None if found is None else self._subject(found)

    def fingerprint(self) -> str:
        """See :class:`Source`; keyed, so that nobody can try out what the files say."""
        found = self._source.fingerprint()
        return self._pseudonyms.of(TEXT, found) if found else ""

    def _subject(self, name: str) -> str:
        if is_pseudonym(name):
            raise PrivacyError(f"a subject is named like a pseudonym, {name}; turn privacy.pseudonyms off")
        return self._pseudonyms.of(SUBJECT, name)

    def _private(self, name: str, recording: Recording) -> Recording:
        return replace(
            recording,
            name=name,
            subject=self._subject(recording.subject),
            imus=tuple(replace(stream, origin=name) for stream in recording.imus),
            videos=tuple(_PrivateVideo(video, name) for video in recording.videos),
            metadata={
                key: value
                for key, value in recording.metadata.items()
                if key.startswith(_CLOCK) and not isinstance(value, str)
            },
        )


class _PrivateVideo:
    """A video whose file goes by the recording's pseudonym."""

    def __init__(self, video: VideoStream, name: str) -> None:
        self._video, self.origin = video, name

    @property
    def camera(self) -> str:
        return self._video.camera

    @property
    def decoder(self) -> str:
        return str(getattr(self._video, "decoder", ""))

    @property
    def decoder_reason(self) -> str:
        return str(getattr(self._video, "decoder_reason", ""))

    def frame_times(self) -> FloatArray:
        return quiet(self.origin, self._video.frame_times)

    def read(self, indices: NDArray[np.int64], height: int, width: int) -> Iterator[FrameArray]:
        frames = quiet(self.origin, lambda: self._video.read(indices, height, width))
        while True:
            frame = quiet(self.origin, lambda: next(frames, None))
            if frame is None:
                return
            yield frame


def quiet(name: str, act: Callable[[], T], remedy: str = _EXPLAIN) -> T:
    """Do something with a source; its errors lose their words, which may hold names and paths.

    Args:
        name: what a message may call it.
        act: what is done.
        remedy: how the owner of the key gets to know the words.

    Raises:
        RecordingError: what ``act`` raised can be mended.
        OSError: as ``act`` raised it, without the file.
        RuntimeError: anything else.
    """
    try:
        return act()
    except PrivacyError:
        raise
    except OSError as error:
        raise OSError(error.errno, error.strerror or type(error).__name__, name) from None
    except Exception as error:
        kind = RecordingError if isinstance(error, MendableError) else RuntimeError
        raise kind(
            f"{name}: can't be used ({type(error).__name__}); the message may hold names, so it is not kept: {remedy}"
        ) from None
