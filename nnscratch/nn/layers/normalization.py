"""Normalisation: activations with mean 0 and variance 1, over the batch or over an example's own features."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nnscratch.component import setting
from nnscratch.nn.compute.buffers import Array, Shape
from nnscratch.nn.compute.statistics import Features, column_sums, pooled
from nnscratch.nn.equations import Equation, in_turn, largest
from nnscratch.nn.initializers import Constant, Zeros
from nnscratch.nn.layer import Layer
from nnscratch.nn.parameters import Group, Parameters


@dataclass(eq=False)
class BatchNorm(Layer):
    """y = gamma x^ + beta,  x^ = (x - mu) / s,  s = sqrt(v + epsilon)                  (Ioffe & Szegedy 2015)

    mu and v are mean and variance of each feature (of images: each channel) over the batch, M numbers each, whichever
    processes share it; when not training, running averages of them: m mu_run + (1 - m) mu, and so for M / (M - 1) v,
    the unbiased variance. One number has no variance: with M = 1 the running averages are used in training, too, and
    stay as they are. So they do in a layer that is frozen whole, whose weights were trained with them.

    Gradients: dbeta = sum dy,  dgamma = sum dy x^,  dx = gamma / s (dy - dbeta / M - x^ dgamma / M): mu and v depend on
    x too; running averages do not, which is the case M = infinity. Both passes are affine per feature, so that x^
    itself is never stored.

    Derivation: for one feature, dmu/dx_j = 1 / M and ds/dx_j = (x_j - mu) / (M s) = x^_j / M, so
        dx^_i/dx_j = ([i = j] - 1 / M - x^_i x^_j / M) / s
        dx_j = sum_i gamma dy_i dx^_i/dx_j = gamma / s (dy_j - sum_i dy_i / M - x^_j sum_i dy_i x^_i / M)
    and the two sums are dbeta and dgamma.
    """

    name: ClassVar[str] = "batch_norm"
    also_called: ClassVar[tuple[str, ...]] = ("bn", "batchnormalization", "batchnorm1d", "batchnorm2d")

    momentum: float = setting(0.9, "m, share of the running statistics that each batch keeps", ge=0, lt=1)
    epsilon: float = setting(1e-5, "added to the variance", gt=0)
    scale: bool = setting(True, "learn gamma; otherwise it is 1")
    shift: bool = setting(True, "learn beta; otherwise it is 0")
    shift_learning_rate: float = setting(1.0, "multiplies the learning rate of beta", gt=0)

    def build(self, input_shape: Shape, parameters: Parameters) -> Shape:
        shape = input_shape[-1:]
        if self.scale:
            parameters.declare("scale", shape, Constant(1.0), group=Group(decay=False))
        if self.shift:
            group = Group(decay=False, learning_rate_scale=self.shift_learning_rate)
            parameters.declare("shift", shape, Zeros(), group=group)
        self.is_frozen = parameters.freezes_this_layer
        parameters.declare_state("running_mean", shape, Zeros())
        parameters.declare_state("running_variance", shape, Constant(1.0))
        return input_shape

    def bind(self, parameters: Parameters) -> None:
        self.running_mean = parameters.state_array("running_mean")
        self.running_variance = parameters.state_array("running_variance")
        C = self.running_mean.shape
        if self.scale:
            self.gamma, self.dgamma = parameters.arrays("scale")
        else:
            self.gamma, self.dgamma = np.ones(C), np.empty(C)
        if self.shift:
            self.beta, self.dbeta = parameters.arrays("shift")
        else:
            self.beta, self.dbeta = np.zeros(C), np.empty(C)

    def forward(self, x: Array, training: bool) -> Array:
        self.x, self.features = x, Features(x.shape, self.workers)
        of_batch = self._of_batch(x) if training and not self.is_frozen else None
        if of_batch is not None:
            M, self.mean, variance = of_batch
            # A row that is not of the batch changes none of its statistics: to it they are constants.
            self.M: float = M if self.moment.counts else math.inf
            if not self.moment.is_common or self.moment.communicator.rank == 0:
                self._update_running(self.mean, variance, M)
        else:
            self.M = math.inf
            self.mean, variance = self.running_mean.astype(np.float64), self.running_variance.astype(np.float64)
        self.s = np.sqrt(variance + self.epsilon)
        # y = gamma x^ + beta = a x + c
        a = self.gamma.astype(np.float64) / self.s
        c = self.beta - a * self.mean
        return self.features.affine(a, x, c, out=self.y_buffer(x.shape, x))

    def backward(self, dy: Array) -> Array | None:
        x, M = self.x, self.M
        is_common = self.moment.is_common
        of_parts = np.stack([self.features.sums(dy[rows], x[rows], self.mean) for rows in self.moment.parts])
        of_parts[:, 1] /= self.s
        if not is_common:
            self.dbeta[...], self.dgamma[...] = np.sum(of_parts, axis=0)
        if not (self.needs_dx or is_common):
            return None
        dbeta, dgamma = np.sum(self.moment.of_all(of_parts), axis=0)
        if is_common:
            self.dbeta[...], self.dgamma[...] = dbeta, dgamma
        if not self.needs_dx:
            return None
        # dx = gamma / s (dy - dbeta / M - x^ dgamma / M) = a dy + b x + c
        a = self.gamma.astype(np.float64) / self.s
        b = -a * dgamma / (M * self.s)
        c = -a * dbeta / M - b * self.mean
        return self.features.affine_in_two(a, dy, b, x, c, out=self.dx_like(dy))

    def _of_batch(self, x: Array) -> tuple[int, Array, Array] | None:
        """M, mu and v of the batch, of all processes that share it; None for one number."""
        of_all = self.moment.of_all(np.stack([self._of_part(x[rows]) for rows in self.moment.parts]))
        M, means, variances = of_all[:, 0], of_all[:, 1 : 1 + x.shape[-1]], of_all[:, 1 + x.shape[-1] :]
        total, mean, variance = pooled(M, means, variances) if len(M) > 1 else (int(M[0]), means[0], variances[0])
        return (total, mean, variance) if total > 1 else None

    def _of_part(self, x: Array) -> Array:
        """M, mu and v of these rows, one after the other."""
        M = x.size // x.shape[-1] if self.moment.counts else 0
        return np.concatenate([[M], *self.features.mean_and_variance(x)])

    def _update_running(self, mean: Array, variance: Array, M: int) -> None:
        m, unbiased = self.momentum, variance * (M / (M - 1))
        self.running_mean *= m
        self.running_mean += ((1 - m) * mean).astype(self.dtype)
        self.running_variance *= m
        self.running_variance += ((1 - m) * unbiased).astype(self.dtype)

    def worked_forward(self, x: Array, y: Array, n: int = 0) -> Iterator[Equation]:
        at = (n, *largest(y[n]))
        c = at[-1]
        known = {"mu": self.mean[c], "s": self.s[c]}
        values = {
            "x_m": x[..., c].ravel(),
            "M": self.M,
            "epsilon": self.epsilon,
            "x": x[at],
            **self._affine(c),
            **known,
        }
        if math.isfinite(self.M):
            lines = {"mu": "sum_m(x_m) / M", "v": "sum_m((x_m - mu)**2) / M", "s": "sqrt(v + epsilon)"}
            yield from in_turn(lines, values, known, (c,))
        yield from in_turn({"x_hat": "(x - mu) / s", "y": "gamma * x_hat + beta"}, values, {"y": y[at]}, at)

    def worked_backward(self, x: Array, y: Array, dy: Array, dx: Array | None, n: int = 0) -> Iterator[Equation]:
        at = (n, *largest((y if dx is None else dx)[n]))
        c = at[-1]
        known = {"dbeta": self.dbeta[c]} if self.shift else {}
        known |= {"dgamma": self.dgamma[c]} if self.scale else {}
        values = {"dy_m": dy[..., c].ravel(), "x_m": x[..., c].ravel(), "mu": self.mean[c], "s": self.s[c]}
        lines = {"dbeta": "sum_m(dy_m)", "dgamma": "sum_m(dy_m * (x_m - mu)) / s"}
        yield from in_turn(lines, values, known, (c,))
        if dx is not None:
            values |= {"x": x[at], "dy": dy[at], "M": self.M, **self._affine(c)}
            lines = {"x_hat": "(x - mu) / s", "dx": "gamma / s * (dy - dbeta / M - x_hat * dgamma / M)"}
            yield from in_turn(lines, values, {"dx": dx[at]}, at)

    def _affine(self, c: int) -> dict[str, float]:
        return {"gamma": self.gamma[c] if self.scale else 1.0, "beta": self.beta[c] if self.shift else 0.0}


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
    also_called: ClassVar[tuple[str, ...]] = ("ln", "layernormalization")
    backward_needs_input: ClassVar[bool] = False

    epsilon: float = setting(1e-5, "added to the variance", gt=0)

    def build(self, input_shape: Shape, parameters: Parameters) -> Shape:
        parameters.declare("scale", input_shape[-1:], Constant(1.0), group=Group(decay=False))
        parameters.declare("shift", input_shape[-1:], Zeros(), group=Group(decay=False))
        return input_shape

    def bind(self, parameters: Parameters) -> None:
        self.gamma, self.dgamma = parameters.arrays("scale")
        self.beta, self.dbeta = parameters.arrays("shift")

    def kept_size(self, output_shape: Shape) -> int:
        return super().kept_size(output_shape) + math.prod(output_shape)

    def forward(self, x: Array, training: bool) -> Array:
        y, rows = self.y_buffer(x.shape, x), x.reshape(-1, x.shape[-1])
        self.normal = self.buffer("normal", rows.shape)
        self.s = self.buffer("s", (len(rows), 1))
        self.workers.by_rows(self._forward, [rows, self.normal, self.s, y.reshape(rows.shape)])
        return y

    def _forward(self, x: Array, normal: Array, s: Array, y: Array) -> None:
        np.subtract(x, np.mean(x, axis=1, keepdims=True), out=normal)
        v = np.mean(np.square(normal, out=y), axis=1, keepdims=True)
        np.sqrt(v + self.epsilon, out=s)
        normal /= s
        np.multiply(normal, self.gamma, out=y)
        y += self.beta

    def backward(self, dy: Array) -> Array | None:
        dx = self.dx_like(dy)
        s, normal = self.s.reshape(*dy.shape[:-1], 1), self.normal.reshape(dy.shape)
        of_parts = np.stack([self._of_part(dy[rows], normal[rows], s[rows], dx[rows]) for rows in self.moment.parts])
        if self.moment.is_common:
            of_parts = self.moment.of_all(of_parts)
        self.dbeta[...], self.dgamma[...] = np.sum(of_parts, axis=0)
        return dx if self.needs_dx else None

    def _of_part(self, *arrays: Array) -> Array:
        """dbeta and dgamma (2, D) of some of the examples, if any, whose dy, x^, s and dx these are; writes dx."""
        sums = self.workers.by_rows(self._backward, [each.reshape(-1, each.shape[-1]) for each in arrays])
        return np.broadcast_to(np.sum(sums, axis=0), (2, *self.gamma.shape))

    def _backward(self, dy: Array, normal: Array, s: Array, dx: Array) -> tuple[Array, Array]:
        """dbeta and dgamma of these rows; writes dx where it is wanted."""
        dbeta = column_sums(dy)
        product = np.multiply(dy, normal, out=self.scratch("product", dy))
        dgamma = column_sums(product)
        if self.needs_dx:
            product *= self.gamma
            g = np.multiply(dy, self.gamma, out=dx)
            mean_product = np.mean(product, axis=1, keepdims=True)
            g -= np.mean(g, axis=1, keepdims=True)
            g -= np.multiply(normal, mean_product, out=product)
            g /= s
        return dbeta, dgamma

    def worked_forward(self, x: Array, y: Array, n: int = 0) -> Iterator[Equation]:
        at = (n, *largest(y[n]))
        features, d = x[at[:-1]], at[-1]
        values = {"x_k": features, "D": len(features), "epsilon": self.epsilon, "x": x[at]}
        values |= {"gamma": self.gamma[d], "beta": self.beta[d]}
        lines = {"mu": "sum_k(x_k) / D", "v": "sum_k((x_k - mu)**2) / D", "s": "sqrt(v + epsilon)"}
        yield from in_turn(lines, values, at=at[:-1])
        yield from in_turn({"x_hat": "(x - mu) / s", "y": "gamma * x_hat + beta"}, values, {"y": y[at]}, at)

    def worked_backward(self, x: Array, y: Array, dy: Array, dx: Array | None, n: int = 0) -> Iterator[Equation]:
        normal = self.normal.reshape(x.shape)
        (d,) = largest(self.dgamma)
        values = {"dy_n": dy[..., d].ravel(), "x_hat_n": normal[..., d].ravel()}
        lines, known = (
            {"dbeta": "sum_n(dy_n)", "dgamma": "sum_n(dy_n * x_hat_n)"},
            {"dbeta": self.dbeta[d], "dgamma": self.dgamma[d]},
        )
        yield from in_turn(lines, values, known, (d,))
        if dx is not None:
            at = (n, *largest(dx[n]))
            row = at[:-1]
            values = {"gamma_k": self.gamma, "dy_k": dy[row], "x_hat_k": normal[row], "D": x.shape[-1]}
            lines = {"g_mean": "sum_k(gamma_k * dy_k) / D", "gx_mean": "sum_k(gamma_k * dy_k * x_hat_k) / D"}
            yield from in_turn(lines, values, at=row)
            values |= {"gamma": self.gamma[at[-1]], "dy": dy[at], "x_hat": normal[at]}
            values["s"] = self.s.reshape(x.shape[:-1])[row]
            yield from in_turn({"dx": "(gamma * dy - g_mean - x_hat * gx_mean) / s"}, values, {"dx": dx[at]}, at)
