"""Correlation with fewer multiplications (Winograd 1980; Lavin & Gray 2016, "Fast Algorithms for CNNs").

Take r weights g and m numbers z, and read both as polynomials. The coefficients of their product g(p) z(p) follow from
its values at n = m + r - 1 points p. A value is a product of two numbers, so n multiplications do the work of m r:

    s = V_n^-1 [ (V_r g) * (V_m z) ]      V_k the values of 1, p, ..., p^(k-1) at the points; * entry by entry

For fixed g this is a linear map of z, and its transpose is the correlation y_i = sum_a d_(i+a) g_a:

    y = A [ (G g) * (B d) ]               A = V_m^T,  G = V_r,  B = V_n^-T,  y (m,), d (n,)

In two dimensions the maps act on rows and columns: on a tile read as a vector, A (x) A and so on, (x) the Kronecker
product. The sum over channels, done on the transformed tiles, is one matrix product per point pair, and the maps
themselves are matrix products too. Of 36 multiplications for a 3x3 kernel and 2x2 outputs, 16 are left; of 144 for
4x4 outputs, 36; of 441 for 7x7, 81. Every step is linear, so each gradient is the transposed step.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from nnscratch.nn.compute.buffers import Array
from nnscratch.nn.compute.correlation import Correlation, Geometry
from nnscratch.nn.compute.workers import Workers

POINTS = (0.0, 1.0, -1.0, 1 / 2, -2.0, -1 / 2, 2.0, 3 / 4, -4 / 3)
"""Where polynomials are evaluated, besides at infinity, whose value is the last coefficient.

p and -1/p in turn keep the numbers near 1, so that rounding costs little (Barabasz et al. 2020): in float32 about 1e-6
of y's deviation for n = 6, 3e-6 for n = 8, 4e-5 for n = 10, whatever the kernel.
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


