"""Correlation with fewer multiplications (Winograd 1980; Lavin & Gray 2016, "Fast Algorithms for CNNs").

Take r weights g and m numbers z, and read both as polynomials. The coefficients of their product g(p) z(p) follow from
its values at n = m + r - 1 points p. A value is a product of two numbers, so n multiplications do the work of m r:

    s = V_n^-1 [ (V_r g) * (V_m z) ]      V_k the values of 1, p, ..., p^(k-1) at the points; * entry by entry

For fixed g this is a linear map of z, and its transpose is the correlation y_i = sum_a d_(i+a) g_a:

    y = A [ (G g) * (B d) ]               A = V_m^T,  G = V_r,  B = V_n^-T,  y (m,), d (n,)

In two dimensions the maps act on rows, then on columns. The sum over channels, done on the transformed tiles, is one
matrix product per pair of points, and the maps themselves are matrix products, too. Of 36 multiplications for a 3x3
kernel and 2x2 outputs, 16 are left; of 144 for 4x4 outputs, 36; of 441 for 7x7, 81. Every step is linear, so each
gradient is the transposed step.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.lib.stride_tricks import as_strided

from nnscratch.cpu import has_avx512_kernels
from nnscratch.nn.compute.buffers import Array
from nnscratch.nn.compute.correlation import Correlation, Geometry
from nnscratch.nn.compute.products import SMALL_PRODUCT, product, product_here
from nnscratch.nn.compute.workers import Workers

POINTS = (0.0, 1.0, -1.0, 1 / 2, -2.0, -1 / 2, 2.0, 3 / 4, -4 / 3)
"""Where polynomials are evaluated, besides at infinity, whose value is the last coefficient.

