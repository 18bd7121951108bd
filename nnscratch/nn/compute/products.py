"""Matrix products on all cores, each thread with products of its own: BLAS is to use one thread.

How a product is cut depends on its shape and on the number of threads, never on which of them take the pieces, and so
does its rounding: a busy machine, on which one thread may take them all, changes no digit.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from nnscratch.nn.compute.buffers import Array
from nnscratch.nn.compute.workers import Workers

SMALL = 1 << 23
"""Fewer multiplications than these take one thread a tenth of a millisecond or two: sharing them gained nothing."""
SMALL_PRODUCT = 1_000_000
"""Multiplications up to which OpenBLAS multiplies without copying its matrices first, where it has AVX-512
(interface/gemm.c, "small matrix")."""
SHORT = 32
"""A side below which the copies take longer than the product; cut into small products where BLAS does not know them
(AVX2), such a product takes a fiftieth longer."""
ALIGNED = 16
"""Rows or columns that BLAS's kernels treat together."""


def product(a: Array, b: Array, out: Array, workers: Workers) -> Array:
    """a b, written into out: a (M, K), b (K, N), out (M, N), whose longer side is cut."""
    M, N = out.shape
    if workers.threads == 1 or M * N * a.shape[1] < SMALL:
        return _product(a, b, out)
    pieces = shares(max(M, N), workers.threads)
    if M > N:
        workers.run(lambda piece: _product(a[piece], b, out[piece]), pieces)
    else:
        workers.run(lambda piece: _product(a, b[:, piece], out[:, piece]), pieces)
    return out


def _product(a: Array, b: Array, out: Array) -> Array:
    """The same on one thread: with a short side, in equal small products where there are any."""
    M, N = out.shape
    K = a.shape[1]
    least = -(-M * N * K // SMALL_PRODUCT)
    if min(M, N, K) < SHORT and least > 1:
        pieces = next((each for each in range(least, 2 * least) if max(M, N) % (each * ALIGNED) == 0), 1)
        if M > N:
            np.matmul(a.reshape(pieces, -1, K), b, out=out.reshape(pieces, -1, N))
        else:
            columns, across = (each.reshape(len(each), pieces, -1).swapaxes(0, 1) for each in (b, out))
            np.matmul(a, columns, out=across)
        return out
    return np.matmul(a, b, out=out)


def shares(length: int, threads: int) -> list[slice]:
    """A slice for each thread, of about equal length."""
    borders = [ALIGNED * round(length * index / threads / ALIGNED) for index in range(threads)] + [length]
    return [slice(start, stop) for start, stop in pairwise(borders) if start < stop]
