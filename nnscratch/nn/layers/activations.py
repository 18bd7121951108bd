"""Element-wise functions between the layers, and softmax. Each class opens with y = f(x) and dx from dy."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nnscratch.component import setting
from nnscratch.nn.compute.buffers import Array, Shape
from nnscratch.nn.contract import SENTINEL, broken, unwritten
from nnscratch.nn.equations import Equation, entry, largest
from nnscratch.nn.layer import Layer
from nnscratch.nn.parameters import Parameters


@dataclass(eq=False)
class Activation(Layer):
    """y = f(x) and dx = dy dy/dx for every number, where nothing is trained.

    An activation is `function` and `derivative`. The derivative is taken while x is at hand, and kept; one that follows
    from y sets `backward_needs_output`, is then given y in place of x, and nothing but y is kept.
    """

    backward_needs_input: ClassVar[bool] = False
    works_in_place: ClassVar[bool] = True

    def function(self, x: Array, y: Array, /) -> None:
        """Writes y = f(x)."""
        raise NotImplementedError

    def derivative(self, x: Array, dydx: Array, /) -> None:
        """Writes dy/dx, from x or, where `backward_needs_output`, from y."""
        raise NotImplementedError

    def function_and_derivative(self, x: Array, dydx: Array, y: Array, /) -> None:
        """Both; for an activation whose two formulas share their costly part."""
        self.derivative(x, dydx)
        self.function(x, y)

    def build(self, input_shape: Shape, parameters: Parameters) -> Shape:
        """The shape of x. Raises ContractError for a formula that gives y in place of writing it, or does neither."""
        for method, argument in ((self.function, "y"), (self.derivative, "dydx")):
            own, written = getattr(type(self), method.__name__), np.full(4, SENTINEL)
            try:
                given: object = method(np.full(4, 0.5), written)
            except Exception:  # a formula may want more of x: then it is run as it is
                continue
            if given is not None:
                raise broken(own, given, "None: it writes into its last argument")
            if np.all(written == SENTINEL):
                raise unwritten(own, argument)
        return super().build(input_shape, parameters)

    def kept_size(self, output_shape: Shape) -> int:
        derivative = 0 if self.backward_needs_output or self.returns_view else math.prod(output_shape)
        return super().kept_size(output_shape) + derivative

    def forward(self, x: Array, training: bool) -> Array:
        if self.backward_needs_output or not (training and self.needs_dx):
            self.y = self.forward_by(self.function, x)
            return self.y
        self.dydx = self.buffer("dydx", x.shape)
        return self.forward_by(self.function_and_derivative, x, self.dydx)

    def backward(self, dy: Array) -> Array | None:
        if not self.needs_dx:
            return None
        if self.backward_needs_output:
            return self.backward_by(self._chain_rule, dy, self.y)
        return self.backward_by(np.multiply, dy, self.dydx)

    def _chain_rule(self, dy: Array, y: Array, dx: Array) -> None:
        dydx = self.scratch("dydx", y)
        self.derivative(y, dydx)
        np.multiply(dy, dydx, out=dx)


def bounds_of(activation: type[Activation]) -> tuple[float, float]:
    """Between which numbers y is, as the class itself says; one that is derived from it may compute another."""
    found = vars(activation).get("bounds")
    return found if isinstance(found, tuple) else (-math.inf, math.inf)


@dataclass(eq=False)
class Identity(Activation):
    """y = x,  dx = dy.

    Derivation: dy/dx = 1.
    """

    name: ClassVar[str] = "identity"
    also_called: ClassVar[tuple[str, ...]] = ("none", "linear", "null")
    equations: ClassVar[Mapping[str, str]] = {"y": "x", "dx": "dy"}
    returns_view: ClassVar[bool] = True
    works_in_place: ClassVar[bool] = False

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
    bounds: ClassVar[tuple[float, float]] = (0.0, math.inf)
    equations: ClassVar[Mapping[str, str]] = {"y": "max(x, 0)", "dx": "dy * (y > 0)"}
    backward_needs_output: ClassVar[bool] = True

    def function(self, x: Array, y: Array) -> None:
        np.maximum(x, self.workers.zeros_like(x), out=y)

    def derivative(self, y: Array, dydx: Array) -> None:
        np.greater(y, 0, out=dydx)

    def kinks(self) -> Array | None:
        return self.y > 0


@dataclass(eq=False)
class LeakyReLU(Activation):
    """y = max(x, slope x),  dx = dy (1 if y > 0 else slope), 0 < slope < 1 (Maas et al. 2013).

    Derivation: y has slope 1 where x > 0, which is where y > 0, and slope `slope` where x < 0.
    """

    name: ClassVar[str] = "leaky_relu"
    also_called: ClassVar[tuple[str, ...]] = ("lrelu",)
    equations: ClassVar[Mapping[str, str]] = {"y": "max(x, slope * x)", "dx": "dy * max(y > 0, slope)"}
    short: ClassVar[str | None] = "slope"
    backward_needs_output: ClassVar[bool] = True

    slope: float = setting(0.01, "slope of the negative side", gt=0, lt=1)

    def function(self, x: Array, y: Array) -> None:
        np.maximum(x, np.multiply(x, self.slope, out=self.scratch("scaled", x)), out=y)

    def derivative(self, y: Array, dydx: Array) -> None:
        np.greater(y, 0, out=dydx)  # y has the sign of x
        np.maximum(dydx, self.slope, out=dydx)

    def kinks(self) -> Array | None:
        return self.y > 0


@dataclass(eq=False)
class Sigmoid(Activation):
    """y = 1 / (1 + e^-x),  dx = dy y (1 - y)    (Rumelhart et al. 1986)

    Derivation: with y = (1 + e^-x)^-1 and 1 - y = e^-x y,
        dy/dx = e^-x (1 + e^-x)^-2 = e^-x y y = y (1 - y)
    """

    name: ClassVar[str] = "sigmoid"
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)
    also_called: ClassVar[tuple[str, ...]] = ("logistic",)
    equations: ClassVar[Mapping[str, str]] = {"y": "1 / (1 + exp(-x))", "dx": "dy * y * (1 - y)"}
    backward_needs_output: ClassVar[bool] = True

    def function(self, x: Array, y: Array) -> None:
        sigmoid(x, out=y)

    def derivative(self, y: Array, dydx: Array) -> None:
        np.subtract(1, y, out=dydx)
        dydx *= y


@dataclass(eq=False)
class Tanh(Activation):
    """y = tanh x,  dx = dy (1 - y^2)    (LeCun et al. 1998, 4.4).

    Derivation: y = s / c with s = sinh x, c = cosh x, s' = c, c' = s, so
        dy/dx = (c c - s s) / c^2 = 1 - y^2
    """

    name: ClassVar[str] = "tanh"
    bounds: ClassVar[tuple[float, float]] = (-1.0, 1.0)
    equations: ClassVar[Mapping[str, str]] = {"y": "tanh(x)", "dx": "dy * (1 - y**2)"}
    backward_needs_output: ClassVar[bool] = True

    def function(self, x: Array, y: Array) -> None:
        np.tanh(x, out=y)

    def derivative(self, y: Array, dydx: Array) -> None:
        np.square(y, out=dydx)
        np.subtract(1, dydx, out=dydx)


@dataclass(eq=False)
class GELU(Activation):
    """y = x (1 + tanh u) / 2,  u = sqrt(2 / pi) (x + 0.044715 x^3)    (Hendrycks & Gimpel 2016, the tanh form)

    dx = dy [ (1 + tanh u) / 2 + x (1 - tanh^2 u) u' / 2 ],  u' = sqrt(2 / pi) (1 + 3 * 0.044715 x^2).

    Where e^-2u overflows, y is 0, which is right within 4e-39 |x|; dx is right for |x| < 1e9.

    Derivation: the product rule on x times (1 + tanh u) / 2, where the derivative of tanh u is (1 - tanh^2 u) u'.
    """

    name: ClassVar[str] = "gelu"
    equations: ClassVar[Mapping[str, str]] = {
        "u": "sqrt(2 / pi) * (x + 0.044715 * x**3)",
        "y": "x * (1 + tanh(u)) / 2",
        "u_slope": "sqrt(2 / pi) * (1 + 3 * 0.044715 * x**2)",
        "dx": "dy * ((1 + tanh(u)) / 2 + x * (1 - tanh(u)**2) * u_slope / 2)",
    }

    SCALE: ClassVar[float] = math.sqrt(2 / math.pi)
    CUBIC: ClassVar[float] = 0.044715

    def function(self, x: Array, y: Array) -> None:
        q = self._q(x, out=self.scratch("q", x))  # not in y, which may be x
        np.multiply(x, self._gate(q, x), out=y)

    def function_and_derivative(self, x: Array, dydx: Array, y: Array) -> None:
        """dy/dx = gate + 2 x u' gate (1 - gate), since 1 - tanh^2 u = 4 gate (1 - gate).

        2 u' = 2 sqrt(2 / pi) (1 + 3 * 0.044715 x^2) = -3 q - 4 sqrt(2 / pi).
        """
        q = self._q(x, out=dydx)
        gate = self._gate(q, x)
        dydx *= -3
        dydx -= 4 * self.SCALE
        np.multiply(x, gate, out=y)
        dydx *= y
        dydx *= np.subtract(1, gate, out=self.scratch("rest", x))
        dydx += gate

    def _q(self, x: Array, out: Array) -> Array:
        """q = -2u / x, written into out."""
        np.square(x, out=out)
        out *= -2 * self.SCALE * self.CUBIC
        out -= 2 * self.SCALE
        return out

    def _gate(self, q: Array, x: Array) -> Array:
        """(1 + tanh u) / 2 = 1 / (1 + e^-2u) = 1 / (1 + e^(q x)), in scratch memory."""
        return logistic(np.multiply(q, x, out=self.scratch("gate", x)))


@dataclass(eq=False)
class SiLU(Activation):
    """y = x s,  s = sigmoid(x),  dx = dy s (1 + x (1 - s)) = dy (s + y (1 - s))    (Elfwing et al. 2018)

    Derivation: the product rule, with s' = s (1 - s):
        dy/dx = s + x s (1 - s) = s + y (1 - s)
    """

    name: ClassVar[str] = "silu"
    also_called: ClassVar[tuple[str, ...]] = ("swish",)
    equations: ClassVar[Mapping[str, str]] = {"s": "1 / (1 + exp(-x))", "y": "x * s", "dx": "dy * (s + y * (1 - s))"}

    def function(self, x: Array, y: Array) -> None:
        np.multiply(x, sigmoid(x, out=self.scratch("s", x)), out=y)

    def function_and_derivative(self, x: Array, dydx: Array, y: Array) -> None:
        s = sigmoid(x, out=self.scratch("s", x))
        np.multiply(x, s, out=y)
        np.subtract(1, s, out=dydx)
        dydx *= y
        dydx += s


@dataclass(eq=False)
class Softmax(Activation):
    """y_i = e^x_i / sum_j e^x_j over the last axis, computed on x - max x, which changes nothing and cannot overflow.

    Its Jacobian is dy_i/dx_j = y_i ([i = j] - y_j), so dx = y (dy - sum_j dy_j y_j) (Bridle 1990).

    Derivation: with S = sum_k e^x_k,
        dy_i/dx_j = [i = j] e^x_i / S - e^x_i e^x_j / S^2 = y_i ([i = j] - y_j)
        dx_j = sum_i dy_i y_i ([i = j] - y_j) = y_j (dy_j - sum_i dy_i y_i)
    """

    name: ClassVar[str] = "softmax"
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)
    backward_needs_output: ClassVar[bool] = True

    def forward(self, x: Array, training: bool) -> Array:
        self.y = y = self.y_like(x)
        np.subtract(x, np.max(x, axis=-1, keepdims=True), out=y)
        np.exp(y, out=y)
        y /= np.sum(y, axis=-1, keepdims=True)
        return y

    def backward(self, dy: Array) -> Array | None:
        weighted = np.multiply(dy, self.y, out=self.buffer("weighted", dy.shape))
        dx = self.dx_like(dy)
        np.subtract(dy, np.sum(weighted, axis=-1, keepdims=True), out=dx)
        dx *= self.y
        return dx

    def worked_forward(self, x: Array, y: Array, n: int = 0) -> Iterator[Equation]:
        *place, j = largest(y[n])
        row = x[(n, *place)]
        yield (shift := Equation.of("m", "max_i(x_i)", {"x_i": row}))
        values = {"x_j": row[j], "x_i": row, "m": shift.value}
        yield Equation.of(entry("y", n, *place, j), "exp(x_j - m) / sum_i(exp(x_i - m))", values, y[(n, *place, j)])

    def worked_backward(self, x: Array, y: Array, dy: Array, dx: Array | None, n: int = 0) -> Iterator[Equation]:
        if dx is None:
            return
        *place, j = largest(dx[n])
        outputs, gradients = y[(n, *place)], dy[(n, *place)]
        values = {"y_j": outputs[j], "dy_j": gradients[j], "y_i": outputs, "dy_i": gradients}
        yield Equation.of(entry("dx", n, *place, j), "y_j * (dy_j - sum_i(dy_i * y_i))", values, dx[(n, *place, j)])


def sigmoid(x: Array, out: Array) -> Array:
    """1 / (1 + e^-x), written into out (which may be x)."""
    return logistic(np.negative(x, out=out))


def logistic(z: Array) -> Array:
    """1 / (1 + e^z), written over z: 0 where e^z is too large for its precision."""
    with np.errstate(over="ignore"):
        np.exp(z, out=z)  # half the time of a tanh
    z += 1
    return np.reciprocal(z, out=z)
