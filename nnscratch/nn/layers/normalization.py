"""Normalisation: activations with mean 0 and variance 1, over the batch or over an example's own features."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nnscratch.component import setting
from nnscratch.nn.compute.buffers import Array, Shape
from nnscratch.nn.compute.reductions import column_sums
from nnscratch.nn.compute.workers import PIECE, cut
from nnscratch.nn.initializers import Constant, Zeros
from nnscratch.nn.layer import Layer
from nnscratch.nn.parameters import Group, Parameters

LONGEST = 4096
"""Rows that are summed in float32; the sums of such pieces are added in float64."""

WIDE = 512
"""Numbers in a row from which NumPy's loops spend their time on arithmetic, and not on going from row to row."""


@dataclass(eq=False)
class BatchNorm(Layer):
    """y = gamma x^ + beta,  x^ = (x - mu) / s,  s = sqrt(v + epsilon)                  (Ioffe & Szegedy 2015)

    mu and v are mean and variance of each feature (of images: each channel) over the batch, M numbers each; when not
    training, running averages of them: m mu_run + (1 - m) mu, and so for M / (M - 1) v, the unbiased variance.
    One number has no variance: with M = 1 the running averages are used in training, too, and stay as they are.

    Gradients: dbeta = sum dy,  dgamma = sum dy x^,  dx = gamma / s (dy - dbeta / M - x^ dgamma / M): mu and v depend on
    x too; running averages do not, which is the case M = infinity. Both passes are affine per feature, so that x^
    itself is never stored.

    Derivation: for one feature, dmu/dx_j = 1 / M and ds/dx_j = (x_j - mu) / (M s) = x^_j / M, so
        dx^_i/dx_j = ([i = j] - 1 / M - x^_i x^_j / M) / s
        dx_j = sum_i gamma dy_i dx^_i/dx_j = gamma / s (dy_j - sum_i dy_i / M - x^_j sum_i dy_i x^_i / M)
    and the two sums are dbeta and dgamma.
    """

    name: ClassVar[str] = "batch_norm"
    backward_needs_input: ClassVar[bool] = True

    momentum: float = setting(0.9, "m, share of the running statistics that each batch keeps", ge=0, lt=1)
    epsilon: float = setting(1e-5, "added to the variance", gt=0)
    scale: bool = setting(True, "learn gamma; otherwise it is 1")
    shift: bool = setting(True, "learn beta; otherwise it is 0")
    shift_learning_rate: float = setting(1.0, "multiplies the learning rate of beta", gt=0)

    def build(self, input_shape: Shape, parameters: Parameters) -> Shape:
        self.gamma: Array
        self.dgamma: Array
        self.beta: Array
        self.dbeta: Array
        self.running_mean: Array
        self.running_variance: Array
        *pixels, C = input_shape
        self.repeats = 1  # so many pixels side by side make a row
        for size in reversed(pixels):
            self.repeats *= size if self.repeats * C < WIDE else 1
        shape = (C,)
        if self.scale:
            parameters.declare(self, "gamma", "scale", shape, Constant(1.0), group=Group(decay=False))
        if self.shift:
            group = Group(decay=False, learning_rate_scale=self.shift_learning_rate)
            parameters.declare(self, "beta", "shift", shape, Zeros(), group=group)
        parameters.declare_state(self, "running_mean", "running_mean", shape, Zeros())
        parameters.declare_state(self, "running_variance", "running_variance", shape, Constant(1.0))
        return input_shape

    def forward(self, x: Array, training: bool) -> Array:
        self.x = x
        rows = self._rows(x)
        M = len(rows) * self.repeats
        if training and M > 1:
            self.M: float = M
            mean, variance = self._moments(rows)
            self._update_running(mean, variance, M)
        else:
            self.M = math.inf
            mean, variance = self.running_mean.astype(np.float64), self.running_variance.astype(np.float64)
        self.mean, self.s = mean, np.sqrt(variance + self.epsilon)
        factor = self._gamma() / self.s
        offset = (self.beta if self.shift else 0) - factor * mean
        factor, offset = self._for_rows(factor), self._for_rows(offset)
        y = self.buffer("y", x.shape)
        out = y.reshape(rows.shape)

        def run(piece: slice) -> None:
            target = np.multiply(rows[piece], factor, out=out[piece])
            target += offset

        self.workers.run(run, cut(len(rows), rows.shape[1]), rows.size)
        return y

    def backward(self, dy: Array) -> Array | None:
        rows, gradients, M = self._rows(self.x), self._rows(dy), self.M
        dbeta, dgamma = self._sums(rows, gradients)
        if self.scale:
            self.dgamma[...] = dgamma
        if self.shift:
            self.dbeta[...] = dbeta
        if not self.needs_dx:
            return None
        # dx = a dy + b x + c
        a = self._gamma() / self.s
        b = -a * dgamma / (M * self.s)
        c = -a * dbeta / M - b * self.mean
        a, b, c = self._for_rows(a), self._for_rows(b), self._for_rows(c)
        dx = self.dx_like(dy)
        out = dx.reshape(rows.shape)

        def run(piece: slice) -> None:
            rest = np.multiply(rows[piece], b, out=self.workers.scratch("rest", rows[piece].shape, self.dtype))
            rest += c
            target = np.multiply(gradients[piece], a, out=out[piece])
            target += rest

        self.workers.run(run, cut(len(rows), rows.shape[1]), rows.size)
        return dx

    def _gamma(self) -> Array:
        return self.gamma.astype(np.float64) if self.scale else np.ones(self.running_mean.shape)

    def _rows(self, x: Array) -> Array:
        """x with `repeats` pixels side by side in every row."""
        return x.reshape(-1, self.repeats * x.shape[-1])

    def _for_rows(self, per_feature: Array) -> Array:
        return np.tile(per_feature.astype(self.dtype), self.repeats)

    def _pieces(self, rows: Array) -> list[slice]:
        """Of at most LONGEST rows: within a piece, sums are taken in the precision of x."""
        return cut(len(rows), max(rows.shape[1], PIECE // LONGEST))

    def _per_feature(self, sums: Array) -> Array:
        """Sums over rows, added up over the pixels side by side."""
        side_by_side = sums.reshape(*sums.shape[:-1], self.repeats, -1)
        return np.asarray(np.sum(side_by_side, axis=-2, dtype=np.float64))

    def _moments(self, rows: Array) -> tuple[Array, Array]:
        """Mean and variance per feature in float64, from those of pieces (Chan et al. 1979): nothing cancels."""
        pieces = self._pieces(rows)
        sums, squares = np.empty((2, len(pieces), rows.shape[1] // self.repeats))
        lengths = np.array([[(piece.stop - piece.start) * self.repeats] for piece in pieces])
        M = len(rows) * self.repeats

        def run(index: int) -> None:
            x = rows[pieces[index]]
            sums[index] = self._per_feature(column_sums(x))
            mean = self._for_rows(sums[index] / lengths[index])
            centred = np.subtract(x, mean, out=self.workers.scratch("centred", x.shape, x.dtype))
            np.square(centred, out=centred)
            squares[index] = self._per_feature(column_sums(centred))

        self.workers.run(run, range(len(pieces)), rows.size)
        mean = np.sum(sums, axis=0) / M
        between = np.sum(lengths * np.square(sums / lengths - mean), axis=0)
        return mean, (np.sum(squares, axis=0) + between) / M

    def _sums(self, rows: Array, gradients: Array) -> tuple[Array, Array]:
        """dbeta and dgamma in float64."""
        pieces = self._pieces(rows)
        dbetas, dgammas = np.empty((2, len(pieces), rows.shape[1] // self.repeats))
        mean = self._for_rows(self.mean)

        def run(index: int) -> None:
            x, dy = rows[pieces[index]], gradients[pieces[index]]
            dbetas[index] = self._per_feature(column_sums(dy))
            weighted = np.subtract(x, mean, out=self.workers.scratch("centred", x.shape, x.dtype))
            weighted *= dy
            dgammas[index] = self._per_feature(column_sums(weighted))

        self.workers.run(run, range(len(pieces)), rows.size)
        return np.sum(dbetas, axis=0), np.sum(dgammas, axis=0) / self.s

    def _update_running(self, mean: Array, variance: Array, M: int) -> None:
        m, unbiased = self.momentum, variance * (M / (M - 1))
        self.running_mean *= m
        self.running_mean += ((1 - m) * mean).astype(self.dtype)
        self.running_variance *= m
        self.running_variance += ((1 - m) * unbiased).astype(self.dtype)


@dataclass(eq=False)
class LayerNorm(Layer):
    """y = gamma x^ + beta,  x^ = (x - mu) / s,  s = sqrt(v + epsilon)                  (Ba et al. 2016)

    mu and v are mean and variance of each example over its own D features (of images: of each pixel over its channels);
    training or not makes no difference.

    Gradients: dbeta = sum_n dy,  dgamma = sum_n dy x^,  dx = (g - mean(g) - x^ mean(g x^)) / s with g = gamma dy.

    Derivation: that of batch_norm with an example's features in the place of the batch. gamma differs from
    feature to feature, so it stays inside the sums.
    """

    name: ClassVar[str] = "layer_norm"

    epsilon: float = setting(1e-5, "added to the variance", gt=0)

    def build(self, input_shape: Shape, parameters: Parameters) -> Shape:
        self.gamma: Array
        self.dgamma: Array
        self.beta: Array
        self.dbeta: Array
        shape = (input_shape[-1],)
        parameters.declare(self, "gamma", "scale", shape, Constant(1.0), group=Group(decay=False))
        parameters.declare(self, "beta", "shift", shape, Zeros(), group=Group(decay=False))
        return input_shape

    def forward(self, x: Array, training: bool) -> Array:
        rows = x.reshape(-1, x.shape[-1])
        y = self.buffer("y", x.shape)
        out = y.reshape(rows.shape)
        self.normal = self.buffer("normal", rows.shape)
        self.s = self.buffer("s", (len(rows), 1))

        def run(piece: slice) -> None:
            normal, s = self.normal[piece], self.s[piece]
            np.subtract(rows[piece], np.mean(rows[piece], axis=1, keepdims=True), out=normal)
            variance = np.mean(np.square(normal, out=out[piece]), axis=1, keepdims=True)
            np.sqrt(variance + self.epsilon, out=s)
            normal /= s
            target = np.multiply(normal, self.gamma, out=out[piece])
            target += self.beta

        self.workers.run(run, cut(len(rows), rows.shape[1]), rows.size)
        return y

    def backward(self, dy: Array) -> Array | None:
        gradients = dy.reshape(-1, dy.shape[-1])
        pieces = cut(len(gradients), gradients.shape[1])
        dbetas, dgammas = np.empty((2, len(pieces), gradients.shape[1]), self.dtype)
        dx = self.dx_like(dy) if self.needs_dx else None

        def run(index: int) -> None:
            g, normal = gradients[pieces[index]], self.normal[pieces[index]]
            dbetas[index] = column_sums(g)
            product = np.multiply(g, normal, out=self.workers.scratch("product", g.shape, g.dtype))
            dgammas[index] = column_sums(product)
            if dx is None:
                return
            out = dx.reshape(gradients.shape)[pieces[index]]
            product *= self.gamma
            mean_product = np.mean(product, axis=1, keepdims=True)
            np.multiply(g, self.gamma, out=out)
            out -= np.mean(out, axis=1, keepdims=True)
            out -= np.multiply(normal, mean_product, out=product)
            out /= self.s[pieces[index]]

        self.workers.run(run, range(len(pieces)), gradients.size)
        np.sum(dbetas, axis=0, out=self.dbeta)
        np.sum(dgammas, axis=0, out=self.dgamma)
        return dx
