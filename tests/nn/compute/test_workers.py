"""Work on several threads: who does it, and that nothing is lost."""

from __future__ import annotations

import threading

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


def test_cut_covers_every_row_in_order() -> None:
    rows = np.arange(1000)
    pieces = cut(1000, width=10, piece=256)
    np.testing.assert_array_equal(np.concatenate([rows[piece] for piece in pieces]), rows)
    assert {piece.stop - piece.start for piece in pieces[:-1]} == {25}
