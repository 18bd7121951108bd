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
ALIGNED = 16
"""Rows or columns that BLAS's kernels treat together."""


def product(a: Array, b: Array, out: Array, workers: Workers) -> Array:
    """a b, written into out: a (M, K), b (K, N), out (M, N), whose longer side is cut."""
    M, N = out.shape
    if workers.threads == 1 or M * N * a.shape[1] < SMALL:
        return np.matmul(a, b, out=out)
    pieces = shares(max(M, N), workers.threads)
    if M > N:
        workers.run(lambda piece: np.matmul(a[piece], b, out=out[piece]), pieces)
    else:
        workers.run(lambda piece: np.matmul(a, b[:, piece], out=out[:, piece]), pieces)
    return out


def shares(length: int, threads: int) -> list[slice]:
    """A slice for each thread, of about equal length."""
    borders = [ALIGNED * round(length * index / threads / ALIGNED) for index in range(threads)] + [length]
    return [slice(start, stop) for start, stop in pairwise(borders) if start < stop]
