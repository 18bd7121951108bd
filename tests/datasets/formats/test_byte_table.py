from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from nnscratch.datasets.formats.byte_table import read_byte_table
from nnscratch.errors import DataError


def written(path: Path, text: str) -> Path:
    path.write_bytes(text.encode())
    return path


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(
    arrays(np.uint8, st.tuples(st.integers(1, 40), st.integers(1, 6))),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
)
def test_every_byte_comes_back(tmp_path: Path, table: np.ndarray, newline: str, ends_with_newline: bool) -> None:
    names = ["label", *(f"pixel{index}" for index in range(1, table.shape[1]))]
    lines = [",".join(names), *(",".join(map(str, row)) for row in table.tolist())]
    file = written(tmp_path / "t.csv", newline.join(lines) + (newline if ends_with_newline else ""))
    assert np.array_equal(read_byte_table(file, table.shape[1], "label"), table)


@pytest.mark.parametrize(
    ("rows", "place"),
    [
        ("1,2,3\n4,x,6\n", r":3:3: field 2 is 'x'"),
        ("1,2,3\n4,,6\n", r":3:3: field 2 is nothing"),
        ("1,2,3\n4,5\n", r":3: 2 columns, but the header has 3"),
        ("1,2,3\n4,5,6,7\n", r":3: 4 columns"),
        ("1,2,3\n4,5,256\n", r":3:5: field 3 is '256'"),
        ("1,2,3\n4,5,-6\n", r":3:5: field 3 is '-6'"),
        ("1,2,3\n4,5.5,6\n", r":3:3: field 2 is '5.5'"),
        ("1,2\n3,4,5,6\n", r":2: 2 columns"),
        ("1,2\n", r":2: 2 columns"),
        ("1,2,3\n\n4,5,6\n", r":3: 1 columns"),
        ("", "no rows"),
    ],
)
def test_a_fault_is_named_by_file_line_and_column(tmp_path: Path, rows: str, place: str) -> None:
    with pytest.raises(DataError, match=place):
        read_byte_table(written(tmp_path / "t.csv", "label,a,b\n" + rows), 3, "label")


@pytest.mark.parametrize("header", ["a,b,c", "label,a", "1,2,3", ""])
def test_another_header_is_refused(tmp_path: Path, header: str) -> None:
    with pytest.raises(DataError, match=r":1: expected a header of 3 columns"):
        read_byte_table(written(tmp_path / "t.csv", header + "\n1,2,3\n"), 3, "label")
