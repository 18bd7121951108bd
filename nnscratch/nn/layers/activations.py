"""Element-wise functions between the layers, and softmax. Each class opens with y = f(x) and dx from dy.

`elementwise` runs a formula piece by piece on several cores when the batch is large, and at once when it is not.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nnscratch.component import setting
from nnscratch.nn.compute.buffers import Array
from nnscratch.nn.layer import Layer

LARGEST_EXPONENT = 80.0
"""e^80 is still a float32; 1 / (1 + e^80) is zero beside anything a network adds to it."""


@dataclass(eq=False)
class Activation(Layer):
    """y has the shape of x and nothing is trained."""


@dataclass(eq=False)
class Identity(Activation):
    """y = x,  dx = dy.

    Derivation: dy/dx = 1.
    """

    name: ClassVar[str] = "identity"
    equations: ClassVar[Mapping[str, str]] = {"y": "x", "dx": "dy"}
    returns_view: ClassVar[bool] = True

    def forward(self, x: Array, training: bool) -> Array:
        return x

    def backward(self, dy: Array) -> Array | None:
        return dy


@dataclass(eq=False)
class ReLU(Activation):
    """y = max(x, 0),  dx = dy [y > 0]; at x = 0 the derivative is taken as 0 (Nair & Hinton 2010).

    Derivation: y has slope 1 where x > 0, which is where y > 0, and slope 0 where x < 0; dx = dy times the slope.
    """

    name: ClassVar[str] = "relu"
    equations: ClassVar[Mapping[str, str]] = {"y": "max(x, 0)", "dx": "dy * (y > 0)"}
    backward_needs_output: ClassVar[bool] = True

    def forward(self, x: Array, training: bool) -> Array:
        self.y = self.y_like(x)
        self.workers.elementwise(self._forward, x, self.y)
        return self.y

    def _forward(self, x: Array, y: Array) -> None:
        np.maximum(x, self.workers.zeros(x.shape, x.dtype), out=y)

    def backward(self, dy: Array) -> Array | None:
        dx = self.dx_like(dy)
        self.workers.elementwise(self._backward, dy, self.y, dx)
        return dx

    def _backward(self, dy: Array, y: Array, dx: Array) -> None:
        active = np.greater(y, 0, out=self.workers.scratch("active", y.shape, np.bool_))
        np.multiply(dy, active, out=dx)

    def kinks(self) -> Array | None:
        return self.y > 0


@dataclass(eq=False)
class LeakyReLU(Activation):
    """y = max(x, slope x),  dx = dy (1 if y > 0 else slope), 0 < slope < 1 (Maas et al. 2013).

    Derivation: y has slope 1 where x > 0, which is where y > 0, and slope `slope` where x < 0.
    """

    name: ClassVar[str] = "leaky_relu"
    equations: ClassVar[Mapping[str, str]] = {"y": "max(x, slope * x)", "dx": "dy * max(y > 0, slope)"}
    short: ClassVar[str | None] = "slope"
    backward_needs_output: ClassVar[bool] = True

    slope: float = setting(0.01, "slope of the negative side", gt=0, lt=1)

    def forward(self, x: Array, training: bool) -> Array:
        scaled = np.multiply(x, self.slope, out=self.buffer("scaled", x.shape))
        self.y = np.maximum(x, scaled, out=self.y_like(x))  # y has the sign of x, so backward needs y alone
        return self.y

    def backward(self, dy: Array) -> Array | None:
        derivative = self.buffer("scaled", dy.shape)
        np.greater(self.y, 0, out=derivative)
        np.maximum(derivative, self.slope, out=derivative)
        return np.multiply(dy, derivative, out=self.dx_like(dy))

    def kinks(self) -> Array | None:
        return self.y > 0


@dataclass(eq=False)
class Sigmoid(Activation):
    """y = 1 / (1 + e^-x),  dx = dy y (1 - y)    (Rumelhart et al. 1986)

    Derivation: with y = (1 + e^-x)^-1 and 1 - y = e^-x y,
        dy/dx = e^-x (1 + e^-x)^-2 = e^-x y y = y (1 - y)
    """

    name: ClassVar[str] = "sigmoid"
    equations: ClassVar[Mapping[str, str]] = {"y": "1 / (1 + exp(-x))", "dx": "dy * y * (1 - y)"}
    backward_needs_output: ClassVar[bool] = True

    def forward(self, x: Array, training: bool) -> Array:
        self.y = sigmoid(x, out=self.y_like(x))
        return self.y

    def backward(self, dy: Array) -> Array | None:
        derivative = np.subtract(1, self.y, out=self.buffer("derivative", dy.shape))
        derivative *= self.y
        return np.multiply(dy, derivative, out=self.dx_like(dy))


@dataclass(eq=False)
class Tanh(Activation):
    """y = tanh x,  dx = dy (1 - y^2)    (LeCun et al. 1998, 4.4).

    Derivation: y = s / c with s = sinh x, c = cosh x, s' = c, c' = s, so
        dy/dx = (c c - s s) / c^2 = 1 - y^2
    """

    name: ClassVar[str] = "tanh"
    equations: ClassVar[Mapping[str, str]] = {"y": "tanh(x)", "dx": "dy * (1 - y**2)"}
    backward_needs_output: ClassVar[bool] = True

    def forward(self, x: Array, training: bool) -> Array:
        self.y = np.tanh(x, out=self.y_like(x))
        return self.y

    def backward(self, dy: Array) -> Array | None:
        derivative = np.square(self.y, out=self.buffer("derivative", dy.shape))
        np.subtract(1, derivative, out=derivative)
        return np.multiply(dy, derivative, out=self.dx_like(dy))


@dataclass(eq=False)
class GELU(Activation):
    """y = x (1 + tanh u) / 2,  u = sqrt(2 / pi) (x + 0.044715 x^3)    (Hendrycks & Gimpel 2016, the tanh form)

    dx = dy [ (1 + tanh u) / 2 + x (1 - tanh^2 u) u' / 2 ],  u' = sqrt(2 / pi) (1 + 3 * 0.044715 x^2).

    Derivation: the product rule on x times (1 + tanh u) / 2, where the derivative of tanh u is (1 - tanh^2 u) u'.
    """

    name: ClassVar[str] = "gelu"
    equations: ClassVar[Mapping[str, str]] = {
        "u": "sqrt(2 / pi) * (x + 0.044715 * x**3)",
        "y": "x * (1 + tanh(u)) / 2",
        "du": "sqrt(2 / pi) * (1 + 3 * 0.044715 * x**2)",
        "dx": "dy * ((1 + tanh(u)) / 2 + x * (1 - tanh(u)**2) * du / 2)",
    }

    SCALE: ClassVar[float] = math.sqrt(2 / math.pi)
    CUBIC: ClassVar[float] = 0.044715

    def forward(self, x: Array, training: bool) -> Array:
        y = self.y_like(x)
        if training and self.needs_dx:
            self.derivative = self.buffer("derivative", x.shape)
            self.workers.elementwise(self._forward_and_derivative, x, y, self.derivative)
        else:
            self.workers.elementwise(self._forward, x, y)
        return y

    def backward(self, dy: Array) -> Array | None:
        if not self.needs_dx:
            return None
        dx = self.dx_like(dy)
        self.workers.elementwise(self._backward, dy, self.derivative, dx)
        return dx

    def _forward(self, x: Array, y: Array) -> None:
        q = self._slope(x, self.workers.scratch("q", x.shape, x.dtype))  # not in y, which may be x
        np.multiply(x, self._gate(x, q), out=y)

    def _slope(self, x: Array, out: Array) -> Array:
        """q = -2u / x, written into out."""
        np.square(x, out=out)
        out *= -2 * self.SCALE * self.CUBIC
        out -= 2 * self.SCALE
        return out

    def _gate(self, x: Array, q: Array) -> Array:
        """(1 + tanh u) / 2 = 1 / (1 + e^-2u) = 1 / (1 + e^(q x)), in scratch memory."""
        gate = np.multiply(q, x, out=self.workers.scratch("gate", x.shape, x.dtype))
        return logistic(gate)

    def _forward_and_derivative(self, x: Array, y: Array, derivative: Array) -> None:
        """While x is at hand: f'(x) = gate + 2 x u' gate (1 - gate), since 1 - tanh^2 u = 4 gate (1 - gate).

        2 u' = 2 sqrt(2 / pi) (1 + 3 * 0.044715 x^2) = -3 q - 4 sqrt(2 / pi).
        """
        q = self._slope(x, derivative)
        gate = self._gate(x, q)
        derivative *= -3
        derivative -= 4 * self.SCALE
        np.multiply(x, gate, out=y)
        derivative *= y
        rest = np.subtract(1, gate, out=self.workers.scratch("rest", x.shape, x.dtype))
        derivative *= rest
        derivative += gate

    def _backward(self, dy: Array, derivative: Array, dx: Array) -> None:
        np.multiply(dy, derivative, out=dx)


@dataclass(eq=False)
class SiLU(Activation):
    """y = x s,  s = sigmoid(x),  dx = dy s (1 + x (1 - s)) = dy (s + y (1 - s))    (Elfwing et al. 2018)

    Derivation: the product rule, with s' = s (1 - s):
        dy/dx = s + x s (1 - s) = s + y (1 - s)
    """

    name: ClassVar[str] = "silu"
    equations: ClassVar[Mapping[str, str]] = {"s": "1 / (1 + exp(-x))", "y": "x * s", "dx": "dy * (s + y * (1 - s))"}
    backward_needs_output: ClassVar[bool] = True

    def forward(self, x: Array, training: bool) -> Array:
        self.s = sigmoid(x, out=self.buffer("s", x.shape))
        self.y = np.multiply(x, self.s, out=self.y_like(x))
        return self.y

    def backward(self, dy: Array) -> Array | None:
        derivative = np.subtract(1, self.s, out=self.buffer("derivative", dy.shape))
        derivative *= self.y
        derivative += self.s
        return np.multiply(dy, derivative, out=self.dx_like(dy))


@dataclass(eq=False)
class Softmax(Activation):
    """y_i = e^x_i / sum_j e^x_j over the last axis, computed on x - max x, which changes nothing and cannot overflow.

    Its Jacobian is dy_i/dx_j = y_i ([i = j] - y_j), so dx = y (dy - sum_j dy_j y_j) (Bridle 1990).

    Derivation: with S = sum_k e^x_k,
        dy_i/dx_j = [i = j] e^x_i / S - e^x_i e^x_j / S^2 = y_i ([i = j] - y_j)
        dx_j = sum_i dy_i y_i ([i = j] - y_j) = y_j (dy_j - sum_i dy_i y_i)
    """

    name: ClassVar[str] = "softmax"
    backward_needs_output: ClassVar[bool] = True

    def forward(self, x: Array, training: bool) -> Array:
        y: Array = np.subtract(x, np.max(x, axis=-1, keepdims=True), out=self.y_like(x))
        np.exp(y, out=y)
        y /= np.sum(y, axis=-1, keepdims=True)
        self.y = y
        return self.y

    def backward(self, dy: Array) -> Array | None:
        weighted = np.multiply(dy, self.y, out=self.buffer("weighted", dy.shape))
        dx: Array = self.dx_like(dy)
        np.subtract(dy, np.sum(weighted, axis=-1, keepdims=True), out=dx)
        dx *= self.y
        return dx


def sigmoid(x: Array, out: Array) -> Array:
    """1 / (1 + e^-x), written into out (which may be x)."""
    return logistic(np.negative(x, out=out))


def logistic(z: Array) -> Array:
    """1 / (1 + e^z), written over z."""
    np.minimum(z, LARGEST_EXPONENT, out=z)
    np.exp(z, out=z)  # half the time of a tanh
    z += 1
    return np.reciprocal(z, out=z)
