"""Sums over a batch, feature by feature, and maps of each feature: what biases and normalisation need of an array.

x (..., C) is M numbers of each of C features. NumPy's loops and BLAS are fast on long rows and on memory in its order:
of images with few channels, pixels that lie side by side make a row together; batches go piece by piece through the
cores. Within a piece, sums are taken in the precision of x; those of the pieces are added in float64.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nnscratch.nn.compute.buffers import Array, Shape
from nnscratch.nn.compute.workers import PIECE, Workers, cut

LONGEST = 4096
"""Rows that are summed in float32; the sums of such pieces are added in float64."""

WIDE = 512
"""Numbers in a row from which NumPy's loops spend their time on arithmetic, and not on going from row to row."""


def column_sums(x: Array) -> Array:
    """(C,): the sum of x (..., C) over all other axes, as the matrix product 1^T x, which BLAS does at memory speed."""
    rows = x.reshape(-1, x.shape[-1])
    return np.asarray(np.ones(len(rows), x.dtype) @ rows)


def pooled(M: Array, means: Array, variances: Array) -> tuple[int, Array, Array]:
    """Number, mean and variance of parts together, from those of each: (P,), (P, C), (P, C) (Chan et al. 1979)."""
    total, M = int(np.sum(M)), M[:, None]
    mean = np.sum(M * means, axis=0) / total
    return total, mean, np.sum(M * (variances + np.square(means - mean)), axis=0) / total


class Features:
    """How arrays of one shape (N, ..., C) are cut into rows, and worked on by feature."""

    def __init__(self, shape: Shape, workers: Workers) -> None:
        _, *pixels, self.C = shape
        self.repeats = 1  # so many pixels side by side make a row
        for size in reversed(pixels):
            self.repeats *= size if self.repeats * self.C < WIDE else 1
        self.workers = workers

    def mean_and_variance(self, x: Array) -> tuple[Array, Array]:
        """(C,) each, in float64, from those of pieces (Chan et al. 1979): nothing cancels."""

        def of_piece(rows: Array) -> tuple[Array, Array, int]:
            M = len(rows) * self.repeats
            total = self._sum(rows)
            centred = np.subtract(rows, self._spread(total / M, x.dtype), out=self._scratch("centred", rows))
            return total, self._sum(np.square(centred, out=centred)), M

        rows = self._rows(x)
        of_pieces = self.workers.by_rows(of_piece, [rows], self._pieces(rows))
        totals, squares, M = map(np.array, zip(*of_pieces, strict=True))
        M = M[:, None]
        mean = np.sum(totals, axis=0) / np.sum(M)
        between = np.sum(M * np.square(totals / M - mean), axis=0)
        return mean, (np.sum(squares, axis=0) + between) / np.sum(M)

    def sums(self, dy: Array, x: Array, mean: Array) -> tuple[Array, Array]:
        """sum dy and sum dy (x - mean), (C,) each, in float64."""
        spread = self._spread(mean, dy.dtype)

        def of_piece(dy: Array, x: Array) -> tuple[Array, Array]:
            weighted = np.subtract(x, spread, out=self._scratch("centred", dy))
            weighted *= dy
            return self._sum(dy), self._sum(weighted)

        rows = self._rows(dy)
        of_pieces = self.workers.by_rows(of_piece, [rows, self._rows(x)], self._pieces(rows))
        sums, weighted_sums = zip(*of_pieces, strict=True)
        return np.sum(sums, axis=0), np.sum(weighted_sums, axis=0)

    def affine(self, a: Array, x: Array, c: Array, out: Array) -> Array:
        """out = a x + c for a and c (C,)."""
        a, c = self._spread(a, out.dtype), self._spread(c, out.dtype)

        def of_piece(x: Array, out: Array) -> None:
            np.multiply(x, a, out=out)
            out += c

        self.workers.by_rows(of_piece, [self._rows(x), self._rows(out)])
        return out

    def affine_in_two(self, a: Array, dy: Array, b: Array, x: Array, c: Array, out: Array) -> Array:
        """out = a dy + b x + c for a, b and c (C,); out may be dy."""
        a, b, c = (self._spread(each, out.dtype) for each in (a, b, c))

        def of_piece(dy: Array, x: Array, out: Array) -> None:
            rest = np.multiply(x, b, out=self._scratch("rest", out))
            rest += c
            np.multiply(dy, a, out=out)
            out += rest

        self.workers.by_rows(of_piece, [self._rows(dy), self._rows(x), self._rows(out)])
        return out

    def _rows(self, x: Array) -> Array:
        """x with `repeats` pixels side by side in every row."""
        return x.reshape(-1, self.repeats * self.C)

    def _pieces(self, rows: Array) -> list[slice]:
        """Of at most LONGEST rows, for sums."""
        return cut(len(rows), max(rows.shape[1], PIECE // LONGEST))

    def _spread(self, per_feature: Array, dtype: npt.DTypeLike) -> Array:
        """For every number of a row, its feature's."""
        return np.tile(per_feature.astype(dtype), self.repeats)

    def _sum(self, rows: Array) -> Array:
        """(C,): the sums over the rows, added up over the pixels side by side."""
        return np.asarray(np.sum(column_sums(rows).reshape(self.repeats, -1), axis=0, dtype=np.float64))

    def _scratch(self, name: str, like: Array) -> Array:
        return self.workers.scratch(name, like.shape, like.dtype)
