"""Matrix products on all cores, each thread with products of its own: BLAS is to use one thread.

How a product is cut depends on its shape and on the number of threads, never on which of them take the pieces, and so
does its rounding: a busy machine, on which one thread may take them all, changes no digit.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise

import numpy as np

from nnscratch.cpu import has_avx512_kernels
from nnscratch.nn.compute.buffers import Array
from nnscratch.nn.compute.workers import Workers

SMALL = 1 << 23
"""Fewer multiplications than these take one thread a tenth of a millisecond or two: sharing them gained nothing."""
SMALL_PRODUCT = 1_000_000
"""Multiplications up to which OpenBLAS multiplies without copying its matrices first, where it has AVX-512
(kernel/x86_64/sgemm_small_kernel_permit_skylakex.c)."""
SMALL_OUTPUT = 1200
"""Numbers of a b up to which it does, too, where b is the transpose of a matrix that lies row by row."""
SMALL_MATRIX = 10_000
"""Numbers of a matrix that is small beside what it is multiplied with: then the copies take longer than the product."""
SMALL_SUM, MOST_SUMS = 6_500, 64
"""Numbers of an a b that may be a sum of small products, and of how many: they lie beside each other until then."""
SHORT = 32
"""A side below which they do."""
ALIGNED = 16
"""Rows or columns that BLAS's kernels treat together."""


def product(a: Array, b: Array, out: Array, workers: Workers) -> Array:
    """a b, written into out: a (M, K), b (K, N), out (M, N), whose longer side is cut."""
    M, N = out.shape
    if workers.threads == 1 or M * N * a.shape[1] < SMALL:
        return product_here(a, b, out, workers)
    pieces = shares(max(M, N), workers.threads)
    if M > N:
        workers.run(lambda piece: product_here(a[piece], b, out[piece], workers), pieces)
    else:
        workers.run(lambda piece: product_here(a, b[:, piece], out[:, piece], workers), pieces)
    return out


def product_here(a: Array, b: Array, out: Array, workers: Workers) -> Array:
    """The same on this thread: in small products, where these take less time."""
    (M, N), K = out.shape, a.shape[1]
    side, size = small_products(M, K, N, a.strides[0] < a.strides[1], b.strides[0] < b.strides[1])
    if not size:
        return np.matmul(a, b, out=out)
    whole = (M, N, K)[side] // size * size
    if side == ROWS:
        b = np.ascontiguousarray(b)
        np.matmul(a[:whole].reshape(-1, size, K), b, out=out[:whole].reshape(-1, size, N))
        if whole < M:
            np.matmul(a[whole:], b, out=out[whole:])
    elif side == COLUMNS:
        columns, across = (each[:, :whole].reshape(len(each), -1, size).swapaxes(0, 1) for each in (b, out))
        np.matmul(a, columns, out=across)
        if whole < N:
            np.matmul(a, b[:, whole:], out=out[:, whole:])
    else:
        summands = workers.scratch("summands", (-(-K // size), M, N), out.dtype)
        parts = summands[: whole // size]
        np.matmul(a[:, :whole].reshape(M, -1, size).swapaxes(0, 1), b[:whole].reshape(-1, size, N), out=parts)
        if whole < K:
            np.matmul(a[:, whole:], b[whole:], out=summands[-1])
        np.add.reduce(summands, axis=0, out=out)
    return out


ROWS, COLUMNS, INNER = range(3)


@lru_cache
def small_products(M: int, K: int, N: int, a_is_transposed: bool, b_is_transposed: bool) -> tuple[int, int]:
    """Which side is cut, and how much of it is in each product; 0: there is but one. Its bounds were measured.

    In the three forms that a dense layer has, on a Zen 5: x W, x^T dy, and dy W^T.
    """
    if not has_avx512_kernels() or M * N * K == 0 or (a_is_transposed and b_is_transposed):
        return ROWS, 0
    side, short = (ROWS, N) if M > N else (COLUMNS, M)
    unit, most = ALIGNED, SMALL_PRODUCT // (short * K)
    if max(K, N) <= M and K * N <= SMALL_MATRIX and not a_is_transposed:
        side, most = ROWS, SMALL_PRODUCT // (K * N)
    elif max(M, K) <= N and M * K <= SMALL_MATRIX and not b_is_transposed:
        unit, side, most = 4 * ALIGNED, COLUMNS, SMALL_PRODUCT // (M * K)
    elif b_is_transposed and not a_is_transposed:
        most = min(most, SMALL_OUTPUT // short) if side == COLUMNS and K >= 3 * SHORT else 0
    elif a_is_transposed and max(M, N) < K and M * N <= SMALL_SUM:
        side, most = INNER, SMALL_PRODUCT // (M * N)
        most = most if MOST_SUMS * most >= K else 0
    elif a_is_transposed:
        most = most if most >= 4 * ALIGNED else 0
    else:
        unit = 4 * ALIGNED if most >= 4 * ALIGNED or K * N >= 1 << 19 else 2 * ALIGNED
        most = most if short <= SHORT else 0
    most, long = most // unit * unit, (M, N, K)[side]
    if most == 0 or long <= most:
        return side, 0
    return side, unit * -(-long // -(-long // most * unit))


def shares(length: int, threads: int) -> list[slice]:
    """A slice for each thread, of about equal length."""
    borders = [ALIGNED * round(length * index / threads / ALIGNED) for index in range(threads)] + [length]
    return [slice(start, stop) for start, stop in pairwise(borders) if start < stop]
