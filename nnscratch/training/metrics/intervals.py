"""How far a figure may be off because its split is a sample: 95 % intervals, by bootstrap but for an accuracy's.

A split of N examples is drawn again from itself, N examples with replacement, RESAMPLES times; the interval is between
the 2.5th and the 97.5th percentile of the figure (Efron 1979). It is of these weights on other examples of the same
kind; another seed of training would move the figure, too, and is not in it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from nnscratch.nn.compute.buffers import Array
from nnscratch.training.metrics.classification import ClassCounts
from nnscratch.training.metrics.probabilities import BINS, bin_of, reliability
from nnscratch.training.metrics.ranking import ThresholdCurve, average_precision, roc_auc, steps

RESAMPLES = 1000
LEVEL = 0.95
NORMAL = 1.959963984540054
"""Between this and its negative a normal number is 95 of 100 times."""
BLOCKS = 1024
"""Examples are drawn one by one up to here; of more, in as many blocks of examples at random."""

DEAR = 10
"""A cell that is drawn costs about as much as so many examples."""
AT_ONCE = 2_000_000
"""Numbers of resamples in memory."""
STEPS = 256
"""Of a curve that is drawn again; of more, neighbours are put together."""

Interval = tuple[float, float]


def of_share(right: int, N: int) -> Interval:
    """The 95 % interval of an accuracy p = right / N: the shares that a score test at 5 % does not rule out.

        (p + z^2 / 2N -+ z sqrt(p (1 - p) / N + z^2 / 4N^2)) / (1 + z^2 / N)        z = 1.96

    (Wilson 1927). Of few examples, or where none or all are right, it is no certainty, as a resample's would be.
    """
    p, z = right / N, NORMAL
    middle, half = p + z * z / (2 * N), z * math.sqrt(p * (1 - p) / N + z * z / (4 * N * N))
    low, high = ((middle + way * half) / (1 + z * z / N) for way in (-1, 1))
    return (low if right else 0.0), (high if right < N else 1.0)


def of_counts(
    confusion: Array, figures: Mapping[str, Callable[[ClassCounts], Array]], rng: np.random.Generator
) -> dict[str, Interval | None]:
    """Intervals of figures of a confusion matrix (K, K), each a function of the counts of many matrices, by name.

    Which cell an example of a resample falls into is multinomial, with the shares of the cells.
    """
    rows, columns = np.nonzero(confusion)
    counted = confusion[rows, columns]
    values: dict[str, list[Array]] = {name: [] for name in figures}
    at_once = max(1, AT_ONCE // len(rows))
    for start in range(0, RESAMPLES, at_once):
        drawn = _drawn_again(counted, min(at_once, RESAMPLES - start), rng)
        is_right = rows == columns
        counts = ClassCounts(
            _summed(drawn[:, is_right], rows[is_right], len(confusion)),
            _summed(drawn, columns, len(confusion)),
            _summed(drawn, rows, len(confusion)),
        )
        for name, figure in figures.items():
            values[name].append(figure(counts))
    return {name: between(np.concatenate(each)) for name, each in values.items()}


def _drawn_again(counted: Array, resamples: int, rng: np.random.Generator) -> Array:
    """(R, M): how many of N examples fall into each of M cells that hold so many of them, multinomial."""
    N, M = int(counted.sum()), len(counted)
    if M < N / DEAR:
        return rng.multinomial(N, counted / N, resamples)
    cell = np.repeat(np.arange(M), counted)
    drawn = np.empty((resamples, M), np.int64)
    for row in drawn:
        row[:] = np.bincount(cell[rng.integers(0, N, N)], minlength=M)
    return drawn


def _summed(drawn: Array, classes: Array, K: int) -> Array:
    """(R, K): the numbers of every row (R, M) added up by the class of their column."""
    total = np.zeros((len(drawn), K), np.int64)
    if len(classes):
        order = np.argsort(classes, kind="stable")
        present, starts = np.unique(classes[order], return_index=True)
        total[:, present] = np.add.reduceat(drawn[:, order], starts, axis=1)
    return total


class Resamples:
    """The N examples of a split drawn again RESAMPLES times, the same for every figure that is asked of them."""

    def __init__(self, N: int, rng: np.random.Generator) -> None:
        blocks = min(N, BLOCKS)
        order = rng.permutation(N) if blocks < N else np.arange(N)
        self._block = np.empty(N, np.int64)
        """The block that each example is drawn with, (N,)."""
        self._block[order] = np.arange(N) * blocks // N
        self._drawn = _drawn_again(np.ones(blocks, np.int64), RESAMPLES, rng).astype(np.float64)
        """How often each block is in each resample, (R, B)."""

    def sums(self, cells: Array, number: int, values: Array | None = None) -> Array:
        """(R, M): the values (N,) of the examples, or how many they are, added up by cell, of which there are M."""
        blocks = self._drawn.shape[1]
        of_blocks = np.bincount(self._block * number + cells, values, minlength=blocks * number)
        return np.asarray(self._drawn @ of_blocks.reshape(blocks, number))

    def means(self, columns: Array) -> Array:
        """(R, C): the means of columns (N, C)."""
        first = np.zeros(len(columns), np.int64)
        size = self.sums(first, 1)
        return np.concatenate([self.sums(first, 1, column) for column in columns.T], axis=1) / size

    def medians(self, values: Array) -> Array:
        """(R,): the median of values (N,). Between two of equal right it is their mean, as NumPy's."""
        N = len(values)
        order = np.argsort(values, kind="stable")
        # The middle of a resample has a rank of deviation sqrt(N) / 2 in the split.
        low, high = max(0, int(N / 2 - 3 * np.sqrt(N))), min(N, int(N / 2 + 3 * np.sqrt(N)) + 1)
        cells = np.empty(N, np.int64)
        cells[order] = np.clip(np.arange(N), low, high - 1) - low
        reached = np.cumsum(self.sums(cells, high - low), axis=1)
        middle = reached[:, -1:] / 2
        lower, upper = np.argmax(reached >= middle, axis=1), np.argmax(reached > middle, axis=1)
        ranked = values[order][low:high]
        return np.asarray((ranked[lower] + ranked[upper]) / 2)

    def areas(self, curve: ThresholdCurve, is_positive: Array, score: Array) -> tuple[Array, Array]:
        """(R,) each: ROC AUC and average precision of scores (N,), whose curve it is; NaN without meaning."""
        cells, number = steps(is_positive, score, STEPS)
        own = np.bincount(cells, is_positive, number), np.bincount(cells, ~is_positive, number)
        drawn = (self.sums(cells, number, each.astype(np.float64)) for each in (is_positive, ~is_positive))
        # The split itself is one more row: how far steps put together are off is the same for all of them.
        right, wrong = (np.cumsum(np.vstack(rows), axis=1) for rows in zip(own, drawn, strict=True))
        auc, precision = roc_auc(right, wrong), average_precision(right, wrong)
        shifted = auc[1:] + (curve.roc_auc - auc[0]), precision[1:] + (curve.average_precision - precision[0])
        return np.clip(shifted[0], 0, 1), np.clip(shifted[1], 0, 1)


