"""Theta in blocks: the sums over a batch's rows that a block's gradient is made of, and its update.

So the gradient of a block can be used as soon as it is there, before it leaves the core's own cache.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from nnscratch.nn.compute.buffers import Array
from nnscratch.nn.compute.products import ALIGNED, product
from nnscratch.nn.compute.workers import Workers
from nnscratch.nn.parameters import Group, Parameters, Segment
from nnscratch.training.chunks import Chunk, equal_pieces
from nnscratch.training.measurements import sum_of_squares
from nnscratch.training.optimizers import Optimizer

PIECE = 1 << 16
"""Numbers that an optimizer goes through at a time: with all its vectors they stay in a core's own cache. Threads need
longer ones: between NumPy's calls each waits for the interpreter."""
LARGEST = PIECE * 5 // 4
"""Of a block that is made of several arrays."""
BIASES = 1 << 11
"""Weights that take as long as all biases do, few as they are."""
FEW = 256
"""Rows of a W; for the gradient of fewer, BLAS spends its time on arranging dy."""


class Rows(NamedTuple):
    """x (N, D) and dy (N, K) of a dense layer, of all rows of a batch."""

    x: Array
    dy: Array


class Summands(NamedTuple):
    """The sums over the rows of either half of a batch: a gradient is the sum of both."""

    first: Array
    second: Array

    def part(self, place: slice) -> Summands:
        """Some of the numbers, as vectors."""
        return Summands(self.first.reshape(-1)[place], self.second.reshape(-1)[place])


class Learned(NamedTuple):
    """An array that is learned."""

    layer: int
    """The number of its layer, for what is measured by layer."""
    gradient: Array
    """Its part of the gradient of all parameters."""
    of: Rows | Summands | None
    """What its gradient, dW or db, is made of; None: the layer puts it there itself."""


@dataclass(eq=False)
class Sum:
    """Some rows of a dW, or a vector: where it is put to stay, and where to be used at once."""

    layer: int
    of: Rows | Summands | None
    rows: slice | None
    """None: a vector."""
    gradient: Array
    passing: Array
    place: slice
    """Where in its block."""
    operands: dict[int, tuple[Array, Array]] = field(default_factory=dict)
    """x^T[rows], or ones, and dy, by the number of the batch's rows."""

    def work_out(self, count: int, out: Array, workers: Workers) -> None:
        """dW[rows] = x^T[rows] dy, or db = 1^T dy, over so many rows of the batch, written into out."""
        if self.of is None:
            np.copyto(out, self.gradient)
            return
        if isinstance(self.of, Summands):
            np.add(self.of.first, self.of.second, out=out)
            return
        x_T, dy = self.operands.get(count) or self._operands(self.of, count)
        if self.rows is None:
            np.dot(x_T, dy, out=out)
        else:
            product(x_T, dy, out, workers)

    def _operands(self, of: Rows, count: int) -> tuple[Array, Array]:
        x_T = np.ones(count, of.dy.dtype) if self.rows is None else of.x[:count].T[self.rows]
        found = self.operands[count] = x_T, of.dy[:count]
        return found


class Block(NamedTuple):
    """A piece of theta: the sums that its gradient is made of, and the chunks that its update goes by.

    Each chunk is there twice, with its gradient in the one place and in the other.
    """

    sums: list[Sum]
    chunks: list[tuple[Chunk, Chunk]]
    place: slice
    """Where in theta."""
    theta: Array

    def work_out(self, count: int, to_stay: bool, workers: Workers) -> float:
        """Its gradient over so many rows of a batch, in the one place or the other: |gradient|^2."""
        for each in self.sums:
            each.work_out(count, each.gradient if to_stay else each.passing, workers)
        return sum(sum_of_squares((stays if to_stay else passes).g) for stays, passes in self.chunks)

    def of_sums(self, vector: Array) -> list[Array]:
        """The part of each sum in a vector that is laid out like the block."""
        return [vector[each.place] for each in self.sums]

    def measure(self, squares: Array, arrays: Sequence[Array]) -> None:
        """Adds |array|^2 of each sum to that of its layer."""
        for each, array in zip(self.sums, arrays, strict=True):
            squares[each.layer] += sum_of_squares(array)