p and -1/p in turn keep the numbers near 1, so that rounding costs little (Barabasz et al. 2020): in float32 about 1e-6
of y's deviation for n = 6, 3e-6 for n = 8, 4e-5 for n = 9 and 10 (root mean square; at worst ten times that, and more
with many channels), whatever the kernel.
"""

EXACT, LARGEST = 8, len(POINTS) + 1
"""Values of n: up to EXACT nothing worth mentioning is lost by rounding; LARGEST is what these points allow."""


def transforms(m: int, r: int) -> tuple[Array, Array, Array]:
    """A (m, n), G (n, r) and B (n, n) for m outputs of a kernel of r weights; m + r - 2 points are needed."""
    n = m + r - 1

    def values(k: int) -> Array:
        finite = [[point**power for power in range(k)] for point in POINTS[: n - 1]]
        return np.array([*finite, [0.0] * (k - 1) + [1.0]])

    return values(m).T, values(r), np.linalg.inv(values(n)).T


def multiply(matrix: Array, numbers: Array, out: Array) -> None:
    """out[..., i, :] = sum_k matrix[i, k] numbers[..., k, :], in small products.

    By a matrix of 6x6, the copies that BLAS makes for large ones would take several times as long as the product.
    """
    length = numbers.shape[-1]
    parts = -(-length * matrix.size // SMALL_PRODUCT)
    parts = next((each for each in range(parts, 4 * parts) if length % each == 0), 1)
    pieces = (each.reshape(*each.shape[:-1], parts, length // parts).swapaxes(-3, -2) for each in (numbers, out))
    source, target = pieces
    np.matmul(matrix, source, out=target)


def overlapping(rows: Array, n: int, m: int) -> Array:
    """A view (..., tiles, n, numbers) of (..., rows, numbers): n rows each, m apart."""
    *others, height, numbers = rows.shape
    *strides, row, number = rows.strides
    shape = (*others, (height - n) // m + 1, n, numbers)
    return as_strided(rows, shape, (*strides, m * row, row, number))


class Winograd(Correlation):
    """Tiles of m x m outputs, from overlapping tiles of n x n inputs.

        V = B d B^T       U = G W G^T       M_p = V_p U_p for each of the n^2 points p       y = A M A^T
        dM = A^T dy A     dU_p = V_p^T dM_p     dV_p = dM_p U_p^T                            dd = B^T dV B

    V_p is (tiles, C), U_p (C, K), M_p (tiles, K); with groups, each has as many of them, of its own channels.

    A stride s is made one of 1: s x s pixels become one pixel of s^2 C channels, and a kernel one of r = kernel / s,
    rounded up, with zeros where it has no weights.

    In scratch memory a block of images lies as (row, column, image, channel). Between one row of pixels and the next,
    and one column and the next, there are then many numbers in a piece, and A, B and their transposes, which are small,
    multiply rows and then columns where these are: tiles that overlap are views.
    """

    def __init__(self, geometry: Geometry, m: int) -> None:
        super().__init__(geometry)
        g = geometry
        self.r = -(-g.kernel // g.stride)
        self.m, self.n = m, m + self.r - 1
        self.C = g.stride**2 * g.C
        self.down, self.across = -(-g.rows // m), -(-g.columns // m)
        self.tiles = self.down * self.across
        self.of_tile = self.C * g.K // self.groups
        """Multiplications per tile and point."""
        self.is_small = SMALL_PRODUCT // self.of_tile >= 128
        self.U = np.empty((0, self.C // self.groups, g.K))

    def multiplications(self) -> int:
        return self.tiles * self.n**2 * self.of_tile

    def moved(self, needs_dx: bool = True) -> int:
        """A number that a matrix of n x n makes counts 2 (n + 1) / 5, or 3.5 if BLAS copies small matrices: fitted."""
        weight = 2 * (self.n + 1) / 5 if has_avx512_kernels() else 3.5
        return round(weight * self.tiles * self.n**2 * (self.C + self.geometry.K))

    def prepared(self) -> int:
        return self.n**2 * self.of_tile

    def images_per_block(self) -> int:
        """So many that calls last longer than threads take to hand the interpreter over, and dU is added rarely enough;
        but no more than products of small matrices allow, where these are."""
        tiles = (864_000 // self.n**2 + 2 * self.of_tile) // (self.C + self.geometry.K)
        if self.is_small:
            tiles = min(tiles, SMALL_PRODUCT // self.of_tile)
        return max(1, tiles // self.tiles)

    def set_weights(self, W: Array, workers: Workers) -> None:
        g, points, C = self.geometry, self.n**2, self.C // self.groups
        if not len(self.U) or self.U.dtype != W.dtype:
            A, G, B = (each.astype(W.dtype) for each in transforms(self.m, self.r))
            self.A, self.A_T, self.B, self.B_T = A, A.T.copy(), B, B.T.copy()
            self.G = np.kron(G, G)
            self.U = np.empty((points, C, g.K), W.dtype)
            self.U_T = np.empty((points, self.groups, g.K // self.groups, C), W.dtype)
        self.W = self._as_of_stride_1(self.merged(W))
        product(self.G, self.W.reshape(self.r**2, -1), self.U.reshape(points, -1), workers)

    def prepare_backward(self, workers: Workers) -> None:
        """U^T from W^T: products by a transposed matrix, a view, take longer."""
        W_T = self.W.swapaxes(1, 2).reshape(self.r**2, -1)
        product(self.G, W_T, self.U_T.reshape(self.n**2, -1), workers)

    def forward(self, x: Array, y: Array, workers: Workers) -> None:
        V = self._transformed_input(x, workers)
        M = workers.scratch("M", (self.n**2, V.shape[1], self.geometry.K), x.dtype)
        np.matmul(self._by_group(V), self._by_group(self.U), out=self._by_group(M))
        half = workers.scratch("half", (self.n, self.m, M[0].size), x.dtype)
        multiply(self.A, M.reshape(self.n, self.n, -1), half)
        tiles = workers.scratch("tiles", (self.m, self.m, M[0].size), x.dtype)
        multiply(self.A, half.swapaxes(0, 1), tiles.swapaxes(0, 1))
        for pixels, part in self._output_parts(y, tiles):
            pixels[...] = part

    def backward(self, x: Array, dy: Array, dU: Array | None, dx: Array | None, workers: Workers) -> None:
        dM = self._transformed_output_gradient(dy, workers)
        if dU is not None:
            V = self._by_group(self._transformed_input(x, workers))
            np.matmul(V.transpose(0, 1, 3, 2), self._by_group(dM), out=self._by_group(dU))
        if dx is not None:
            self._input_gradient(dM, dx, workers)

    def weight_gradient(self, dU: Array, dW: Array, workers: Workers) -> None:
        g, s, r = self.geometry, self.geometry.stride, self.r
        by_place = np.empty((r**2, dU[0].size), dU.dtype)
        product_here(self.G.T, dU.reshape(self.n**2, -1), by_place, workers)
        by_phase = by_place.reshape(r, r, s, s, -1, g.K)
        kernels = by_phase.transpose(0, 2, 1, 3, 4, 5).reshape(r * s, r * s, -1, g.K)
        dW[...] = self.taken_apart(kernels[: g.kernel, : g.kernel])

    def _as_of_stride_1(self, W: Array) -> Array:
        """The kernels as (r^2, s^2 C / groups, K)."""
        g, s, r = self.geometry, self.geometry.stride, self.r
        if s > 1:
            filled = np.zeros((r * s, r * s, *W.shape[2:]), W.dtype)
            filled[: g.kernel, : g.kernel] = W
            W = filled.reshape(r, s, r, s, *W.shape[2:]).transpose(0, 2, 1, 3, 4, 5)
        return W.reshape(r * r, -1, g.K)

    def _by_group(self, numbers: Array) -> Array:
        """(points, groups, rows, channels of a group): a view of (points, rows, channels)."""
        return numbers.reshape(*numbers.shape[:2], self.groups, -1).transpose(0, 2, 1, 3)

    def _transformed_input(self, x: Array, workers: Workers) -> Array:
        """V (n^2, tiles, C); the tiles in the order (down, across, image)."""
        g, n, s, N = self.geometry, self.n, self.geometry.stride, len(x)
        rows, columns = self.down * self.m + self.r - 1, self.across * self.m + self.r - 1
        padded = workers.scratch("padded", (rows, columns, N, self.groups, s, s, g.C // self.groups), x.dtype)
        above, below = -(-g.top // s), (g.top + g.H) // s
        padded[:above] = padded[below:] = 0
        padded[above:below, : -(-g.left // s)] = padded[above:below, (g.left + g.W) // s :] = 0
        for inside, pixels in self._phases(padded, x):
            inside[...] = pixels
        half = workers.scratch("half", (self.down, n, columns, N * self.C), x.dtype)
        multiply(self.B, overlapping(padded.reshape(rows, -1), n, self.m), half.reshape(self.down, n, -1))
        V = workers.scratch("V", (n, n, self.down, self.across, N * self.C), x.dtype)
        multiply(self.B, overlapping(half, n, self.m), V.transpose(2, 0, 3, 1, 4))
        return V.reshape(n * n, -1, self.C)

    def _phases(self, padded: Array, x: Array) -> Iterator[tuple[Array, Array]]:
        """For each place in the s x s pixels that become one, as (rows, columns, N, groups, C / groups): the padded
        image's numbers that are pixels of x there, and these pixels."""
        g, s = self.geometry, self.geometry.stride
        by_group = x.reshape(*x.shape[:3], self.groups, -1).transpose(1, 2, 0, 3, 4)
        for p in range(s):
            for q in range(s):
                pixels = by_group[(p - g.top) % s :: s, (q - g.left) % s :: s]
                inside = padded[-(-(g.top - p) // s) :, -(-(g.left - q) // s) :, :, :, p, q]
                inside = inside[: pixels.shape[0], : pixels.shape[1]]
                yield inside, pixels[: inside.shape[0], : inside.shape[1]]

    def _transformed_output_gradient(self, dy: Array, workers: Workers) -> Array:
        """dM (n^2, tiles, K); the tiles in the order (down, across, image)."""
        n, m, size = self.n, self.m, self.tiles * dy.shape[0] * dy.shape[3]
        tiles = workers.scratch("tiles", (m, m, size), dy.dtype)
        if (self.down * m, self.across * m) != dy.shape[1:3]:
            tiles[...] = 0
        for pixels, part in self._output_parts(dy, tiles):
            part[...] = pixels
        half = workers.scratch("half", (n, m, size), dy.dtype)
        multiply(self.A_T, tiles.swapaxes(0, 1), half.swapaxes(0, 1))
        dM = workers.scratch("M", (n, n, size), dy.dtype)
        multiply(self.A_T, half, dM)
        return dM.reshape(n * n, -1, dy.shape[3])

    def _output_parts(self, y: Array, tiles: Array) -> Iterator[tuple[Array, Array]]:
        """Pixels of y and the tiles' numbers there, as (row and column in a tile, down, across, images, K).

        Those of whole tiles first, then what is left of tiles that reach beyond the lower and right border.
        """
        parts = tiles.reshape(self.m, self.m, self.down, self.across, len(y), -1)
        for i, down, height in self._whole_and_rest(y.shape[1]):
            for j, across, width in self._whole_and_rest(y.shape[2]):
                part = parts[:height, :width, down, across]
                pixels = y[:, i, j].reshape(len(y), part.shape[2], height, part.shape[3], width, -1)
                yield pixels.transpose(2, 4, 1, 3, 0, 5), part

    def _whole_and_rest(self, size: int) -> Iterator[tuple[slice, slice, int]]:
        """Of so many pixels in a row: those of whole tiles, which tiles these are, and their width; then the rest."""
        whole = size // self.m
        if whole:
            yield slice(0, whole * self.m), slice(0, whole), self.m
        if size % self.m:
            yield slice(whole * self.m, size), slice(whole, whole + 1), size % self.m

    def _input_gradient(self, dM: Array, dx: Array, workers: Workers) -> None:
        g, n, s, N = self.geometry, self.n, self.geometry.stride, len(dx)
        dV = workers.scratch("V", (n * n, dM.shape[1], self.C), dx.dtype)
        np.matmul(self._by_group(dM), self.U_T, out=self._by_group(dV))
        tiles = dV.reshape(n, n, self.down, self.across, -1).transpose(2, 0, 3, 1, 4)
        half = self._added("half", tiles, workers)
        padded = self._added("padded", half.reshape(self.down, n, -1), workers)
        padded = padded.reshape(-1, half.shape[2], N, self.groups, s, s, g.C // self.groups)
        if g.top + g.H > padded.shape[0] * s or g.left + g.W > padded.shape[1] * s:
            dx[...] = 0  # pixels that no kernel sees
        for inside, pixels in self._phases(padded, dx):
            pixels[...] = inside

    def _added(self, name: str, tiles: Array, workers: Workers) -> Array:
        """(..., rows, numbers): B^T of every tile, of (..., tiles, n, numbers), added where tiles overlap.

        Tiles lie m rows apart: the first m rows of each cover the image once, what is beyond belongs to those below.
        """
        m, beyond = self.m, self.n - self.m
        *others, count, _, numbers = tiles.shape
        rows = workers.scratch(name, (*others, count * m + beyond, numbers), tiles.dtype)
        rows[..., count * m :, :] = 0
        multiply(self.B_T[:m], tiles, rows[..., : count * m, :].reshape(*others, count, m, numbers))
        rest = workers.scratch("rest", (*others, count, beyond, numbers), tiles.dtype)
        multiply(self.B_T[m:], tiles, rest)
        for start in range(0, beyond, m):
            part = rest[..., start : start + m, :]
            seen = overlapping(rows[..., m + start :, :], part.shape[-2], m)[..., :count, :, :]
            seen += part
        return rows
