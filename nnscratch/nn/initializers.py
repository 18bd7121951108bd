"""How weights start. Each draws from a distribution whose variance depends on how many inputs and outputs a unit has.

Biases start at zero. Sources: LeCun et al. 1998 "Efficient BackProp" eq. 16; Glorot & Bengio 2010 eq. 12 and 16;
He et al. 2015 "Delving Deep into Rectifiers" eq. 10.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from nnscratch.nn.buffers import Array, Shape
from nnscratch.nn.component import Component, setting


@dataclass(frozen=True)
class Initializer(Component):
    """The starting values of one parameter array."""

    kind: ClassVar[str] = "initializer"

    def values(self, shape: Shape, fans: tuple[int, int], rng: np.random.Generator) -> Array:
        """An array of that shape in float64; fans are (n_in, n_out), the inputs and outputs of one unit."""
        raise NotImplementedError


@dataclass(frozen=True)
class VarianceScaling(Initializer):
    """W ~ N(0, variance), or the uniform distribution of the same variance: U(-sqrt(3 variance), sqrt(3 variance))."""

    distribution: Literal["normal", "uniform"] = setting("normal", "its shape; the variance is the same")

    def variance(self, n_in: int, n_out: int) -> float:
        raise NotImplementedError

    def values(self, shape: Shape, fans: tuple[int, int], rng: np.random.Generator) -> Array:
        standard_deviation = math.sqrt(self.variance(*fans))
        if self.distribution == "uniform":
            limit = math.sqrt(3.0) * standard_deviation
            return rng.uniform(-limit, limit, shape)
        return standard_deviation * rng.standard_normal(shape)


@dataclass(frozen=True)
class He(VarianceScaling):
    """Var W = 2 / n_in: keeps the variance of activations through ReLU layers (He et al. 2015, eq. 10)."""

    name: ClassVar[str] = "he"

    def variance(self, n_in: int, n_out: int) -> float:
        return 2.0 / n_in


@dataclass(frozen=True)
class Xavier(VarianceScaling):
    """Var W = 2 / (n_in + n_out): a compromise between forward and backward variance (Glorot & Bengio 2010, eq. 12)."""

    name: ClassVar[str] = "xavier"

    def variance(self, n_in: int, n_out: int) -> float:
        return 2.0 / (n_in + n_out)


@dataclass(frozen=True)
class LeCun(VarianceScaling):
    """Var W = 1 / n_in: keeps the variance of a linear unit (LeCun et al. 1998, eq. 16)."""

    name: ClassVar[str] = "lecun"

    def variance(self, n_in: int, n_out: int) -> float:
        return 1.0 / n_in


@dataclass(frozen=True)
class RandomNormal(Initializer):
    """W ~ N(0, scale^2), whatever the layer's size: what networks used before their variance was understood."""

    name: ClassVar[str] = "random"
    short: ClassVar[str | None] = "scale"

    scale: float = setting(0.01, "standard deviation", gt=0)

    def values(self, shape: Shape, fans: tuple[int, int], rng: np.random.Generator) -> Array:
        return self.scale * rng.standard_normal(shape)


@dataclass(frozen=True)
class Constant(Initializer):
    """W = value everywhere."""

    name: ClassVar[str] = "constant"
    short: ClassVar[str | None] = "value"

    value: float = setting(0.0, "the value of every weight")

    def values(self, shape: Shape, fans: tuple[int, int], rng: np.random.Generator) -> Array:
        return np.full(shape, self.value)


@dataclass(frozen=True)
class Zeros(Initializer):
    """W = 0. In a hidden layer every unit then computes, and learns, the same: kept to show that."""

    name: ClassVar[str] = "zeros"

    def values(self, shape: Shape, fans: tuple[int, int], rng: np.random.Generator) -> Array:
        return np.zeros(shape)
