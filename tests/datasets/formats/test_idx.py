from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from nnscratch.datasets.formats.idx import idx_bytes, read_idx
from nnscratch.errors import DataError

ARRAYS = arrays(np.uint8, array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=5))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(ARRAYS, st.booleans())
def test_what_is_written_is_read_back_raw_or_compressed(tmp_path: Path, array: np.ndarray, compress: bool) -> None:
    file = tmp_path / "file"
    file.write_bytes(gzip.compress(idx_bytes(array)) if compress else idx_bytes(array))
    read = read_idx(file, array.ndim)
    assert read.dtype == np.uint8
    assert read.shape == array.shape
    assert np.array_equal(read, array)


def test_the_header_of_the_publisher_is_understood(tmp_path: Path) -> None:
    file = tmp_path / "labels"
    file.write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 8, 9]))
    assert read_idx(file, 1).tolist() == [7, 8, 9]


GOOD = idx_bytes(np.arange(24, dtype=np.uint8).reshape(2, 3, 4))
PACKED = gzip.compress(GOOD, mtime=0)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "cut short"),
        (GOOD[:3], "cut short"),
        (GOOD[:10], "cut short in its header"),
        (GOOD[:-1], "only 23"),
        (GOOD + b"x", "has more"),
        (b"\x00\x00\x08\x01" + GOOD[4:], "wrong magic number 2049, expected 2051"),
        (struct.pack(">4I", 2051, 2**32 - 1, 2**32 - 1, 9), "promises .* bytes; at most"),
        (struct.pack(">4I", 2051, 60_000, 28, 28) + b"few", "only 3"),
        (PACKED[:-5], "damaged or cut short"),
        (PACKED[:-6] + b"\xff" + PACKED[-5:], "damaged or cut short"),
    ],
)
def test_a_file_that_is_not_what_it_claims_is_an_error(tmp_path: Path, body: bytes, reason: str) -> None:
    file = tmp_path / "images"
    file.write_bytes(body)
    with pytest.raises(DataError, match=reason) as caught:
        read_idx(file, 3)
    assert str(file) in str(caught.value)
