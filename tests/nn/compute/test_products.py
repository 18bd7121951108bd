"""Matrix products that threads share: the right numbers, and the same digits whoever computes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from nnscratch.nn.compute.products import ALIGNED, SMALL, product, shares
from nnscratch.nn.compute.workers import Workers

SHAPES = [(128, 3072, 512), (3072, 128, 512), (130, 300, 70), (64, 784, 128), (1, 5000, 600), (7, 3, 2), (2100, 999, 1)]
SHORT = [
    (16, 784, 512),
    (784, 16, 512),
    (16, 512, 512),
    (20, 1000, 96),
    (17, 333, 1001),
    (512, 784, 48),
    (32, 3072, 512),
]


@pytest.mark.parametrize(("M", "K", "N"), SHAPES + SHORT)
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_a_product_is_numpy_s_to_rounding(M: int, K: int, N: int, threads: int) -> None:
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((K, M)).T, rng.standard_normal((N, K)).T  # the views that a backward pass gives
    np.testing.assert_allclose(product(a, b, np.full((M, N), np.nan), Workers(threads)), a @ b, rtol=1e-10, atol=1e-10)


def test_who_takes_the_pieces_changes_no_digit() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((150, 1000), np.float32), rng.standard_normal((1000, 333), np.float32)
    shared, alone = Workers(2), Workers(2)
    assert alone._others is not None
    alone._others.patience.alone_until = float("inf")
    expected = product(a, b, np.empty((150, 333), np.float32), shared)
    np.testing.assert_array_equal(product(a, b, np.empty((150, 333), np.float32), alone), expected)


def test_a_small_product_is_numpy_s_own_call(monkeypatch: pytest.MonkeyPatch) -> None:
    workers = Workers(2)
    monkeypatch.setattr(workers, "run", lambda *_: pytest.fail("handed over"))
    side = int(SMALL ** (1 / 3)) - 1
    a = np.random.default_rng(0).standard_normal((side, side), np.float32)
    np.testing.assert_array_equal(product(a, a, np.empty_like(a), workers), a @ a)


@pytest.mark.parametrize(("length", "threads"), [(512, 2), (500, 3), (20, 2), (7, 4), (1000, 7)])
def test_shares_cover_everything_once_at_borders_that_kernels_like(length: int, threads: int) -> None:
    pieces = shares(length, threads)
    assert [number for piece in pieces for number in range(length)[piece]] == list(range(length))
    assert all(piece.start % ALIGNED == 0 for piece in pieces)
    assert 1 <= len(pieces) <= threads


def test_a_large_product_is_cut_into_a_piece_for_each_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    workers, handed = Workers(3), list[int]()
    run = workers.run

    def watched(function: Callable[[slice], object], pieces: Sequence[slice]) -> None:
        handed.append(len(pieces))
        run(function, pieces)

    monkeypatch.setattr(workers, "run", watched)
    a, b = np.ones((64, 500), np.float32), np.ones((500, 512), np.float32)
    assert np.all(product(a, b, np.empty((64, 512), np.float32), workers) == 500)
    assert handed == [3]