def of_calibration(
    confidence: Array, correct: Array, resamples: Resamples, rng: np.random.Generator
) -> tuple[Interval | None, float]:
    """The interval of the calibration error of confidences (N,), and what perfect confidences would have of it.

    Noise only adds to it: perfect confidences c have, by chance, about sum_b |e_b| / N, e_b normal with the variance
    sum_(n in b) c_n (1 - c_n) (consistency resampling, Broecker & Smith 2007), and a resample has the noise twice. So
    the interval reaches as far below the figure as the resamples reach above it, and down to 0 where perfect
    confidences may well have as much.
    """
    c, bins = confidence.astype(np.float64), bin_of(confidence)
    gaps = resamples.sums(bins, BINS, correct - c)
    drawn = np.sum(np.abs(gaps), axis=1) / np.sum(resamples.sums(bins, BINS), axis=1)
    deviation = np.sqrt(np.bincount(bins, c * (1 - c), BINS))
    by_chance = np.sum(np.abs(rng.normal(0, deviation, (RESAMPLES, BINS))), axis=1) / len(c)
    error = reliability(confidence, correct).expected_calibration_error
    drawn_interval = between(drawn)
    if drawn_interval is None:
        return None, float(np.mean(by_chance))
    high = max(error, drawn_interval[1])
    low = 0.0 if error <= np.quantile(by_chance, LEVEL) else max(0.0, 2 * error - high)
    return (low, high), float(np.mean(by_chance))


def between(values: Array) -> Interval | None:
    """The percentiles of the resamples (R,) that have the figure; None when none has, or all have the same.

    Resamples that are all alike know nothing of what the split does not hold: that is no certainty, it is no interval.
    """
    values = values[~np.isnan(values)]
    if not values.size or np.ptp(values) <= 1e-12 * np.max(np.abs(values)):
        return None
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
