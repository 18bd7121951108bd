"""What few repeated figures say of their mean: Student's t interval, and how many repetitions a difference takes.

Student, "The probable error of a mean" (1908); the distribution function for whole degrees of freedom is Abramowitz &
Stegun 1964, 26.7.3 and 26.7.4.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from statistics import fmean, stdev

CONFIDENCE = 0.95
POWER = 0.8
MOST_REPETITIONS = 1000


@dataclass(frozen=True)
class Interval:
    """The mean of some figures, their standard deviation, and the 95 % interval of the mean.

    Of one figure the mean alone; of figures that are all alike no interval: they do not say how far others would lie.
    """

    mean: float
    count: int
    deviation: float | None = None
    low: float | None = None
    high: float | None = None

    @property
    def why_none(self) -> str | None:
        """Why there is no interval; None when there is one."""
        if self.low is not None:
            return None
        return "one figure alone" if self.count < 2 else f"all {self.count} are alike"

    @property
    def is_clear(self) -> bool:
        """Whether 0 lies outside the interval."""
        return self.low is not None and self.high is not None and not self.low <= 0 <= self.high


def interval(
    values: Sequence[float], overlap: float = 0.0, least: float = -math.inf, most: float = math.inf
) -> Interval:
    """The mean of the values, and its 95 % interval: mean +- t s sqrt(1/n + overlap), t of n - 1 degrees of freedom.

    Values that are all alike have none: one of no width would be a certainty that they do not give.

    It ends at `least` and `most`, which no mean of such values can pass: a share's at 0 and 1.

    `overlap` is 0 for independent figures. The folds of one data set are not: they share most of their training
    examples, and their interval would be too narrow without the share of held-out to training examples, 1 / (k - 1)
    for k folds (Nadeau & Bengio, "Inference for the generalization error", 2003, section 3.2).
    """
    n = len(values)
    if n < 2:
        return Interval(fmean(values), n)
    mean, deviation = fmean(values), stdev(values)
    if math.isclose(min(values), max(values), rel_tol=1e-9, abs_tol=1e-12):  # differences of figures are rounded
        return Interval(mean, n, 0.0)
    half = quantile(1 - (1 - CONFIDENCE) / 2, n - 1) * deviation * math.sqrt(1 / n + overlap)
    return Interval(mean, n, deviation, max(least, mean - half), min(most, mean + half))


def repetitions_needed(difference: float, deviation: float) -> int | None:
    """How many pairs would show such a difference four times in five, were mean and deviation the true ones.

    The least n with (t_0.975 + t_0.8) s / sqrt(n) <= |difference|; None when it is more than a thousand.
    """

    def shows(n: int) -> bool:
        reach = quantile(1 - (1 - CONFIDENCE) / 2, n - 1) + quantile(POWER, n - 1)
        return reach * deviation / math.sqrt(n) <= abs(difference)

    least = bisect_left(range(MOST_REPETITIONS + 1), True, lo=2, key=shows)  # more pairs never show less
    return least if least <= MOST_REPETITIONS else None


def quantile(p: float, degrees: int) -> float:
    """The t that Student's distribution with so many degrees of freedom lies below with probability p, 0.5 <= p < 1."""
    low, high = 0.0, 1.0
    while distribution(high, degrees) < p:
        high *= 2
    while (middle := (low + high) / 2) not in (low, high):
        low, high = (middle, high) if distribution(middle, degrees) < p else (low, middle)
    return high


def distribution(t: float, degrees: int) -> float:
    """The probability of a value below t."""
    theta = math.atan2(t, math.sqrt(degrees))
    squared = math.cos(theta) ** 2
    if degrees % 2:
        # cos + 2/3 cos^3 + ... + (2 4 ... (k-3)) / (3 5 ... (k-2)) cos^(k-2)
        factors = (squared * (2 * i) / (2 * i + 1) for i in range(1, (degrees - 1) // 2))
        inner = sum(accumulate(factors, lambda term, factor: term * factor, initial=math.cos(theta)))
        within = 2 / math.pi * (theta + (math.sin(theta) * inner if degrees > 1 else 0))
    else:
        # 1 + 1/2 cos^2 + ... + (1 3 ... (k-3)) / (2 4 ... (k-2)) cos^(k-2)
        factors = (squared * (2 * i - 1) / (2 * i) for i in range(1, degrees // 2))
        within = math.sin(theta) * sum(accumulate(factors, lambda term, factor: term * factor, initial=1.0))
    return 0.5 + within / 2
