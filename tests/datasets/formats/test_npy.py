"""NPY files are read as NumPy reads them, and whatever is wrong with one is one kind of error."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nnscratch.datasets.formats.npy import read_npy, read_npy_header
from nnscratch.errors import DataError


def npy(array: Any, version: tuple[int, int] | None = None, allow_pickle: bool = False) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.asarray(array), version, allow_pickle)
    return buffer.getvalue()


def read(contents: bytes) -> np.ndarray[Any, Any]:
    return read_npy(io.BytesIO(contents), len(contents), "x")


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype="<f4").reshape(2, 3),
        np.arange(6, dtype=">i2"),
        np.asfortranarray(np.arange(24.0).reshape(2, 3, 4)),
        np.array(3, np.uint8),
        np.zeros((0, 5), np.float16),
        np.array([True, False]),
        np.array(["cat", "Käfer"]),
        np.array([b"cat"]),
    ],
    ids=lambda array: f"{array.dtype}{array.shape}",
)
@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_what_numpy_writes_comes_back(array: np.ndarray[Any, Any], version: tuple[int, int]) -> None:
    found = read(npy(array, version))
    assert (found.dtype, found.shape) == (array.dtype, array.shape)
    np.testing.assert_array_equal(found, array)


def test_headers_of_python_2_and_of_other_writers_are_read() -> None:
    for text in (
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2L, 3L), }",
        "{'shape':(2,3),'fortran_order':False,'descr':'<f4'}\n",
        '{"descr": "<f4", "fortran_order": False, "shape": (2, 3)}',
    ):
        contents = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode() + bytes(24)
        assert read(contents).shape == (2, 3)


def test_every_flipped_bit_of_a_header_is_an_array_or_one_kind_of_error() -> None:
    contents = npy(np.arange(32 * 32 * 3, dtype=np.uint8).reshape(1, 32, 32, 3))
    refused = 0
    for bit in range(8 * 128):
        spoiled = bytearray(contents)
        spoiled[bit // 8] ^= 1 << bit % 8
        try:
            read_npy_header(io.BytesIO(spoiled), "x")
        except DataError as error:
            assert str(error).startswith("x: ")  # noqa: PT017  (any other error fails the test)
            refused += 1
    assert refused > 500


@given(st.binary(max_size=80), st.integers(0, 127))
@example(b"\t", 64)  # in the place of a size
@settings(max_examples=300, deadline=None)
def test_noise_in_a_header_is_an_array_or_one_kind_of_error(noise: bytes, place: int) -> None:
    contents = npy(np.zeros((2, 3), np.float32))
    try:
        read(contents[:place] + noise + contents[place + len(noise) :])
    except DataError as error:
        assert str(error).startswith("x: ")  # noqa: PT017  both ends are allowed, this is one of them


@pytest.mark.parametrize(
    ("contents", "reason"),
    [
        (b"", "not a NumPy array"),
        (npy(np.zeros(3))[:-1], "its header says 24 bytes of numbers, there are 23"),
        (npy(np.zeros(3)) + b"0", "its header says 24 bytes of numbers, there are 25"),
        (npy(np.zeros(3))[:40], "ends within its header"),
        (npy(np.array([object()]), allow_pickle=True), "refused: an array of object holds pickled"),
        (npy(np.zeros(3, [("a", "<f4"), ("b", "<i4")])), "an array of records"),
        (npy(np.zeros(3, "<M8[s]")), r"an array of <M8\[s\], not of numbers or text"),
        (b"\x93NUMPY\x09\x00", r"NPY format \(9, 0\) is not read"),
        (b"\x93NUMPY\x02\x00\xff\xff\xff\xff", "its header has 4,294,967,295 bytes"),
    ],
)
def test_what_is_no_array_of_numbers_is_refused_by_its_reason(contents: bytes, reason: str) -> None:
    with pytest.raises(DataError, match=f"x: .*{reason}"):
        read(contents)


def test_memory_is_not_taken_for_numbers_that_are_not_there() -> None:
    text = f"{{'descr': '<f8', 'fortran_order': False, 'shape': ({1 << 42},), }}".encode()
    contents = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text
    with pytest.raises(DataError, match="bytes of numbers, there are 0"):
        read(contents)
