"""How weights start. Each draws from a distribution whose variance depends on how many inputs and outputs a unit has.

Biases start at zero. Sources: LeCun et al. 1998 "Efficient BackProp" eq. 16; Glorot & Bengio 2010 eq. 12 and 16;
He et al. 2015 "Delving Deep into Rectifiers" eq. 10.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from nnscratch.component import Component, setting
from nnscratch.errors import ShapeError
from nnscratch.nn.compute.buffers import Array, Shape


@dataclass(frozen=True)
class Initializer(Component):
    """The starting values of one parameter array."""

    kind: ClassVar[str] = "initializer"

    starts_parts: ClassVar[bool] = False
    """Whether parts of an array, such as the groups of a convolution, each start as if it were alone."""

    def values(self, shape: Shape, fans: tuple[int, int], rng: np.random.Generator) -> Array:
        """An array of that shape in float64; fans are (n_in, n_out), the inputs and outputs of one unit."""
        raise NotImplementedError

    def require(self, shape: Shape) -> None:
        """Raises ShapeError for an array that cannot start this way; asked when the network is built."""


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
    also_called: ClassVar[tuple[str, ...]] = ("kaiming", "kaimingnormal", "kaiminguniform", "henormal", "heuniform")
    equations: ClassVar[Mapping[str, str]] = {"Var_W": "2 / n_in"}

    def variance(self, n_in: int, n_out: int) -> float:
        return 2.0 / n_in


@dataclass(frozen=True)
class Xavier(VarianceScaling):
    """Var W = 2 / (n_in + n_out): a compromise between forward and backward variance (Glorot & Bengio 2010, eq. 12)."""

    name: ClassVar[str] = "xavier"
    also_called: ClassVar[tuple[str, ...]] = (
        "glorot",
        "glorotuniform",
        "glorotnormal",
        "xavieruniform",
        "xaviernormal",
    )
    equations: ClassVar[Mapping[str, str]] = {"Var_W": "2 / (n_in + n_out)"}

    def variance(self, n_in: int, n_out: int) -> float:
        return 2.0 / (n_in + n_out)


@dataclass(frozen=True)
class LeCun(VarianceScaling):
    """Var W = 1 / n_in: keeps the variance of a linear unit (LeCun et al. 1998, eq. 16)."""

    name: ClassVar[str] = "lecun"
    also_called: ClassVar[tuple[str, ...]] = ("lecunnormal", "lecununiform")
    equations: ClassVar[Mapping[str, str]] = {"Var_W": "1 / n_in"}

    def variance(self, n_in: int, n_out: int) -> float:
        return 1.0 / n_in


@dataclass(frozen=True)
class RandomNormal(Initializer):
    """W ~ N(0, scale^2), whatever the layer's size: what networks used before their variance was understood."""

    name: ClassVar[str] = "random"
    also_called: ClassVar[tuple[str, ...]] = ("normal", "gaussian", "randomnormal")
    equations: ClassVar[Mapping[str, str]] = {"Var_W": "scale**2"}
    short: ClassVar[str | None] = "scale"

    scale: float = setting(0.01, "standard deviation", gt=0)

    def values(self, shape: Shape, fans: tuple[int, int], rng: np.random.Generator) -> Array:
        return self.scale * rng.standard_normal(shape)


@dataclass(frozen=True)
class Constant(Initializer):
    """W = value everywhere."""

    name: ClassVar[str] = "constant"
    equations: ClassVar[Mapping[str, str]] = {"W": "value"}
    short: ClassVar[str | None] = "value"

    value: float = setting(0.0, "the value of every weight")

    def values(self, shape: Shape, fans: tuple[int, int], rng: np.random.Generator) -> Array:
        return np.full(shape, self.value)


@dataclass(frozen=True)
class Zeros(Initializer):
    """W = 0. In a hidden layer every unit then computes, and learns, the same: kept to show that."""

    name: ClassVar[str] = "zeros"
    equations: ClassVar[Mapping[str, str]] = {"W": "0"}

    def values(self, shape: Shape, fans: tuple[int, int], rng: np.random.Generator) -> Array:
        return np.zeros(shape)


