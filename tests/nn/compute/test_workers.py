"""Work on several threads: who does it, and that nothing is lost."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from nnscratch.nn.compute.workers import LARGE, PIECE, Workers, cut


def threads_that_worked(workers: Workers, numbers: int | None = None) -> int:
    """How many threads took a share of eight slow pieces."""
    seen: set[int] = set()

    def piece(_: int) -> None:
        seen.add(threading.get_ident())
        time.sleep(0.02)

    if numbers is None:
        workers.run(piece, range(8))
    else:
        workers.run(piece, range(8), numbers)
    return len(seen)


def test_every_thread_takes_a_share_of_large_work_and_the_caller_does_small_work_alone() -> None:
    workers = Workers(3)
    assert threads_that_worked(workers) == 3
    assert threads_that_worked(workers, LARGE) == 3
    assert threads_that_worked(workers, LARGE - 1) == 1
    assert threads_that_worked(Workers(1)) == 1


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


def test_cut_covers_every_row_in_order() -> None:
    rows = np.arange(1000)
    pieces = cut(1000, width=10, piece=256)
    np.testing.assert_array_equal(np.concatenate([rows[piece] for piece in pieces]), rows)
    assert {piece.stop - piece.start for piece in pieces[:-1]} == {25}
