"""Two-dimensional correlation of images with a bank of kernels, and its two gradients, as matrix products.

    y[n, i, j, k] = sum_abc x[n, i s + a - top, j s + b - left, c] W[a, b, c, k]

with x zero outside the image and s the stride. With groups, output k sums over the channels c of its own group alone:
channels in and out are cut into as many equal parts, and part goes to part. A method works on a block of images that
fits the cache, in scratch memory of the calling thread, so that blocks can be shared out among threads. It may hold
the kernels in another form U.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from nnscratch.nn.compute.buffers import Array
from nnscratch.nn.compute.products import product_here
from nnscratch.nn.compute.workers import Workers


@dataclass(frozen=True)
class Geometry:
    """The sizes of a correlation: x (H, W, C) -> y (rows, columns, K), kernels (kernel, kernel, C / groups, K)."""

    H: int
    W: int
    C: int
    K: int
    kernel: int
    stride: int
    top: int
    """Rows of zeros above the image, as columns of zeros left of it."""
    left: int
    rows: int
    columns: int
    groups: int = 1

    @property
    def padded(self) -> tuple[int, int]:
        """Rows and columns that the kernels see, padding included."""
        last = self.kernel - self.stride
        return self.rows * self.stride + last, self.columns * self.stride + last


SMALL_GROUP = 16
"""Channels below which a product of matrices takes as long as with so many."""


class Correlation:
    """One way to compute a correlation of one geometry.

    Small groups are merged: the kernels of `merges` neighbours become those of one, in blocks with zeros around them.
    """

    U: Array
    """The kernels in the form that it takes."""

    def __init__(self, geometry: Geometry) -> None:
        g = self.geometry = geometry
        size = min(g.C, g.K) // g.groups
        divisors = (each for each in range(1, g.groups) if g.groups % each == 0)
        self.merges = next((each for each in divisors if each * size >= SMALL_GROUP), g.groups)
        self.groups = g.groups // self.merges

    def multiplications(self) -> int:
        """How many an image costs, forward."""
        raise NotImplementedError

    def moved(self, needs_dx: bool = True) -> int:
        """About how many numbers an image has copied or transformed: what takes time beside the products."""
        raise NotImplementedError

    def prepared(self) -> int:
        """How many numbers are made of the kernels once a batch, and read again."""
        return 0

    def images_per_block(self) -> int:
        """How many images a block should have."""
        raise NotImplementedError

    def set_weights(self, W: Array, workers: Workers) -> None:
        """Takes the kernels that `forward` and `backward` are to use."""
        raise NotImplementedError

    def forward(self, x: Array, y: Array, workers: Workers) -> None:
        """Writes y for a block of images."""
        raise NotImplementedError

    def prepare_backward(self, workers: Workers) -> None:
        """Gets ready what dx needs of the kernels beside what y does; once a batch."""

    def backward(self, x: Array, dy: Array, dU: Array | None, dx: Array | None, workers: Workers) -> None:
        """Writes dU and dx of a block of images, each if wanted."""
        raise NotImplementedError

    def weight_gradient(self, dU: Array, dW: Array, workers: Workers) -> None:
        """Writes dW, the gradient of the kernels themselves, from that of their form U."""
        raise NotImplementedError

    def merged(self, W: Array) -> Array:
        """W (kernel, kernel, C / groups, K) for the groups as they are after they were merged."""
        if self.merges == 1:
            return W
        merged = np.zeros((*W.shape[:2], self.merges * W.shape[2], W.shape[3]), W.dtype)
        self._blocks(merged)[...] = W.reshape(*W.shape[:3], self.groups, self.merges, -1)
        return merged

    def taken_apart(self, dW: Array) -> Array:
        """Of the gradient of merged kernels, that of W."""
        kernel = self.geometry.kernel
        return dW if self.merges == 1 else self._blocks(dW).reshape(kernel, kernel, -1, self.geometry.K)

    def _blocks(self, W: Array) -> Array:
        """A view (kernel, kernel, C of a group, groups, merges, K of a group) of what merged kernels have of W."""
        K = self.geometry.K // self.geometry.groups
        by_block = W.reshape(*W.shape[:2], self.merges, -1, self.groups, self.merges, K)
        blocks: Array = np.einsum("abmcgmk->abcgmk", by_block)
        return blocks

    def pad(self, x: Array, shape: tuple[int, int], workers: Workers) -> Array:
        """x with zeros around it, in scratch memory, (n, *shape, C); what lies beyond the shape is left out."""
        g, (rows, columns) = self.geometry, shape
        if (g.top, g.left) == (0, 0) and rows <= g.H and columns <= g.W:
            return x[:, :rows, :columns]
        padded = workers.scratch("padded", (len(x), rows, columns, g.C), x.dtype)
        bottom, right = min(g.top + g.H, rows), min(g.left + g.W, columns)
        padded[:, : g.top] = padded[:, bottom:] = 0
        padded[:, g.top : bottom, : g.left] = padded[:, g.top : bottom, right:] = 0
        padded[:, g.top : bottom, g.left : right] = x[:, : max(bottom - g.top, 0), : max(right - g.left, 0)]
        return padded


class Im2col(Correlation):
    """What the kernel sees at every output pixel is copied into a row of a matrix, "columns" (Chellapilla et al. 2006).

    Y = columns U with U = W as (kernel^2 C, K); dU = columns^T dY; d columns = dY U^T, whose rows are added back to
    where they came from; in each group alone. Any kernel, stride, padding and number of groups.

    Of one group, m outputs side by side may share a row: what all of them see, kernel x width pixels, overlaps. U is
    then a band, (kernel width C, m K): the kernels m times, each s pixels further on, with zeros around them. There is
    less to copy, in longer runs, and more to multiply.
    """

    FLOATS = 1 << 19
    """Of the columns of a block, which then stay in cache; or twice those of dU, if they are more, since every block's
    dU is added to that of the others."""

    def __init__(self, geometry: Geometry, m: int = 1) -> None:
        """`m` divides the number of columns."""
        super().__init__(geometry)
        self.m, self.places = m, geometry.rows * geometry.columns // m
        self.width = (m - 1) * geometry.stride + geometry.kernel
        self.seen = geometry.kernel * self.width * geometry.C

    def multiplications(self) -> int:
        return self.places * self.seen * self.m * self.geometry.K // self.groups

    def moved(self, needs_dx: bool = True) -> int:
        """Columns added back to where they came from take about as long as those of forward and dW together."""
        return self.places * ((1 + needs_dx) * self.seen + self.m * self.geometry.K)

    def copying(self) -> int:
        """What takes time where nobody needs dx, counted in multiplications: copies, each of their runs, outputs.

        Fitted to forward passes and dW of seven first layers, of 1 and 3 channels (one thread of a Zen 5).
        """
        m, runs, K = self.m, self.places * self.geometry.kernel, self.geometry.K
        multiplied = self.places * self.seen * max(m * K, SMALL_GROUP)
        return multiplied + 10 * self.places * self.seen + 500 * runs + 16 * self.places * m * K

    def images_per_block(self) -> int:
        outputs = self.m * self.geometry.K
        floats = max(self.FLOATS, 2 * self.seen * outputs // self.groups)
        return max(1, floats // (self.places * max(self.seen, outputs)))

    def set_weights(self, W: Array, workers: Workers) -> None:
        W = self.merged(W)
        if self.m > 1:
            band = np.zeros((len(W), self.width, W.shape[2], self.m, W.shape[3]), W.dtype)
            for part in self._kernels_in(band):
                part[...] = W
            W = band.reshape(*band.shape[:3], -1)
        self.U = self._by_group(W)

    def forward(self, x: Array, y: Array, workers: Workers) -> None:
        for columns, U, Y in zip(self._columns(x, workers), self.U, self._outputs(y), strict=True):
            product_here(columns, U, Y, workers)

    def backward(self, x: Array, dy: Array, dU: Array | None, dx: Array | None, workers: Workers) -> None:
        dY = self._outputs(dy)
        if dU is not None:
            for number, columns in enumerate(self._columns(x, workers)):
                product_here(columns.T, dY[number], dU[number], workers)
        if dx is not None:
            self._input_gradient(dY, dx, workers)

    def weight_gradient(self, dU: Array, dW: Array, workers: Workers) -> None:
        kernel, K = self.geometry.kernel, self.geometry.K
        by_kernel = dU.transpose(1, 0, 2).reshape(kernel, self.width, -1, self.m * K)
        if self.m > 1:
            by_kernel = np.sum(list(self._kernels_in(by_kernel.reshape(*by_kernel.shape[:3], self.m, K))), axis=0)
        dW[...] = self.taken_apart(by_kernel)

    def _kernels_in(self, band: Array) -> Iterator[Array]:
        """Where the kernels of each output are in a band (kernel, width, C, m, K)."""
        for number in range(self.m):
            start = number * self.geometry.stride
            yield band[:, start : start + self.geometry.kernel, :, number]

    def _outputs(self, y: Array) -> Array:
        """y by group, with the outputs that share a row in one."""
        return self._by_group(y.reshape(*y.shape[:2], -1, self.m * y.shape[3]))

    def _by_group(self, numbers: Array) -> Array:
        """(groups, rows, channels of a group): a view of the array's last axis, cut."""
        return numbers.reshape(-1, self.groups, numbers.shape[-1] // self.groups).transpose(1, 0, 2)

    def _columns(self, x: Array, workers: Workers) -> Array:
        """(groups, n places, kernel width C / groups): what the kernels see at every place."""
        g = self.geometry
        padded = self.pad(x, g.padded, workers)
        if self._sees_pixels(padded):
            return self._by_group(padded)
        seen = sliding_window_view(padded, (g.kernel, self.width), axis=(1, 2))[:, :: g.stride, :: self.m * g.stride]
        columns = workers.scratch("columns", self._columns_shape(len(x)), x.dtype)
        seen = seen.reshape(*seen.shape[:3], self.groups, -1, g.kernel, self.width)
        np.copyto(columns, seen.transpose(3, 0, 1, 2, 5, 6, 4))
        return columns.reshape(self.groups, -1, self.seen // self.groups)

    def _sees_pixels(self, padded: Array) -> bool:
        """Whether a padded image's pixels are columns as they lie: a place sees one, and the next place the next."""
        return self.geometry.kernel == self.width == self.geometry.stride == 1 and padded.flags.c_contiguous

    def _columns_shape(self, images: int) -> tuple[int, ...]:
        g = self.geometry
        return self.groups, images, g.rows, g.columns // self.m, g.kernel, self.width, g.C // self.groups

    def _input_gradient(self, dY: Array, dx: Array, workers: Workers) -> None:
        g, padded = self.geometry, self._whole(dx, workers)
        if self._sees_pixels(padded):
            self._times_U_T(dY, self._by_group(padded), workers)
            self._unpad(padded, dx)
            return
        columns = workers.scratch("columns", self._columns_shape(len(dx)), dY.dtype)
        self._times_U_T(dY, columns.reshape(self.groups, dY.shape[1], -1), workers)
        padded[:, g.rows * g.stride :] = padded[:, :, g.columns * g.stride :] = 0
        if g.kernel < g.stride:
            padded[...] = 0
        for a in range(g.kernel):
            for b in range(self.width):
                rows = slice(a, a + g.rows * g.stride, g.stride)
                across = slice(b, b + g.columns * g.stride, self.m * g.stride)
                seen = padded[:, rows, across].reshape(len(dx), g.rows, g.columns // self.m, self.groups, -1)
                part = columns[..., a, b, :].transpose(1, 2, 3, 0, 4)
                if a < g.stride and b < self.m * g.stride:  # the first that reaches these pixels
                    seen[...] = part
                else:
                    seen += part
        self._unpad(padded, dx)

    def _times_U_T(self, dY: Array, out: Array, workers: Workers) -> None:
        for number, U in enumerate(self.U):
            product_here(dY[number], U.T, out[number], workers)

    def _whole(self, dx: Array, workers: Workers) -> Array:
        """Where the gradient of the padded image goes: over dx, if there is no padding."""
        g, (rows, columns) = self.geometry, self.geometry.padded
        if (g.top, g.left) == (0, 0) and rows <= g.H and columns <= g.W:
            return dx[:, :rows, :columns]
        return workers.scratch("padded", (len(dx), rows, columns, g.C), dx.dtype)

    def _unpad(self, padded: Array, dx: Array) -> None:
        """dx from the gradient of the padded image, unless that lies there: pixels that no kernel saw get 0."""
        g = self.geometry
        bottom = max(min(g.top + g.H, padded.shape[1]), g.top)
        right = max(min(g.left + g.W, padded.shape[2]), g.left)
        dx[:, bottom - g.top :] = 0
        dx[:, :, right - g.left :] = 0
        if not np.may_share_memory(padded, dx):
            dx[:, : bottom - g.top, : right - g.left] = padded[:, g.top : bottom, g.left : right]
