"""Numbers of an input as the data is stored."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from nnscratch.errors import DataError
from nnscratch.results.stored_values import as_stored, doubt

BYTES = np.array([[0, 51], [128, 255]], np.uint8)


def pixels(values: Any, white: float | None, is_of_arrays: bool = False, one_white: bool = True) -> np.ndarray:
    loaded: Any = SimpleNamespace(takes_images=True, white=white, is_of_arrays=is_of_arrays, one_white=one_white)
    return as_stored(loaded, np.asarray(values), "example 0")


@pytest.mark.parametrize("white", [None, 1.0, 4095.0, 65535.0])
@pytest.mark.parametrize("kind", [np.uint8, np.int64, np.float32])
def test_bytes_are_the_same_pixels_in_every_type_whatever_was_white_in_training(white: float | None, kind: Any) -> None:
    assert np.array_equal(pixels(BYTES.astype(kind), white), BYTES)


@pytest.mark.parametrize(
    ("values", "white"),
    [
        (BYTES.astype(np.uint16) * 257, 65535.0),
        (BYTES.astype(np.float64) * 257, 65535.0),
        (BYTES / 255, 1.0),
        (np.rint(BYTES * (4095 / 255)).astype(np.int32), 4095.0),
    ],
)
def test_numbers_of_the_range_of_the_training_are_made_bytes(values: np.ndarray, white: float) -> None:
    assert np.array_equal(pixels(values, white), BYTES)


def test_sixteen_bits_are_dark_where_their_values_are_small() -> None:
    assert np.array_equal(pixels(np.array([0, 200, 255], np.uint16), 65535.0), [0, 1, 1])


@pytest.mark.parametrize("kind", [np.uint16, np.int16, np.int32, np.int64, np.float32])
def test_dark_rows_of_an_array_like_the_training_s_are_dark_in_every_type_but_bytes(kind: Any) -> None:
    assert np.array_equal(pixels(np.array([0, 160, 255], kind), 4095.0, is_of_arrays=True), [0, 10, 16])
    assert np.array_equal(pixels(BYTES, 4095.0, is_of_arrays=True), BYTES)


@pytest.mark.parametrize("kind", [np.uint8, np.int64, np.float32])
def test_bytes_of_few_greys_are_what_an_array_of_them_was_in_training(kind: Any) -> None:
    assert np.array_equal(pixels(np.array([0, 8, 16], kind), 16.0, is_of_arrays=True), [0, 128, 255])
    assert np.array_equal(pixels(BYTES.astype(kind), 16.0, is_of_arrays=True), BYTES)


def test_to_a_run_of_before_bytes_are_bytes() -> None:
    few = np.array([0, 8, 16], np.uint8)
    assert np.array_equal(pixels(few, 16.0, is_of_arrays=True, one_white=False), few)


def test_true_is_white_where_white_was_one_and_nothing_elsewhere() -> None:
    assert np.array_equal(pixels(BYTES > 100, 1.0, is_of_arrays=True), [[0, 0], [255, 255]])
    for white in (None, 16.0, 255.0):
        with pytest.raises(DataError, match="true and false may be 0 and 1, or 0 and 255"):
            pixels(BYTES > 100, white, is_of_arrays=True)


def test_a_number_a_little_above_white_is_white() -> None:
    assert np.array_equal(pixels(np.array([0, 0.5, 1.0001]), 1.0, is_of_arrays=True), [0, 128, 255])


@pytest.mark.parametrize(
    ("values", "white", "said"),
    [
        (BYTES / 255, 65535.0, "above 1, where 65,535 is white, so it is all but black; were 1 white, give 65535 * x"),
        (BYTES.astype(np.int64), 65535.0, "above 255, where 65,535 is white, so it is all but black; were 255 white, "),
        (BYTES.astype(np.int64) // 255, None, "above 1, where 255 is white, so it is all but black; were 1 white, "),
        (BYTES.astype(np.int64), None, ""),
        (BYTES.astype(np.int64) * 257, 65535.0, ""),
        (BYTES * 0.0, 65535.0, ""),
        (BYTES // 255, None, ""),
    ],
)
def test_arrays_that_are_all_but_black_as_they_are_taken_are_told_with_what_would_mend_them(
    values: np.ndarray, white: float | None, said: str
) -> None:
    loaded: Any = SimpleNamespace(takes_images=True, white=white, is_of_arrays=True, one_white=True)
    told = doubt(loaded, values, as_stored(loaded, values, "example 0"))
    assert (said in told) if said else not told


@pytest.mark.parametrize(
    ("values", "white", "problem"),
    [
        (BYTES / 255, 65535.0, r"whole numbers 0..255, or 0..65535 as the run's data; they look scaled to 0..1"),
        (BYTES / 127.5 - 1, 65535.0, "whole numbers 0..255, or 0..65535"),
        (BYTES / 127.5 - 1, 1.0, "whole numbers 0..255, or 0..1 "),
        (np.full(3, np.nan), 65535.0, "whole numbers"),
        (np.full(3, np.nan), None, "whole numbers"),
        (np.array([0, 70_000]), 65535.0, "or 0..65535"),
        (np.array([-1, 5]), None, "whole numbers 0..255"),
        (np.array([0, 256]), None, "whole numbers 0..255"),
    ],
)
def test_what_are_no_pixels_is_refused(values: np.ndarray, white: float | None, problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        pixels(values, white)
