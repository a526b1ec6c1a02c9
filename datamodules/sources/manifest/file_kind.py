"""The true kind of a file, by its first bytes, where it is no text table as its name says."""

from __future__ import annotations

from pathlib import Path

_BYTES = 512
_KINDS = (
    (b"\x1f\x8b", "a packed file: let its name end with .gz"),
    (b"PK\x03\x04", "a zip archive or an Excel workbook: unpack it, or let its name end with .xlsx"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook (.xls): save it as .xlsx or CSV"),
    (b"PAR1", "a Parquet file: set format: parquet"),
    (b"\x93NUMPY", "a NumPy array: set format: npy"),
    (b"\x89HDF", "an HDF5 or MATLAB file: export it as CSV"),
    (b"MATLAB", "a MATLAB file: export it as CSV"),
    (b"%PDF", "a PDF document"),
    (b"version https://git-lfs", "a pointer of Git LFS and not the file itself: fetch it with 'git lfs pull'"),
    (b"\xff\xfe\x00\x00", "text in UTF-32: set csv.encoding: utf-32"),
    (b"\xff\xfe", "text in UTF-16: set csv.encoding: utf-16"),
    (b"\xfe\xff", "text in UTF-16: set csv.encoding: utf-16"),
)


def file_kind(path: Path) -> str:
    """For a message, e.g. "a packed file: let its name end with .gz"; "" where nothing is known against a table."""
    try:
        with path.open("rb") as file:
            begin = file.read(_BYTES)
    except OSError:
        return ""
    for magic, kind in _KINDS:
        if begin.startswith(magic):
            return kind
    if begin.lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        return "a web page or XML and no table"
    if begin and not begin.strip(b"\0"):
        return "nothing but zero bytes, as a loss of power leaves them, at its beginning"
    if len(begin) > 8 and set(begin[1:40:2]) == {0}:
        return "text in UTF-16: set csv.encoding: utf-16-le"
    if len(begin) > 8 and set(begin[0:40:2]) == {0}:
        return "text in UTF-16: set csv.encoding: utf-16-be"
    return ""
