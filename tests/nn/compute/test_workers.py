"""Work on several threads: who does it, and that nothing is lost."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from nnscratch.nn.compute.workers import LARGE, PIECE, Workers, cut


@pytest.mark.parametrize("numbers", [(), (LARGE,)], ids=["unknown", "large"])
def test_every_thread_takes_a_share_of_large_work(numbers: tuple[int, ...]) -> None:
    # Each piece ends when all three are at work: one after another they would never.
    together = threading.Barrier(3, timeout=60)

    def piece(_: int) -> None:
        together.wait()

    Workers(3).run(piece, range(3), *numbers)


@pytest.mark.parametrize(("threads", "numbers"), [(3, LARGE - 1), (1, LARGE)])
def test_the_caller_does_small_work_alone(threads: int, numbers: int) -> None:
    seen: set[int] = set()
    Workers(threads).run(lambda _: seen.add(threading.get_ident()), range(8), numbers)
    assert seen == {threading.get_ident()}


@pytest.mark.parametrize("size", [10, PIECE, PIECE + 1, LARGE - 1, LARGE + 7])
def test_elementwise_reaches_every_number_once(size: int) -> None:
    x, y = np.arange(size, dtype=np.float32), np.zeros(size, np.float32)

    def add(x: np.ndarray, y: np.ndarray) -> None:
        y += x

    Workers(2).elementwise(add, x, y)
    np.testing.assert_array_equal(x, y)


def test_an_error_in_a_piece_reaches_the_caller() -> None:
    def fails(piece: int) -> None:
        if piece == 3:
            raise ValueError("piece 3")

    with pytest.raises(ValueError, match="piece 3"):
        Workers(2).run(fails, range(8))


def test_enumerated_gives_every_piece_its_number_and_its_part_of_every_array() -> None:
    x, y = np.arange(10.0).reshape(5, 2), np.zeros((5, 2))

    def number(piece: int, start: int, x: np.ndarray, y: np.ndarray) -> None:
        y[:] = 1000 * piece + 100 * start + x

    Workers(2).enumerated(number, (x, y), 4)
    assert y.ravel().tolist() == [0, 1, 2, 3, 1004, 1005, 1006, 1007, 2008, 2009]
    Workers(2).enumerated(number, (x, y), 4, before=7)
    assert y.ravel().tolist() == [1300, 2001, 2002, 2003, 2004, 3005, 3006, 3007, 3008, 4009]


@pytest.mark.parametrize("threads", [1, 3])
def test_by_rows_gives_what_every_piece_of_rows_returned_in_order(threads: int) -> None:
    x, y = np.arange(12.0).reshape(6, 2), np.zeros((6, 2))

    def square(x: np.ndarray, y: np.ndarray) -> float:
        time.sleep(0.01 * (x[0, 0] == 0))  # the first piece is the last to be done
        np.square(x, out=y)
        return float(x.sum())

    pieces = [slice(0, 1), slice(1, 4), slice(4, 6)]
    assert Workers(threads).by_rows(square, [x, y], pieces) == [1, 27, 38]
    np.testing.assert_array_equal(y, x**2)


def test_cut_covers_every_row_in_order() -> None:
    rows = np.arange(1000)
    pieces = cut(1000, width=10, piece=256)
    np.testing.assert_array_equal(np.concatenate([rows[piece] for piece in pieces]), rows)
    assert {piece.stop - piece.start for piece in pieces[:-1]} == {25}
