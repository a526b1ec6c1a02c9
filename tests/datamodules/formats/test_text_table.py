from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from datamodules.formats.text_table import parse_integers, read_lines
from datamodules.recording import RecordingError


def parse(path: Path, columns: int = 2) -> Any:
    return parse_integers(path, read_lines(path), columns, str.split)


@pytest.mark.parametrize("text", ["1 2\n-3 4\n", "1 2\r\n-3 4\r\n", "\n 1\t2 \n\n\n-3  4", "1 2\n-3 4\n \n\n"])
def test_blanks_and_line_ends_do_not_matter(tmp_path: Path, text: str) -> None:
    path = tmp_path / "table.txt"
    path.write_bytes(text.encode())
    np.testing.assert_array_equal(parse(path), [[1, 2], [-3, 4]])


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "there is nothing in it"),
        (b"\n \r\n", "there is nothing in it"),
        (b"1 2\n\xff\xd8", "not a text file: byte 4 is 0xff"),
        (b"1 2\n\n3\n", "line 3: 1 columns in '3'; expected 2"),
        (b"1 2\n3 4 5\n", "line 2: 3 columns in '3 4 5'; expected 2"),
        (b"1 2\n3 4.5\n", "line 2: '3 4.5'; expected 2 whole numbers"),
        (b"1 2\nnan 4\n", "line 2: 'nan 4'; expected 2 whole numbers"),
        (b"1 2\n3 99999999999999999999\n", "does not fit 64 bits"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "table.txt"
    path.write_bytes(content)
    with pytest.raises(RecordingError, match=says) as caught:
        parse(path)
    assert str(caught.value).startswith(str(path))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"away\.txt: not there"):
        read_lines(tmp_path / "away.txt")
