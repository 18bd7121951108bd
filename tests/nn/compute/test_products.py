"""Matrix products that threads share: the right numbers, and the same digits whoever computes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pytest

from nnscratch.nn.compute import products
from nnscratch.nn.compute.products import (
    ALIGNED,
    COLUMNS,
    INNER,
    ROWS,
    SMALL,
    SMALL_OUTPUT,
    SMALL_PRODUCT,
    product,
    shares,
    small_products,
)
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
SMALL_BESIDE = [(4100, 20, 30), (20, 4100, 30), (20, 30, 4100), (333, 100, 50), (64, 5000, 33)]


@pytest.fixture(params=[True, False], ids=["AVX-512", "AVX2"])
def kernels(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[bool]:
    """Whether BLAS is said to have kernels for small matrices."""
    monkeypatch.setattr(products, "has_avx512_kernels", lambda: request.param)
    small_products.cache_clear()
    yield request.param
    small_products.cache_clear()


@pytest.mark.parametrize(("M", "K", "N"), SHAPES + SHORT + SMALL_BESIDE)
@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("form", ["x W", "x^T dy", "dy W^T", "x^T W^T"])
def test_a_product_is_numpy_s_to_rounding(M: int, K: int, N: int, threads: int, form: str, kernels: bool) -> None:
    rng = np.random.default_rng(0)
    a = rng.standard_normal((K, M)).T if form.startswith("x^T") else rng.standard_normal((M, K))
    b = rng.standard_normal((N, K)).T if form.endswith("W^T") else rng.standard_normal((K, N))
    np.testing.assert_allclose(product(a, b, np.full((M, N), np.nan), Workers(threads)), a @ b, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    ("sizes", "a_is_transposed", "b_is_transposed", "expected"),
    [
        ((32, 784, 128), False, False, (COLUMNS, 32)),  # x W of a small batch
        ((32, 128, 784), False, True, (COLUMNS, 32)),  # dy W^T: at most 1200 numbers each
        ((784, 64, 128), True, False, (ROWS, 112)),  # x^T dy
        ((64, 4096, 64), True, False, (INNER, 240)),  # x^T dy of a large batch: sums of sums
        ((4096, 64, 64), False, True, (ROWS, 240)),
        ((512, 512, 512), False, False, (COLUMNS, 0)),
        ((512, 512, 512), True, False, (COLUMNS, 0)),
        ((100, 100_000, 100), True, False, (COLUMNS, 0)),  # of many large sums, each would go through memory
        ((64, 1_000_000, 64), True, False, (INNER, 0)),
        ((1024, 7, 3072), True, True, (ROWS, 0)),
        ((32, 64, 64), False, False, (COLUMNS, 0)),
    ],
)
def test_a_product_is_cut_where_small_ones_take_less_time(
    sizes: tuple[int, int, int],
    a_is_transposed: bool,
    b_is_transposed: bool,
    expected: tuple[int, int],
    kernels: bool,
) -> None:
    side, size = small_products(*sizes, a_is_transposed, b_is_transposed)
    assert (side, size) == expected if kernels else size == 0
    if size:
        M, K, N = (size if number == (ROWS, INNER, COLUMNS).index(side) else each for number, each in enumerate(sizes))
        assert M * K * N <= SMALL_PRODUCT
        assert not (b_is_transposed and side == COLUMNS) or M * N <= SMALL_OUTPUT


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
