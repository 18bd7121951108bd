"""The correlation of a whole batch: by which method, in which pieces, on which threads.

Threads share chunks of images; a chunk goes block by block, each small enough for the cache. Sizes alone decide on
both, so that results do not depend on the threads.
"""

from __future__ import annotations

from itertools import pairwise, starmap

import numpy as np

from nnscratch.nn.compute.buffers import Array, Buffers
from nnscratch.nn.compute.correlation import Correlation, Geometry, Im2col
from nnscratch.nn.compute.depthwise import Depthwise
from nnscratch.nn.compute.statistics import column_sums
from nnscratch.nn.compute.winograd import EXACT, LARGEST, Winograd
from nnscratch.nn.compute.workers import Workers

MOVE = 20
"""Weight of such a number beside a multiplication, as both are counted: fitted to forward and backward passes of 29
shapes, each by im2col and by tiles of 2 to 8 (two threads of a Zen 4): 1.01 times the time of what is best in the
middle, and 1.31 at worst, with 32 groups of 4 channels. Without AVX-512 (two threads of a Zen 3, 44 shapes): 1.00 and
1.11."""

GONE_THROUGH = 12
"""How often a batch goes through the kernels in another form: they are made and read, transposed and not, and their
gradients written and added, by each of two processes. Fitted to five layers of 64 to 256 channels on 7x7 to 16x16
pixels. Of 28 cases, 64 to 512 channels and batches of 32 to 1,000, what is chosen then took at most 1.10 times the time
of what is best (one thread of a Zen 5)."""

MAX_CHUNKS = 8
"""Into how many chunks a batch is cut for the threads; each has a dW of its own until all are added in order."""


def cheapest(geometry: Geometry, needs_dx: bool = True, batch: int | None = None) -> Correlation:
    """The method that should take the least time; kernels of at least 3 places where tiles are read have a choice.

    Of a batch of so many images, so much of what is made of the kernels once a batch counts for each.
    """
    if geometry.groups == geometry.C == geometry.K > 1:
        return Depthwise(geometry)
    methods: list[Correlation] = [Im2col(geometry)]
    r = -(-geometry.kernel // geometry.stride)
    if r >= 3:
        methods += [Winograd(geometry, n - r + 1) for n in range(r + 1, LARGEST + 1)]
    best = min(methods, key=lambda method: _cost(method, needs_dx, batch))
    if not isinstance(best, Im2col) or needs_dx or geometry.groups > 1:
        return best
    return min((Im2col(geometry, m) for m in _divisors(geometry.columns)), key=Im2col.copying)


def _divisors(number: int) -> list[int]:
    return [each for each in range(1, number + 1) if number % each == 0]


def fewest(method: Correlation, plain: Im2col) -> float:
    """From how many images on the method takes less time than the plain one, to which kernels are as they are."""
    saved = _cost(plain) - _cost(method)
    return 2 * MOVE * method.prepared() / saved if saved > 0 else 0


def _cost(method: Correlation, needs_dx: bool = True, batch: int | None = None) -> float:
    """Of an image; tiles that round more are taken to cost a tenth more."""
    rounds_more = isinstance(method, Winograd) and method.n > EXACT
    moved = method.moved(needs_dx) + (GONE_THROUGH * method.prepared() / batch if batch else 0)
    return (method.multiplications() + MOVE * moved) * (1.1 if rounds_more else 1.0)


def correlate(method: Correlation, x: Array, b: Array | None, y: Array, workers: Workers) -> Array:
    """y = x correlated with the kernels that the method was given, + b."""

    # NumPy adds long rows sooner than the few channels of a pixel.
    N, height, columns, K = y.shape
    rows, by_row = y.reshape(N, height, columns * K), None if b is None else np.tile(b, columns)

    def run(chunk: slice) -> None:
        for block in _blocks(method, chunk):
            method.forward(x[block], y[block], workers)
            if by_row is not None:
                rows[block] += by_row

    workers.run(run, _chunks(method, len(x)))
    return y


def correlate_back(
    method: Correlation,
    x: Array,
    dy: Array,
    gradients: tuple[Array | None, Array | None, Array | None],
    buffers: Buffers,
    workers: Workers,
) -> None:
    """Writes those of the gradients dW, db and dx that are wanted, and so not None."""
    dW, db, dx = gradients
    if dx is not None:
        method.prepare_backward(workers)
    chunks = _chunks(method, len(x))
    dWs = None if dW is None else buffers.get("dW of chunks", (len(chunks), *dW.shape), dW.dtype)
    dbs = None if db is None else buffers.get("db of chunks", (len(chunks), *db.shape), db.dtype)

    def run(index: int) -> None:
        total, part = (workers.scratch(name, method.U.shape, method.U.dtype) for name in ("dU", "dU of block"))
        for number, block in enumerate(_blocks(method, chunks[index])):
            dU = part if number else total
            method.backward(
                x[block], dy[block], None if dWs is None else dU, None if dx is None else dx[block], workers
            )
            if dWs is not None and number:
                total += part
            if dbs is not None:
                dbs[index] = column_sums(dy[block]) + (dbs[index] if number else 0)
        if dWs is not None:
            method.weight_gradient(total, dWs[index], workers)

    workers.run(run, range(len(chunks)))
    if dWs is not None:
        np.sum(dWs, axis=0, out=dW)
    if dbs is not None:
        np.sum(dbs, axis=0, out=db)


def evenly(start: int, stop: int, pieces: int) -> list[slice]:
    """The range cut into that many slices of equal length, give or take one; one that is empty has none."""
    borders = [start + (stop - start) * index // pieces for index in range(pieces + 1)] if pieces else []
    return list(starmap(slice, pairwise(borders)))


def _chunks(method: Correlation, N: int) -> list[slice]:
    """The batch for the threads, in an even number, of which two have equal shares."""
    pairs = -(-N // (2 * method.images_per_block()))
    return evenly(0, N, min(MAX_CHUNKS, 2 * pairs, N))


def _blocks(method: Correlation, chunk: slice) -> list[slice]:
    """A chunk, cut into equal pieces that fit the cache."""
    return evenly(chunk.start, chunk.stop, -(-(chunk.stop - chunk.start) // method.images_per_block()))
