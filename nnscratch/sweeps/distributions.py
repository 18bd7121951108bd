"""The distributions of W&B's sweep schema: what Optuna samples (`raw`), and the config value that it stands for.

A quantized distribution (`q_...`) rounds to multiples of q inside its bounds. `normal`, `log_normal`, `beta` and what
has several parts have no counterpart in Optuna: what is sampled there is the quantile, a number between 0 and 1.
"""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from nnscratch.config.node import Value
from nnscratch.report.formats import printable, setting

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

Raw = str | int | float
EDGE = 1e-6  # quantiles stay this far from 0 and 1, where a normal distribution is infinite


class Distribution(ABC):
    """What a parameter may be. Its text says all there is to it: equal texts are equal distributions."""

    @abstractmethod
    def sampled(self) -> BaseDistribution | None:
        """What Optuna samples; None for a constant."""

    @abstractmethod
    def value(self, raw: Raw) -> Value:
        """The config value that a sampled raw value stands for."""

    def at(self, u: float) -> Value:
        """The value at a quantile, 0 <= u < 1: what is sampled, where it has no other measure."""
        return self.value(u)

    def size(self) -> int | None:
        """How many values there are; None when there is no end to them."""
        return None

    def grid(self) -> Sequence[Value]:
        """Every value in order, when there is an end to them."""
        raise NotImplementedError

    @abstractmethod
    def examples(self) -> list[Value]:
        """Values to check against the config before anything is trained."""


@dataclass(frozen=True)
class Constant(Distribution):
    """One value."""

    constant: Value

    def __str__(self) -> str:
        return json.dumps(self.constant)

    def sampled(self) -> BaseDistribution | None:
        return None

    def value(self, raw: Raw) -> Value:
        return self.constant

    def size(self) -> int | None:
        return 1

    def grid(self) -> Sequence[Value]:
        return [self.constant]

    def examples(self) -> list[Value]:
        return [self.constant]


@dataclass(frozen=True)
class Choice(Distribution):
    """One of some values, equally likely."""

    values: Sequence[Value]

    def __str__(self) -> str:
        return f"one of {', '.join(map(json.dumps, self.values))}"

    @cached_property
    def labels(self) -> list[str]:
        """The values as text, since Optuna knows neither lists nor the difference between 1 and true."""
        labels = [_label(value) for value in self.values]
        return labels if len(set(labels)) == len(labels) else [json.dumps(value) for value in self.values]

    def sampled(self) -> BaseDistribution | None:
        from optuna.distributions import CategoricalDistribution

        return CategoricalDistribution(self.labels)

    def label(self, value: Value) -> str:
        """The text of one of the values."""
        return self.labels[[json.dumps(each) for each in self.values].index(json.dumps(value))]

    def value(self, raw: Raw) -> Value:
        return self.values[self.labels.index(str(raw))]

    def size(self) -> int | None:
        return len(self.values)

    def grid(self) -> Sequence[Value]:
        return self.values

    def examples(self) -> list[Value]:
        return list(self.values)


@dataclass(frozen=True)
class Mixture(Distribution):
    """One of several parts, values or distributions themselves: equally likely, or with the probabilities given."""

    parts: Sequence[Distribution]
    probabilities: Sequence[float] | None = None

    def __str__(self) -> str:
        shares = f" with probabilities {', '.join(map(repr, self.probabilities))}" if self.probabilities else ""
        return f"one of {', '.join(map(str, self.parts))}{shares}"

    @cached_property
    def _edges(self) -> list[float]:
        """Where, between 0 and 1, each part begins, and 1."""
        shares = np.array(self.probabilities or [1.0] * len(self.parts), dtype=np.float64)
        return [0.0, *(np.cumsum(shares) / shares.sum()).tolist()]

    def sampled(self) -> BaseDistribution | None:
        from optuna.distributions import FloatDistribution

        return FloatDistribution(0.0, 1.0)

    def value(self, raw: Raw) -> Value:
        u, edges = float(raw), self._edges
        part = min(int(np.searchsorted(edges, u, side="right")), len(self.parts)) - 1
        width = edges[part + 1] - edges[part]
        return self.parts[part].at(min((u - edges[part]) / width, 1.0 - EDGE) if width else 0.0)

    def examples(self) -> list[Value]:
        return [value for part in self.parts for value in part.examples()]


@dataclass(frozen=True)
class Integers(Distribution):
    """Every integer from low to high, equally likely."""

    low: int
    high: int

    def __str__(self) -> str:
        return f"an integer from {self.low} to {self.high}"

    def sampled(self) -> BaseDistribution | None:
        from optuna.distributions import IntDistribution

        return IntDistribution(self.low, self.high)

    def value(self, raw: Raw) -> Value:
        return int(raw)

    def at(self, u: float) -> Value:
        return self.low + int(u * (self.high - self.low + 1))

    def size(self) -> int | None:
        return self.high - self.low + 1

    def grid(self) -> Sequence[Value]:
        return range(self.low, self.high + 1)

    def examples(self) -> list[Value]:
        return [self.low, self.high]