@dataclass(frozen=True)
class _Stretch:
    """Where in theta some rows of a W lie, or a vector."""

    start: int
    layer: int
    array: Array
    """The gradient, as a part of that of all parameters."""
    group: Group
    of: Rows | Summands | None
    rows: slice | None
    is_whole: bool = False
    """It is updated as a whole: by one process, and not together with others."""

    @property
    def stop(self) -> int:
        return self.start + self.array.size


def blocks_of(learned: Sequence[Learned], parameters: Parameters, optimizer: Optimizer) -> list[Block]:
    """All that is learned, in the order in which it lies in theta."""
    stretches = sorted(_stretches(learned, parameters, optimizer), key=lambda each: each.start)
    runs = list(_joined(iter(stretches)))
    passing = np.empty(max(run[-1].stop - run[0].start for run in runs), parameters.theta.dtype)
    return [_block(run, passing, parameters, optimizer) for run in runs]


def _stretches(learned: Sequence[Learned], parameters: Parameters, optimizer: Optimizer) -> Iterator[_Stretch]:
    gradient, groups = parameters.gradient, {each.place.start: each.group for each in parameters.placements}
    wholes = {place.start for place in optimizer.wholes}
    trained = parameters.trainable_size
    middle = (trained - min(BIASES, trained // 8)) // 2  # all biases lie in the first half
    for number, array, of in learned:
        start = (array.ctypes.data - gradient.ctypes.data) // gradient.itemsize
        group, is_whole = groups[start], start in wholes
        if isinstance(of, Summands):
            vector = array.reshape(-1)
            for part in equal_pieces(Segment(group, 0, array.size), 1 if is_whole else round(array.size / PIECE)):
                yield _Stretch(start + part.start, number, vector[part], group, of.part(part), None, is_whole)
        elif array.ndim == 1:
            yield _Stretch(start, number, array, group, of, None)
        else:
            D, K = array.shape
            for rows in [slice(0, D)] if is_whole else _cut(D, K, middle - start):
                yield _Stretch(start + rows.start * K, number, array[rows], group, of, rows, is_whole)


def _cut(D: int, K: int, middle: int) -> Iterator[slice]:
    """Rows of a W in pieces, none of which has numbers on both sides of the middle but for a few rows.

    So two that take the pieces from both ends have about equally much to do where there are few.
    """
    unit = ALIGNED if D >= FEW else 1
    border = min(max(unit * round(middle / K / unit), 0), D)
    for first, last in ((0, border), (border, D)):
        rows = last - first
        count = max(1, round(rows / max(FEW, PIECE // K)))
        borders = [first + rows * index // count // unit * unit for index in range(count)] + [last]
        yield from (slice(a, b) for a, b in pairwise(borders) if a < b)


def _joined(stretches: Iterator[_Stretch]) -> Iterator[list[_Stretch]]:
    """Neighbours that an optimizer can go through at once, together."""
    run: list[_Stretch] = []
    for each in stretches:
        are_neighbours = run and each.group == run[0].group and each.start == run[-1].stop
        is_whole = each.is_whole or (run and run[0].is_whole)
        if run and (not are_neighbours or is_whole or each.stop - run[0].start > LARGEST):
            yield run
            run = []
        run.append(each)
    if run:
        yield run


def _block(run: Sequence[_Stretch], passing: Array, parameters: Parameters, optimizer: Optimizer) -> Block:
    start, stop, group = run[0].start, run[-1].stop, run[0].group
    sums = []
    for each in run:
        place = slice(each.start - start, each.stop - start)
        passes = passing[place].reshape(each.array.shape)
        sums.append(Sum(each.layer, each.of, each.rows, each.array, passes, place))
    chunks = []
    for piece in equal_pieces(Segment(group, start, stop), 1 if run[0].is_whole else round((stop - start) / PIECE)):
        chunk = optimizer.chunk(parameters, piece, group)
        passes = passing[piece.start - start : piece.stop - start].reshape(chunk.g.shape)
        chunks.append((chunk, Chunk(chunk.theta, passes, chunk.state, group)))
    return Block(sums, chunks, slice(start, stop), parameters.theta[start:stop])
