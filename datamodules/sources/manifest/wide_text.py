"""Text in UTF-16 or UTF-32 as UTF-8, also where it is cut off within a character, or a byte was lost in it.

A lost byte puts everything behind it out of step: each character then has a zero as its lower byte, which no text has
four times in a row. One byte further it is in step again; what stands there says that the line is damaged.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from datamodules.recording import RecordingError

SLIP = b"\0\0\x1a\0\0"  # stands where a byte was lost; zero bytes are in no row
_READ = 1 << 20
_HELD = 16  # characters that are kept for the next block: what is out of step shows in four characters
_OUT_OF_STEP = re.compile("[\u0900\u0a00\u0d00" + "".join(chr(c << 8) for c in range(0x20, 0x7F)) + "]{4}")
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # begins like the one of UTF-16
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_LOOKED_AT = 64


def width_of(encoding: str) -> int:
    """Bytes of a plain character: 2 and 4 for UTF-16 and UTF-32, 1 for others."""
    name = codecs.lookup(encoding).name.replace("_", "-")
    return 2 if name.startswith("utf-16") else 4 if name.startswith("utf-32") else 1


def as_utf8(path: Path, file: BinaryIO, encoding: str) -> Iterator[bytes]:
    """The file's text in UTF-8, piece by piece; a character that is cut off at the end is left out.

    Args:
        path: of the file, for messages.
        file: its bytes, opened.
        encoding: one that ``width_of`` says is wide.

    Raises:
        RecordingError: the bytes are no such text.
    """
    width, held = width_of(encoding), file.read(_READ)
    name = codecs.lookup(encoding).name.replace("_", "-")
    mark, own = next(((m, n) for m, n in _MARKS if held.startswith(m) and n.startswith(name[:6])), (b"", ""))
    codec = own or (name if name.endswith(("le", "be")) else f"{name}-le")
    held = held[len(mark) :]
    if not mark and held and 0 not in held[:_LOOKED_AT]:
        raise RecordingError(f"{path}: not {encoding}: no character at its beginning takes {width} bytes")
    ended = False
    while not ended:
        more = file.read(_READ)
        ended = not more
        held += more
        text = held[: len(held) // width * width].decode(codec, "surrogatepass" if width == 2 else "replace")
        slip = _OUT_OF_STEP.search(text) if width == 2 else None
        if slip is not None:
            text, ended = text[: slip.start()], False
        elif not ended:
            text = text[: max(0, len(text) - _HELD)]
            text = text[:-1] if "\ud800" <= text[-1:] < "\udc00" else text  # half of a pair
        yield text.encode("utf-8", "replace") + SLIP * (slip is not None)
        held = held[len(text.encode(codec, "surrogatepass")) + (slip is not None) :]
