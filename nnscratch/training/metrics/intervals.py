"""How far a figure may be off because its split is a sample: 95 % bootstrap intervals (Efron 1979).

A split of N examples is drawn again from itself, N examples with replacement, RESAMPLES times; the interval is between
the 2.5th and the 97.5th percentile of the figure. It is of these weights on other examples of the same kind; another
seed of training would move the figure, too, and is not in it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from nnscratch.nn.compute.buffers import Array
from nnscratch.training.metrics.classification import ClassCounts

RESAMPLES = 1000
LEVEL = 0.95
BLOCKS = 1024
"""Examples are drawn one by one up to here; of more, in as many blocks of examples at random."""

AT_ONCE = 2_000_000
"""Numbers of resamples in memory."""

Interval = tuple[float, float]


def of_counts(
    confusion: Array, figures: Mapping[str, Callable[[ClassCounts], Array]], rng: np.random.Generator
) -> dict[str, Interval]:
    """Intervals of figures of a confusion matrix (K, K), each a function of the counts of many matrices, by name.

    Which cell an example of a resample falls into is multinomial, with the shares of the cells.
    """
    N, (rows, columns) = int(confusion.sum()), np.nonzero(confusion)
    shares = confusion[rows, columns] / N
    values: dict[str, list[Array]] = {name: [] for name in figures}
    at_once = max(1, AT_ONCE // len(rows))
    for start in range(0, RESAMPLES, at_once):
        drawn = rng.multinomial(N, shares, min(at_once, RESAMPLES - start))
        is_right = rows == columns
        counts = ClassCounts(
            _summed(drawn[:, is_right], rows[is_right], len(confusion)),
            _summed(drawn, columns, len(confusion)),
            _summed(drawn, rows, len(confusion)),
        )
        for name, figure in figures.items():
            values[name].append(figure(counts))
    return {name: _between(np.concatenate(each)) for name, each in values.items()}


def _summed(drawn: Array, classes: Array, K: int) -> Array:
    """(R, K): the numbers of every row (R, M) added up by the class of their column."""
    total = np.zeros((len(drawn), K), np.int64)
    if len(classes):
        order = np.argsort(classes, kind="stable")
        present, starts = np.unique(classes[order], return_index=True)
        total[:, present] = np.add.reduceat(drawn[:, order], starts, axis=1)
    return total


def of_means(
    columns: Array, figures: Mapping[str, Callable[[Array], Array]], rng: np.random.Generator
) -> dict[str, Interval]:
    """Intervals of figures that follow from the means of columns (N, C), each a function of means (..., C), by name."""
    N, blocks = len(columns), min(len(columns), BLOCKS)
    order = rng.permutation(N) if blocks < N else np.arange(N)
    starts = np.arange(blocks) * N // blocks
    sums = np.add.reduceat(columns[order], starts, axis=0)
    sizes = np.diff(np.append(starts, N))
    weights = rng.multinomial(blocks, np.full(blocks, 1 / blocks), RESAMPLES)
    means = (weights @ sums) / (weights @ sizes)[:, None]
    return {name: _between(figure(means)) for name, figure in figures.items()}


def _between(values: Array) -> Interval:
    """The percentiles of the resamples that have the figure; NaN when none has."""
    values = values[~np.isnan(values)]
    if not values.size:
        return np.nan, np.nan
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
