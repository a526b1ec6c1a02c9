"""How encoders are named, found and built.

An encoder is one file in ``encoders/imu`` or ``encoders/video``: a dataclass of its settings and a
class::

    @dataclass
    class MyParams:
        width: int = 64

    @imu_encoder("my_net", MyParams)
    class MyNet(ImuEncoder):
        def __init__(self, params: MyParams, imu_input: ImuInput) -> None: ...

It is found by its name; nothing else has to be edited. A video encoder is made from its settings alone, and a
video head (``@video_head``) from its settings and the width of the frame features. Encoders that live in
another package are found through the entry point groups ``imu_video_har.imu_encoders``,
``imu_video_har.video_encoders`` and ``imu_video_har.video_heads`` (each naming a module that registers them),
or simply by importing that module.
"""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from importlib.metadata import entry_points
from typing import Any, Generic, TypeVar, cast

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from encoders.contract import ImuEncoder, ImuInput, VideoEncoder, VideoHead

T = TypeVar("T")
C = TypeVar("C", bound=type)


class UnknownNameError(ValueError):
    """A name or key that doesn't exist; the message says what was probably meant and lists all valid ones."""


def unknown_name(what: str, found: str, valid: Iterable[str]) -> UnknownNameError:
    """The error for a name that is none of ``valid``; ``what`` says what it was to name."""
    names = sorted(valid)
    close = difflib.get_close_matches(found, names, n=1)
    hint = f" Did you mean '{close[0]}'?" if close else ""
    return UnknownNameError(f"there is no {what} '{found}'.{hint} Valid: {', '.join(names) or 'none'}")


def merge_params(what: str, settings: type[T], params: Mapping[str, Any]) -> T:
    """Merge ``params`` into the defaults of the dataclass ``settings``.

    Args:
        what: whose settings they are, for messages.
        settings: the dataclass.
        params: some of its fields; an OmegaConf node will do.

    Returns:
        An instance of it, with plain lists and dicts.

    Raises:
        UnknownNameError: there is no such setting.
        ValueError: a setting has a value of the wrong type.
    """
    valid = {field.name for field in fields(settings)}  # type: ignore[arg-type]
    for key in params:
        if key not in valid:
            raise unknown_name(f"setting of {what} called", str(key), valid)
    try:
        merged = OmegaConf.merge(OmegaConf.structured(settings), OmegaConf.create(dict(params)))
    except OmegaConfBaseException as error:
        reason = (error.msg or str(error)).splitlines()[0]
        raise ValueError(f"{what}, setting '{error.full_key}': {reason}") from error
    return cast(T, OmegaConf.to_object(merged))


@dataclass(frozen=True)
class Entry(Generic[T]):
    """A registered part: its name, the dataclass of its settings, and the class that is made from them."""

    name: str
    params: type
    create: Callable[..., T]


class Registry(Generic[T]):
    """Named parts of one kind, found in the files of ``package``."""

    def __init__(self, kind: str, package: str, entry_point_group: str) -> None:
        self.kind = kind
        self.package = package
        self.entry_point_group = entry_point_group
        self._entries: dict[str, Entry[T]] = {}

    def register(self, name: str, params: type) -> Callable[[C], C]:
        """Class decorator that registers a part under ``name``.

        Raises:
            ValueError: another class has that name already.
        """

        def decorate(cls: C) -> C:
            known = self._entries.get(name)
            if known is not None and _identity(known.create) != _identity(cls):
                raise ValueError(f"two {self.kind}s are named '{name}': {known.create} and {cls}")
            self._entries[name] = Entry(name, params, cls)
            return cls

        return decorate

    def entries(self) -> dict[str, Entry[T]]:
        """All parts by name; imports the files and the entry points that may hold some first."""
        package = importlib.import_module(self.package)
        for module in pkgutil.iter_modules(package.__path__):
            importlib.import_module(f"{self.package}.{module.name}")
        for point in entry_points(group=self.entry_point_group):
            point.load()
        return dict(sorted(self._entries.items()))

    def entry(self, name: str) -> Entry[T]:
        """The part called ``name``.

        Raises:
            UnknownNameError: there is none.
        """
        entries = self.entries()
        if name not in entries:
            raise unknown_name(self.kind, name, entries)
        return entries[name]

    def params(self, name: str, params: Mapping[str, Any]) -> Any:
        """Merge ``params`` into the defaults of the part called ``name``.

        Returns:
            An instance of that part's dataclass, with plain lists and dicts.

        Raises:
            UnknownNameError: there is no such part, or it has no such setting.
            ValueError: a setting has a value of the wrong type.
        """
        return merge_params(f"{self.kind} '{name}'", self.entry(name).params, params)

    def build(self, name: str, params: Mapping[str, Any], *arguments: Any) -> T:
        """Make the part called ``name`` from ``params`` and what else its kind is made from."""
        return self.entry(name).create(self.params(name, params), *arguments)


def _identity(cls: Any) -> tuple[str, str]:
    # A module that is imported again (a reload, a notebook) defines the same class anew: that is no clash.
    return cls.__module__, cls.__qualname__


IMU_ENCODERS: Registry[ImuEncoder] = Registry("IMU encoder", "encoders.imu", "imu_video_har.imu_encoders")
VIDEO_ENCODERS: Registry[VideoEncoder] = Registry("video encoder", "encoders.video", "imu_video_har.video_encoders")
VIDEO_HEADS: Registry[VideoHead] = Registry("video head", "encoders.video", "imu_video_har.video_heads")


def imu_encoder(name: str, params: type) -> Callable[[C], C]:
    """Register an IMU encoder: a class made from ``(params, imu_input)``."""
    return IMU_ENCODERS.register(name, params)


def video_encoder(name: str, params: type) -> Callable[[C], C]:
    """Register a video encoder: a class made from ``(params)``."""
    return VIDEO_ENCODERS.register(name, params)


def video_head(name: str, params: type) -> Callable[[C], C]:
    """Register a video head: a class made from ``(params, frame_width)``."""
    return VIDEO_HEADS.register(name, params)


def imu_encoders() -> dict[str, Entry[ImuEncoder]]:
    """All IMU encoders by name."""
    return IMU_ENCODERS.entries()


def video_encoders() -> dict[str, Entry[VideoEncoder]]:
    """All video encoders by name."""
    return VIDEO_ENCODERS.entries()


def video_heads() -> dict[str, Entry[VideoHead]]:
    """All video heads by name."""
    return VIDEO_HEADS.entries()


def build_imu_encoder(name: str, params: Mapping[str, Any], imu_input: ImuInput) -> ImuEncoder:
    """Build the IMU encoder called ``name`` for windows of the shape ``imu_input``.

    Raises:
        UnknownNameError: no such encoder, or it has no such setting; says what was probably meant.
        ValueError: a setting's value doesn't fit.
    """
    return IMU_ENCODERS.build(name, params, imu_input)


def build_video_encoder(name: str, params: Mapping[str, Any]) -> VideoEncoder:
    """Build the video encoder called ``name``; raises as ``build_imu_encoder`` does."""
    return VIDEO_ENCODERS.build(name, params)


def build_video_head(name: str, params: Mapping[str, Any], frame_width: int) -> VideoHead:
    """Build the video head called ``name`` for frame features of ``frame_width``; raises as the others do."""
    return VIDEO_HEADS.build(name, params, frame_width)