@dataclass(frozen=True)
class Dirac(Initializer):
    """The first filters pass their input channel on: W[centre, centre, c, c] = 1 and 0 elsewhere for c < C.

    Filters beyond the number C of input channels start as U(-1, 1) / sqrt(n_in). So a deep stack starts close to the
    identity (Zagoruyko & Komodakis 2017; as PyTorch's dirac_ on the first C filters of its default start). For a
    dense layer, (D, units), the same without a centre; of a convolution with groups, the same in each of them.
    """

    name: ClassVar[str] = "dirac"
    starts_parts: ClassVar[bool] = True
    equations: ClassVar[Mapping[str, str]] = {"W_ijck": "(i == i_centre) * (j == j_centre) * (c == k)"}

    def values(self, shape: Shape, fans: tuple[int, int], rng: np.random.Generator) -> Array:
        W = rng.uniform(-1, 1, shape) / math.sqrt(fans[0])
        passed = min(shape[-2:])
        centre = tuple((size - 1) // 2 for size in shape[:-2])
        W[..., :passed] = 0
        for channel in range(passed):
            W[(*centre, channel, channel)] = 1
        return W


@dataclass(frozen=True)
class DataInitializer(Initializer):
    """Starts weights from a batch of the layer's inputs, before training; until then they are as `he` leaves them."""

    formula_in: ClassVar[tuple[str, ...]] = ("values_from",)

    def values(self, shape: Shape, fans: tuple[int, int], rng: np.random.Generator) -> Array:
        return He().values(shape, fans, rng)

    def values_from(self, x: Array, shape: Shape) -> Array:
        """An array of that shape from the layer's inputs x; the same for the same x."""
        raise NotImplementedError


@dataclass(frozen=True)
class Whitening(DataInitializer):
    """Filters whose outputs on the data's patches are uncorrelated and of variance 1, and the same filters negated.

    With P the patches (M, kernel^2 C) of the inputs and P^T P / M = V diag(lambda) V^T: w_i = v_i / sqrt(lambda_i +
    epsilon), the largest lambda first, then -w_i in the same order (Coates & Ng 2012; Jordan 2024, "94% on CIFAR-10").
    With fewer filters than there are, the smallest lambda are left out. To a dense layer an input is one patch (M, D),
    and the filters are the principal components of the data: mostly wanted without their negatives. Meant for a frozen
    first layer, on inputs of mean 0.
    """

    name: ClassVar[str] = "whitening"
    equations: ClassVar[Mapping[str, str]] = {"w_i": "v_i / sqrt(lamda_i + epsilon)"}
    short: ClassVar[str | None] = "epsilon"

    epsilon: float = setting(5e-4, "added to every variance, against noise", gt=0)
    negatives: bool = setting(True, "half of the filters are the negatives of the other half")

    def require(self, shape: Shape) -> None:
        *kernel, C, filters = shape
        D = math.prod(kernel) * C
        if self.negatives and (filters % 2 or filters > 2 * D):
            raise ShapeError(f"whitening makes pairs of filters, at most {_product(2, *kernel, C)}, not {filters}")
        if not self.negatives and filters > D:
            raise ShapeError(f"whitening without negatives makes at most {_product(*kernel, C)} filters, not {filters}")

    def values_from(self, x: Array, shape: Shape) -> Array:
        *kernel, C, filters = shape
        D = math.prod(kernel) * C
        covariance, count = np.zeros((D, D)), 0
        for start in range(0, len(x), 256):
            P = _patches(x[start : start + 256], kernel).reshape(-1, D).astype(np.float64)
            covariance += P.T @ P
            count += len(P)
        variances, vectors = np.linalg.eigh(covariance / count)  # ascending
        chosen = filters // 2 if self.negatives else filters
        V = vectors[:, ::-1][:, :chosen]
        largest = V[np.argmax(np.abs(V), axis=0), np.arange(chosen)]
        V = V * np.sign(largest)  # an eigenvector's sign means nothing: make it the same everywhere
        W = V / np.sqrt(np.maximum(variances[::-1][:chosen], 0) + self.epsilon)
        return (np.concatenate([W, -W], axis=1) if self.negatives else W).reshape(shape)


def _patches(x: Array, kernel: list[int]) -> Array:
    """All patches of images (N, H, W, C) that a kernel sees; of flat inputs (N, D), each whole."""
    if not kernel:
        return x
    return sliding_window_view(x, tuple(kernel), axis=(1, 2)).transpose(0, 1, 2, 4, 5, 3)


def _product(*factors: int) -> str:
    """`2 x 3 x 3 = 18`, or the number alone when it is one."""
    product = str(math.prod(factors))
    return product if len(factors) == 1 else " x ".join(map(str, factors)) + f" = {product}"