class Winograd(Correlation):
    """Tiles of m x m outputs, from overlapping tiles of n x n inputs; stride 1.

        V = (B (x) B) d       U = (G (x) G) W       M_p = V_p U_p for each of the n^2 points p       y = (A (x) A) M
        dM = (A (x) A)^T dy   dU_p = V_p^T dM_p     dV_p = dM_p U_p^T                             dd = (B (x) B)^T dV

    V_p is (tiles, C), U_p (C, K), M_p (tiles, K); with groups, each has as many of them, of its own channels.
    """

    TILES: ClassVar[int] = 768  # in a block: rows enough for the matrix products, few enough for the cache

    def __init__(self, geometry: Geometry, m: int) -> None:
        super().__init__(geometry)
        g = geometry
        assert g.stride == 1
        self.m, self.n = m, m + g.kernel - 1
        self.down, self.across = -(-g.rows // m), -(-g.columns // m)
        self.tiles = self.down * self.across
        self.padded = (self.down * m + g.kernel - 1, self.across * m + g.kernel - 1)
        self.U = np.empty((0, g.C // g.groups, g.K))

    def multiplications(self) -> int:
        g, inputs, outputs = self.geometry, self.n**2, self.m**2
        return self.tiles * (inputs * g.C * g.K // g.groups + inputs * inputs * g.C + outputs * inputs * g.K)

    def moved(self) -> int:
        return 2 * self.tiles * self.n**2 * (self.geometry.C + self.geometry.K)

    def images_per_block(self) -> int:
        return max(1, self.TILES // self.tiles)

    def set_weights(self, W: Array) -> None:
        g, points = self.geometry, self.n**2
        if not len(self.U) or self.U.dtype != W.dtype:
            self.A, self.G, self.B = (np.kron(each, each).astype(W.dtype) for each in transforms(self.m, g.kernel))
            self.U = np.empty((points, g.C // g.groups, g.K), W.dtype)
        np.matmul(self.G, W.reshape(g.kernel**2, -1), out=self.U.reshape(points, -1))

    def kept_size(self) -> int:
        return self.n**2 * self.tiles * self.geometry.C

    def forward(self, x: Array, y: Array, kept: Array | None, workers: Workers) -> None:
        V = self._transformed_input(x, kept, workers)
        shape = (self.n**2, V.shape[1], self.geometry.K)
        M = workers.scratch("M", shape, x.dtype)
        np.matmul(self._by_group(V), self._by_group(self.U), out=self._by_group(M))
        tiles = workers.scratch("tiles", (self.m**2, M[0].size), x.dtype)
        np.matmul(self.A, M.reshape(self.n**2, -1), out=tiles)
        whole = self._whole(y, workers)
        by_place, parts = self._output_parts(whole, tiles)
        np.copyto(by_place, parts)
        if whole is not y:
            y[...] = whole[:, : y.shape[1], : y.shape[2]]

    def zero_gradient(self, workers: Workers) -> Array:
        dU = workers.scratch("dU", self.U.shape, self.U.dtype)
        dU[...] = 0
        return dU

    def backward(self, x: Array, kept: Array, dy: Array, dU: Array | None, dx: Array | None, workers: Workers) -> None:
        points, tiles = self.n**2, len(x) * self.tiles
        dM = self._transformed_output_gradient(dy, workers)
        if dU is not None:
            V = self._by_group(kept.reshape(points, tiles, self.geometry.C))
            block = workers.scratch("dU of block", dU.shape, dU.dtype)
            np.matmul(V.transpose(0, 1, 3, 2), self._by_group(dM), out=self._by_group(block))
            dU += block
        if dx is not None:
            shape = (points, tiles, self.geometry.C)
            dV = workers.scratch("V", shape, dy.dtype)
            U = self._by_group(self.U).transpose(0, 1, 3, 2)
            np.matmul(self._by_group(dM), U, out=self._by_group(dV))
            dd = workers.scratch("tiles", (points, dV[0].size), dy.dtype)
            np.matmul(self.B.T, dV.reshape(points, -1), out=dd)
            self._add_tiles(dd, dx, workers)

    def weight_gradient(self, dU: Array, dW: Array) -> None:
        np.matmul(self.G.T, dU.reshape(self.n**2, -1), out=dW.reshape(self.geometry.kernel**2, -1))

    def _by_group(self, numbers: Array) -> Array:
        """(points, groups, rows, channels of a group): a view of (points, rows, channels)."""
        return numbers.reshape(*numbers.shape[:2], self.geometry.groups, -1).transpose(0, 2, 1, 3)

    def _transformed_input(self, x: Array, kept: Array | None, workers: Workers) -> Array:
        """V (n^2, tiles, C), in `kept` if it is given."""
        C, n, m = self.geometry.C, self.n, self.m
        padded = self.pad(x, self.padded, workers)
        seen = sliding_window_view(padded, (n, n), axis=(1, 2))[:, ::m, ::m]
        d = workers.scratch("tiles", (n, n, len(x), self.down, self.across, C), x.dtype)
        np.copyto(d, seen.transpose(4, 5, 0, 1, 2, 3))
        shape = (n * n, len(x) * self.tiles, C)
        V = workers.scratch("V", shape, x.dtype) if kept is None else kept.reshape(shape)
        np.matmul(self.B, d.reshape(n * n, -1), out=V.reshape(n * n, -1))
        return V

    def _transformed_output_gradient(self, dy: Array, workers: Workers) -> Array:
        """dM (n^2, tiles, K)."""
        K, outputs = self.geometry.K, self.m**2
        tiles = workers.scratch("tiles", (outputs, len(dy) * self.tiles * K), dy.dtype)
        whole = self._whole(dy, workers)
        if whole is not dy:
            whole[:, dy.shape[1] :] = 0
            whole[:, :, dy.shape[2] :] = 0
            whole[:, : dy.shape[1], : dy.shape[2]] = dy
        by_place, parts = self._output_parts(whole, tiles)
        np.copyto(parts, by_place)
        dM = workers.scratch("M", (self.n**2, len(dy) * self.tiles, K), dy.dtype)
        np.matmul(self.A.T, tiles, out=dM.reshape(self.n**2, -1))
        return dM

    def _whole(self, y: Array, workers: Workers) -> Array:
        """An array like y that tiles fill without a rest: y itself where it can be, else scratch memory."""
        rows, columns = self.down * self.m, self.across * self.m
        if y.shape[1:3] == (rows, columns):
            return y
        return workers.scratch("whole", (len(y), rows, columns, y.shape[3]), y.dtype)

    def _output_parts(self, whole: Array, tiles: Array) -> tuple[Array, Array]:
        """Both as (m, m, images, down, across, K): for each place in a tile, the pixels there of every tile."""
        m, down, across = self.m, self.down, self.across
        pixels = whole.reshape(len(whole), down, m, across, m, -1)
        return pixels.transpose(2, 4, 0, 1, 3, 5), tiles.reshape(m, m, len(whole), down, across, -1)

    def _add_tiles(self, dd: Array, dx: Array, workers: Workers) -> None:
        """dx: every pixel's gradient is the sum over the tiles that saw it.

        Tiles lie m pixels apart, so that their first m rows and columns cover the image once; what is beyond them
        belongs to the tiles below and on the right, too. (Few calls: between two, a thread may wait for the other.)
        """
        n, m, C, down, across = self.n, self.m, self.geometry.C, self.down, self.across
        parts = dd.reshape(n, n, len(dx), down, across, C)
        padded = workers.scratch("padded", (len(dx), *self.padded, C), dd.dtype)
        rows, columns = down * m, across * m
        padded[:, rows:] = 0
        padded[:, :, columns:] = 0

        def pixels(i: slice, j: slice) -> Array:
            """(places, places, images, down, across, C): the pixels at these rows and columns, all or one of a tile."""
            cut = padded[:, i, j]
            return cut.reshape(len(dx), down, -1, across, cut.shape[2] // across, C).transpose(2, 4, 0, 1, 3, 5)

        inner = slice(0, rows), slice(0, columns)
        np.copyto(pixels(*inner), parts[:m, :m])
        for i in range(m, n):
            below = slice(i, i + rows - m + 1, m)
            target = pixels(below, inner[1])
            target += parts[i : i + 1, :m]
            for j in range(m, n):
                target = pixels(below, slice(j, j + columns - m + 1, m))
                target += parts[i : i + 1, j : j + 1]
        for j in range(m, n):
            target = pixels(inner[0], slice(j, j + columns - m + 1, m))
            target += parts[:m, j : j + 1]
        self.unpad(padded, dx)
