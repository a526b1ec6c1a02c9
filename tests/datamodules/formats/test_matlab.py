"""MATLAB files: what SciPy reads of whole ones; words, never a crash, for damaged ones."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.real_data import real_data
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.io import loadmat, savemat

from datamodules.formats.matlab import numbers, read_mat
from datamodules.recording import RecordingError

SHARED_DIRECTORY = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
NUMBERS = ["f8", "f4", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"]


def saved(path: Path, compress: bool = True, **variables: Any) -> Path:
    savemat(path, variables, do_compression=compress)
    return path


@SHARED_DIRECTORY
@given(
    values=st.sampled_from(NUMBERS).flatmap(
        lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=2, max_dims=4, min_side=0, max_side=5))
    ),
    compress=st.booleans(),
)
def test_numbers_are_what_was_saved(tmp_path: Path, values: np.ndarray, compress: bool) -> None:
    found = read_mat(saved(tmp_path / "a.mat", compress, x=values))["x"]
    assert found.dtype == values.dtype
    np.testing.assert_array_equal(found, values)  # exactly: bytes are copied


@SHARED_DIRECTORY
@given(text=st.text(st.characters(max_codepoint=0x2000, exclude_categories=("Cs", "Cc")), min_size=1, max_size=12))
def test_text_is_what_was_saved(tmp_path: Path, text: str) -> None:
    path = saved(tmp_path / "a.mat", x=text)
    assert read_mat(path)["x"].tolist() == [text.rstrip(" ")]


def test_rows_of_text_and_truth(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.mat", rows=np.array(["one", "three"]), truth=np.array([[True, False]]))
    content = read_mat(path)
    assert content["rows"].tolist() == ["one", "three"]
    assert content["truth"].dtype == np.bool_
    assert content["truth"].tolist() == [[True, False]]


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ({"a": 1.0}, "struct"),
        (np.array([[1, "a"]], object), "cell array"),
        (np.array([[1j]]), "complex array"),
    ],
)
def test_other_classes_are_named(tmp_path: Path, value: Any, name: str) -> None:
    path = saved(tmp_path / "a.mat", x=value, after=np.eye(2))
    content = read_mat(path)
    np.testing.assert_array_equal(content["after"], np.eye(2))
    with pytest.raises(RecordingError, match=rf"a\.mat: x is a {name}; expected numbers \(N, 6\)"):
        numbers(path, content, "x", 6)


def element(kind: int, data: bytes, order: str = ">") -> bytes:
    return struct.pack(order + "II", kind, len(data)) + data + b"\0" * (-len(data) % 8)


def test_the_other_byte_order(tmp_path: Path) -> None:
    """A file as a big-endian machine writes it, from the published format."""
    values = np.arange(6.0).reshape(2, 3)
    matrix = (
        element(6, struct.pack(">II", 6, 0))
        + element(5, struct.pack(">ii", 2, 3))
        + struct.pack(">HH4s", 1, 1, b"x\0\0\0")  # a small element: size, type, data
        + element(9, values.astype(">f8").tobytes(order="F"))
    )
    header = b"MATLAB 5.0".ljust(124) + b"\x01\x00MI"
    path = tmp_path / "a.mat"
    path.write_bytes(header + element(14, matrix))
    np.testing.assert_array_equal(read_mat(path)["x"], values)


def test_strings_and_tables_of_matlab_are_named(tmp_path: Path) -> None:
    """Such a variable has no shape: flags, name, type system, class, and what SciPy and this reader leave alone."""
    inner = element(6, struct.pack("<II", 13, 0), "<") + element(5, struct.pack("<ii", 1, 1), "<")
    inner += element(1, b"", "<") + element(6, struct.pack("<I", 7), "<")
    opaque = b"".join(element(1, text, "<") for text in (b"when", b"MCOS", b"datetime"))
    opaque = element(6, struct.pack("<II", 17, 0), "<") + opaque + element(14, inner, "<")
    path = saved(tmp_path / "a.mat", compress=False, x=np.eye(6))
    path.write_bytes(path.read_bytes() + element(14, opaque, "<"))
    by_scipy = loadmat(path)  # of the bytes made here; from version 1.18 on, such a variable has its name
    assert "when" in by_scipy or by_scipy["None"]["s0"].tolist() == [b"when"]
    content = read_mat(path)
    np.testing.assert_array_equal(numbers(path, content, "x", 6), np.eye(6))
    with pytest.raises(RecordingError, match=r"a\.mat: when is a MATLAB object; expected numbers"):
        numbers(path, content, "when", 6)


def test_a_shape_without_signs(tmp_path: Path) -> None:
    """Some programs write shapes so, and SciPy reads them."""
    path = saved(tmp_path / "a.mat", compress=False, x=np.eye(6))
    content = path.read_bytes()
    signed, unsigned = (struct.pack("<IIii", kind, 8, 6, 6) for kind in (5, 6))
    assert content.count(signed) == 1
    path.write_bytes(content.replace(signed, unsigned))
    np.testing.assert_array_equal(loadmat(path)["x"], np.eye(6))
    np.testing.assert_array_equal(read_mat(path)["x"], np.eye(6))


def test_no_text_is_text(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.mat", x=np.empty((0, 0), "U1"))
    assert read_mat(path)["x"].dtype.kind == "U"
    assert read_mat(path)["x"].tolist() == []


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"MATLAB", "truncated: 6 bytes are less than a header"),
        (b"\x89HDF\r\n\x1a\n".ljust(200), r"version 7\.3; save it with save\(\.\.\., '-v7'\)"),
        (b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM", r"version 7\.3"),
        (b"0.1,0.2,0.3\n" * 20, "doesn't begin as versions 5 to 7 do"),
    ],
)
def test_no_such_file(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "a.mat"
    path.write_bytes(content)
    with pytest.raises(RecordingError, match=words):
        read_mat(path)


def test_a_shape_that_its_bytes_do_not_fill(tmp_path: Path) -> None:
    """No memory is taken for what a damaged size asks for."""
    path = saved(tmp_path / "a.mat", compress=False, x=np.zeros((20, 6)))
    content = path.read_bytes()
    shape = struct.pack("<ii", 20, 6)
    assert content.count(shape) == 1
    path.write_bytes(content.replace(shape, struct.pack("<ii", 2**30, 2**30)))
    with pytest.raises(RecordingError, match="960 bytes of float64 for an array of shape"):
        read_mat(path)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), compress=st.booleans())
def test_damage_is_refused_or_harmless(tmp_path: Path, data: st.DataObject, compress: bool) -> None:
    """SciPy's reader crashes the process on some of these."""
    path = saved(tmp_path / "a.mat", compress, text="Subject1", x=np.arange(60.0).reshape(10, 6))
    content = path.read_bytes()
    at = data.draw(st.integers(128, len(content)))
    cut = data.draw(st.sampled_from([0, 1, 4, 8, 100]))
    put = data.draw(st.binary(max_size=12))
    path.write_bytes(content[:at] + put + content[at + cut :])
    try:
        words = ""
        found = read_mat(path)
    except RecordingError as error:
        words, found = str(error), {}
    assert words.startswith(str(path)) or not words
    assert len(words) < 500
    assert all(isinstance(value, np.ndarray) for value in found.values())


def test_a_published_file_is_read_as_scipy_reads_it() -> None:
    paths = sorted(real_data("utd-mhad/inertial").glob("*.mat"))
    for path in paths[:20]:
        np.testing.assert_array_equal(read_mat(path)["d_iner"], loadmat(path)["d_iner"])
