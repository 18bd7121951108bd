from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nnscratch.datasets.formats.pickled_arrays import read_pickled_dict
from nnscratch.errors import DataError


class Hostile:
    """Pickles as a call of the given function."""

    def __init__(self, function: object, *arguments: object) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return self.call


def written(path: Path, value: object, protocol: int = 2) -> Path:
    path.write_bytes(pickle.dumps(value, protocol))
    return path


@pytest.mark.parametrize("protocol", [3, 4])
def test_arrays_lists_and_numbers_come_back(tmp_path: Path, protocol: int) -> None:
    array = np.arange(12, dtype=np.uint8).reshape(3, 4)
    file = written(tmp_path / "batch", {b"data": array, "labels": [1, 2, 3], "turned": array.T}, protocol)
    content = read_pickled_dict(file, 10_000)
    assert np.array_equal(np.asarray(content["data"]), array)
    assert np.array_equal(np.asarray(content["turned"]), array.T)
    assert content["labels"] == [1, 2, 3]


def test_a_pickle_of_python_2_comes_back(tmp_path: Path) -> None:
    # As Python 2 and its NumPy wrote it: strings are bytes, the module has its old name.
    file = tmp_path / "batch"
    file.write_bytes(
        b"\x80\x02}(U\x04datacnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85U\x01btR"
        b"(K\x01K\x02K\x03\x86cnumpy\ndtype\n(U\x02u1K\x00K\x01tR(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        b"\x89U\x06abcdeftbU\x06labels](K\x07K\x08eu."
    )
    content = read_pickled_dict(file, 10_000)
    assert np.asarray(content["data"]).tobytes() == b"abcdef"
    assert np.asarray(content["data"]).shape == (2, 3)
    assert content["labels"] == [7, 8]


def test_a_pickle_that_would_run_code_is_refused_by_name_and_runs_nothing(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    file = written(tmp_path / "batch", {"data": Hostile(os.system, f"touch {trace}")})
    with pytest.raises(DataError, match=rf"asks for {os.system.__module__}\.system") as caught:
        read_pickled_dict(file, 10_000)
    assert str(file) in str(caught.value)
    assert not trace.exists()


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (Hostile(eval, "1"), r"\w+\.eval"),
        (Hostile(getattr, "x", "upper"), r"\w+\.getattr"),
        (Hostile(np.load, "x"), r"numpy\.load"),
        (Hostile(np.frombuffer, b"x"), r"numpy\S*\.frombuffer"),
        (Path("x"), "pathlib"),
        (np.float64(1), r"numpy\S*\.scalar"),
    ],
)
def test_every_other_name_is_refused(tmp_path: Path, value: object, name: str) -> None:
    with pytest.raises(DataError, match=f"asks for .*{name}|asks for {name}"):
        read_pickled_dict(written(tmp_path / "batch", {"data": value}), 10_000)


@pytest.mark.parametrize("values", [np.zeros(3, np.float32), np.zeros(3, np.int64), np.array(["text"])])
def test_arrays_of_another_type_are_refused(tmp_path: Path, values: np.ndarray) -> None:
    with pytest.raises(DataError, match="only unsigned bytes are read"):
        read_pickled_dict(written(tmp_path / "batch", {"data": values}, 3), 10_000)


def test_a_memo_index_of_two_thousand_million_costs_no_memory(tmp_path: Path) -> None:
    file = tmp_path / "batch"
    file.write_bytes(b"\x80\x02}r\xff\xff\xff\x7f.")
    assert read_pickled_dict(file, 10_000) == {}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"garbage",
        b"\x80\x02}",
        b"\x80\x02].",
        b"\x80\x02}(U\x04data" + b"\x8e" + b"\xff" * 8 + b"u.",  # bytes of a length beyond the file
        b"\x80\x05\x96" + b"\xff" * 7 + b"\x00.",
        b"(" * 5000 + b".",
        b"\x80\x02cnumpy\nndarray\n(tRK\x01b.",
        b"\x80\x02cnumpy\nndarray\n(tR(K\x01(lp0\nU\x01xU\x01ytb.",
    ],
)
def test_a_damaged_pickle_is_an_error(tmp_path: Path, body: bytes) -> None:
    file = tmp_path / "batch"
    file.write_bytes(body)
    with pytest.raises(DataError, match="batch"):
        read_pickled_dict(file, 10_000)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100, deadline=None)
@given(st.data())
def test_a_flipped_byte_gives_a_result_or_a_data_error_and_nothing_else(tmp_path: Path, data: st.DataObject) -> None:
    body = bytearray(pickle.dumps({"data": np.arange(6, dtype=np.uint8), "labels": [1, 2]}, 3))
    body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    (tmp_path / "batch").write_bytes(body)
    try:
        content = read_pickled_dict(tmp_path / "batch", 10_000)
    except DataError:
        return
    assert isinstance(content, dict)


def test_an_oversized_pickle_is_not_even_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="at most 10 are expected"):
        read_pickled_dict(written(tmp_path / "batch", {"data": list(range(100))}), 10)


@pytest.mark.parametrize("end", [b"K\x01s.", b"K\x01u.", b"K\x01d.", b"\x90.", b"\x91."])
def test_nested_tuples_as_a_key_are_refused_before_they_are_hashed(tmp_path: Path, end: bytes) -> None:
    begin = {b"s": b"}", b"u": b"}(", b"d": b"("}.get(end[-2:-1], b"\x8f(")
    (tmp_path / "batch").write_bytes(b"\x80\x04" + begin + b")" + b"2\x86" * 128 + end)
    with pytest.raises(DataError, match="refused: it h"):
        read_pickled_dict(tmp_path / "batch", 10_000)
