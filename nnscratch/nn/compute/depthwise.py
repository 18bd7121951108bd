"""Correlation in which every channel has a kernel of its own (Chollet 2017, "Xception", section 2).

    y[n, i, j, c] = sum_ab x[n, i s + a - top, j s + b - left, c] W[a, b, c]

There is no sum over channels, and so no matrix product: per output and weight one multiplication and one addition, done
along rows of pixels and their channels, (columns C,), which lie behind one another in memory. Each gradient is such a
sum, too: dW over the same products, and dx, for the pixels of each phase of the stride, over dy and the weights that
met them.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import as_strided

from nnscratch.nn.compute.buffers import Array
from nnscratch.nn.compute.correlation import Correlation, Geometry
from nnscratch.nn.compute.workers import Workers


class Depthwise(Correlation):
    """As many groups as channels, in and out. U is W (kernel, kernel, C), repeated for all columns of an output row.

    With a stride s, pixels of a row are sorted by their column modulo s first: then every kernel column b sees
    neighbours. The kernel is b = q s + p columns wide, filled up with zeros.
    """

    FLOATS = 1 << 20  # of the padded images of a block: they stay in cache, and threads rarely wait for the interpreter

    def __init__(self, geometry: Geometry) -> None:
        super().__init__(geometry)
        self.q = -(-geometry.kernel // geometry.stride)
        self.padded = (geometry.padded[0], (geometry.columns + self.q - 1) * geometry.stride)

    def multiplications(self) -> int:
        g = self.geometry
        return g.rows * g.columns * g.kernel**2 * g.C

    def moved(self, needs_dx: bool = True) -> int:
        return self.padded[0] * self.padded[1] * self.geometry.C

    def images_per_block(self) -> int:
        return max(1, self.FLOATS // max(self.moved(), self.geometry.H * self.geometry.W * self.geometry.C))

    def set_weights(self, W: Array, workers: Workers) -> None:
        g, kernels = self.geometry, W[:, :, 0]
        filled = np.zeros((g.kernel, self.q * g.stride, g.C), W.dtype)
        filled[:, : g.kernel] = kernels
        self.U = np.tile(filled, (1, 1, g.columns)).reshape(g.kernel, self.q, g.stride, -1)
        self.kernels = kernels

    def forward(self, x: Array, y: Array, workers: Workers) -> None:
        np.einsum("niaqpd,aqpd->nid", self._seen(x, workers), self.U, out=y.reshape(*y.shape[:2], -1))

    def backward(self, x: Array, dy: Array, dU: Array | None, dx: Array | None, workers: Workers) -> None:
        if dU is not None:
            self._kernel_gradient(self._seen(x, workers), dy.reshape(*dy.shape[:2], -1), dU)
        if dx is not None:
            self._input_gradient(dy, dx, workers)

    def weight_gradient(self, dU: Array, dW: Array, workers: Workers) -> None:
        g = self.geometry
        dW[:, :, 0] = dU.reshape(g.kernel, self.q * g.stride, g.columns, g.C).sum(axis=2)[:, : g.kernel]

    def _kernel_gradient(self, seen: Array, dY: Array, dU: Array) -> None:
        """A column of the kernel at a time, so that what is added to stays in the first cache.

        With a stride, which passes over rows, a place at a time takes two thirds of that; a still is an axis, of one:
        of three alone NumPy would hold the interpreter lock.
        """
        kernel, s = self.geometry.kernel, self.geometry.stride
        rows = [slice(None)] if s == 1 else [slice(a, a + 1) for a in range(kernel)]
        dU[...] = 0
        for b in range(kernel):
            q, p = divmod(b, s)
            for a in rows:
                np.einsum("niad,nid->ad", seen[:, :, a, q, p], dY, out=dU[a, q, p])

    def _seen(self, x: Array, workers: Workers) -> Array:
        """(n, rows, kernel, q, s, columns C): what each kernel place sees, a view of the padded images."""
        g = self.geometry
        by_phase = self._by_phase(x, workers) if g.stride > 1 else self.pad(x, self.padded, workers)
        rows = np.ascontiguousarray(by_phase).reshape(len(x), self.padded[0], g.stride, -1)
        return _windows(rows, g.rows, g.kernel, self.q, g.C)

    def _by_phase(self, x: Array, workers: Workers) -> Array:
        """The padded images (n, rows, s, columns / s, C), the pixels of a row sorted by their column modulo s."""
        g, (rows, columns), s = self.geometry, self.padded, self.geometry.stride
        sorted_pixels = workers.scratch("by phase", (len(x), rows, s, columns // s, g.C), x.dtype)
        bottom = max(min(g.top + g.H, rows), g.top)
        sorted_pixels[:, : g.top] = sorted_pixels[:, bottom:] = 0
        for p in range(s):
            first = (p - g.left) % s
            start = (first + g.left) // s
            inside = sorted_pixels[:, g.top : bottom, p]
            pixels = x[:, : bottom - g.top, first::s][:, :, : max(inside.shape[2] - start, 0)]
            stop = start + pixels.shape[2]
            inside[:, :, :start] = inside[:, :, stop:] = 0
            inside[:, :, start:stop] = pixels
        return sorted_pixels

    def _input_gradient(self, dy: Array, dx: Array, workers: Workers) -> None:
        """Of every phase, dx is a correlation of dy with the weights that met its pixels, turned around."""
        g, s, edge = self.geometry, self.geometry.stride, self.q - 1
        height, width = ((before + size - 1) // s + self.q for before, size in ((g.top, g.H), (g.left, g.W)))
        padded = workers.scratch("padded", (len(dy), height, width, g.C), dy.dtype)
        padded[...] = 0
        inside = padded[:, edge : edge + g.rows, edge : edge + g.columns]
        inside[...] = dy[:, : inside.shape[1], : inside.shape[2]]
        rows = [self._met_by(p, g.top, g.H) for p in range(s)]
        columns = [self._met_by(p, g.left, g.W) for p in range(s)]
        for i, weights_down, seen_down in rows:
            for j, weights_across, seen_across in columns:
                pixels, kernel = dx[:, i, j], self.kernels[weights_down, weights_across]
                if not kernel.size or not pixels.size:
                    pixels[...] = 0
                    continue
                if kernel.shape[:2] == (1, 1):
                    np.multiply(padded[:, seen_down, seen_across], kernel[0, 0], out=pixels)
                    continue
                turned = np.tile(kernel[::-1, ::-1], (1, 1, pixels.shape[2]))[:, :, None]
                seen = padded[:, seen_down, seen_across].reshape(len(dy), pixels.shape[1] + len(kernel) - 1, 1, -1)
                found = pixels if s == 1 else workers.scratch("dx of a phase", pixels.shape, dx.dtype)
                windows = _windows(seen, pixels.shape[1], *kernel.shape)
                np.einsum("niabpd,abpd->nid", windows, turned, out=found.reshape(*found.shape[:2], -1))
                if found is not pixels:
                    pixels[...] = found

    def _met_by(self, p: int, before: int, size: int) -> tuple[slice, slice, slice]:
        """Along an axis: pixels u of phase p, u + before = i s + p; the weights that met them, p, p + s, ...; and the
        outputs i, i - 1, ... of which these weights made a part, as places in dy with q - 1 zeros before it."""
        s = self.geometry.stride
        first, weights = (p - before) % s, range(p, self.geometry.kernel, s)
        pixels, start = len(range(first, size, s)), (first + before) // s + self.q - len(weights)
        return slice(first, None, s), slice(p, None, s), slice(start, start + pixels + len(weights) - 1)


def _windows(pixels: Array, rows: int, kernel: int, q: int, C: int) -> Array:
    """A view (n, rows, kernel, q, s, columns C) of (n, kernel - s + rows s, s, (columns + q - 1) C)."""
    n, _, s, width = pixels.shape
    image, row, phase, item = pixels.strides
    shape, strides = (n, rows, kernel, q, s, width - (q - 1) * C), (image, s * row, row, C * item, phase, item)
    return as_strided(pixels, shape, strides, writeable=False)
