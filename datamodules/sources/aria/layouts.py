"""Layout of a stream's records, which a VRS file describes as JSON in the stream's texts.

``DL:Data:2:0`` holds the fields of data records of version 2, ``RF:Data:2`` the parts and sizes of these records
(https://github.com/facebookresearch/vrs, ``DataLayout.h``, ``RecordFormat.h``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from core.bounds import parse_json
from datamodules.formats.vrs import StreamId
from datamodules.recording import RecordingError

_TYPES = {
    "Bool": "?", "char": "S1", "double": "<f8", "float": "<f4", "int64_t": "<i8", "uint64_t": "<u8", "int32_t": "<i4",
    "uint32_t": "<u4", "int16_t": "<i2", "uint16_t": "<u2", "int8_t": "<i1", "uint8_t": "u1",
}  # fmt: skip
_FIXED = re.compile(r"DataPiece(Value|Array)<(\w+)>")
_SIZE = re.compile(r"data_layout/size=(\d+)(?:\+(.+))?")


def data_layout(
    path: Path, stream: StreamId, tags: Mapping[str, str], version: int, needed: Mapping[str, tuple[str, int]]
) -> tuple[np.dtype[np.void], str]:
    """Read the layout of the needed fields of a stream's data records.

    Args:
        path: the file, for messages.
        stream: the stream.
        tags: texts of the stream.
        version: version of the data records.
        needed: field -> its type in VRS, and the number of values.

    Returns:
        A dtype with the length of a record's fixed part, and the kind of content behind this part, e.g. "image/jpg".

    Raises:
        RecordingError: the description has another form, or lacks a field.
    """
    where = f"{path}, stream {stream[0]}-{stream[1]}"
    form = tags.get(f"RF:Data:{version}", "")
    size = _SIZE.fullmatch(form)
    if size is None:
        raise RecordingError(f"{where}: records of version {version} are '{form}'; expected 'data_layout/size=...'")
    try:
        fields = parse_json(tags.get(f"DL:Data:{version}:0", ""))["data_layout"]
        found = {field["name"]: field for field in fields}
    except (ValueError, KeyError, TypeError) as error:
        raise RecordingError(f"{where}: its layout of version {version} can't be read: {error!r}") from error
    names, formats, offsets = [], [], []
    for name, (kind, count) in needed.items():
        field = found.get(name)
        if field is None:
            raise RecordingError(f"{where}: no field '{name}' in its records (there are: {', '.join(sorted(found))})")
        offset = _check_field(where, field, kind, count, int(size[1]))
        names.append(name)
        formats.append((_TYPES[kind], (count,)) if count > 1 else _TYPES[kind])
        offsets.append(offset)
    layout: Any = {"names": names, "formats": formats, "offsets": offsets, "itemsize": int(size[1])}
    return np.dtype(layout), size[2] or ""


def _check_field(where: str, field: Mapping[str, Any], kind: str, count: int, size: int) -> int:
    text, offset, length = str(field.get("type")), field.get("offset"), field.get("size", 1)
    match = _FIXED.fullmatch(text)
    fits = isinstance(offset, int) and 0 <= offset <= size - count * np.dtype(_TYPES[kind]).itemsize
    if match is None or match[2] != kind or length != count or not fits:
        raise RecordingError(
            f"{where}: the field '{field['name']}' is {text} x {length} at byte {offset} of {size}; "
            f"expected {kind} x {count}"
        )
    assert isinstance(offset, int)
    return offset