@dataclass(frozen=True)
class Interval(Distribution):
    """Uniform, or uniform in the logarithm, from low to high; with q, rounded to a multiple of it."""

    low: float
    high: float
    is_logarithmic: bool = False
    q: float | None = None

    def __str__(self) -> str:
        scale = ", logarithmic" if self.is_logarithmic else ""
        return f"a number from {self.low!r} to {self.high!r}{scale}{_steps(self.q)}"

    def sampled(self) -> BaseDistribution | None:
        from optuna.distributions import FloatDistribution

        return FloatDistribution(self.low, self.high, log=self.is_logarithmic)

    def value(self, raw: Raw) -> Value:
        return float(raw) if self.q is None else rounded(float(raw), self.q, self.low, self.high)

    def at(self, u: float) -> Value:
        if self.is_logarithmic:
            exponent = math.log(self.low) + u * (math.log(self.high) - math.log(self.low))
            return self.value(min(max(math.exp(exponent), self.low), self.high))
        return self.value(self.low + (self.high - self.low) * u)

    def size(self) -> int | None:
        if self.q is None or self.is_logarithmic:
            return None
        first, last = multiples(self.q, self.low, self.high)
        return last - first + 1

    def grid(self) -> Sequence[Value]:
        assert self.q is not None
        first, last = multiples(self.q, self.low, self.high)
        return [rounded(k * self.q, self.q) for k in range(first, last + 1)]

    def examples(self) -> list[Value]:
        return [self.value(self.low), self.value(self.high)]

    def reach(self) -> tuple[float, float]:
        """The smallest and the largest number, before rounding."""
        return self.low, self.high


@dataclass(frozen=True)
class Quantiles(Distribution):
    """`normal` (mu, sigma), `log_normal` (mu, sigma of the logarithm) or `beta` (a, b); with q, rounded to it."""

    kind: str
    shape: Mapping[str, float] = field(default_factory=dict)
    q: float | None = None

    def __str__(self) -> str:
        return f"{self.kind} with {', '.join(f'{key} {value!r}' for key, value in self.shape.items())}{_steps(self.q)}"

    def sampled(self) -> BaseDistribution | None:
        from optuna.distributions import FloatDistribution

        return FloatDistribution(EDGE, 1.0 - EDGE)

    def value(self, raw: Raw) -> Value:
        value = self._quantile(min(max(float(raw), EDGE), 1.0 - EDGE))
        return value if self.q is None else rounded(value, self.q)

    def examples(self) -> list[Value]:
        return [self.value(raw) for raw in (0.25, 0.75)]

    def reach(self) -> tuple[float, float]:
        """The smallest and the largest number, before rounding. Raises OverflowError when there is no such number."""
        return self._quantile(EDGE), self._quantile(1.0 - EDGE)

    def _quantile(self, u: float) -> float:
        if self.kind == "beta":
            return float(np.quantile(self._beta_draws, u))
        sigma = self.shape["sigma"]
        value = self.shape["mu"] + (sigma * NormalDist().inv_cdf(u) if sigma else 0.0)
        return math.exp(value) if self.kind == "log_normal" else value

    @cached_property
    def _beta_draws(self) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        # The inverse of beta's distribution function has no formula; as a search prior, that of many draws will do.
        return np.random.default_rng(0).beta(self.shape["a"], self.shape["b"], 100_000)


def multiples(q: float, low: float, high: float) -> tuple[int, int]:
    """The smallest and the largest k with low <= k q <= high; none fits when the first is larger."""
    slack = 1e-9 * max(abs(low / q), abs(high / q), 1.0)
    return math.ceil(low / q - slack), math.floor(high / q + slack)


def rounded(value: float, q: float, low: float = -math.inf, high: float = math.inf) -> int | float:
    """The nearest multiple of q inside the bounds; an integer when q is one."""
    k = round(value / q)
    if math.isfinite(low) and math.isfinite(high):
        first, last = multiples(q, low, high)
        k = min(max(k, first), last)
    # 3 * 0.1 is 0.30000000000000004; what was meant is 0.3.
    return k * q if isinstance(q, int) else float(f"{k * q:.12g}")


def _label(value: Value) -> str:
    """A value as the studies of before have it: of a mapping Python's way to write it."""
    if isinstance(value, list):
        return f"[{', '.join(map(_label, value))}]"
    return printable(str(value)) if isinstance(value, dict) else setting(value)


def _steps(q: float | None) -> str:
    return "" if q is None else f", in steps of {q!r}"
