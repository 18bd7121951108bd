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

DEAR = 10
"""A cell that is drawn costs about as much as so many examples."""
AT_ONCE = 2_000_000
"""Numbers of resamples in memory."""

Interval = tuple[float, float]


def of_share(right: int, N: int) -> Interval:
    """The interval of an accuracy, right / N: what drawing again without end comes to, from the binomial distribution.

    Where none or all are right, a resample knows nothing else; there the interval is that of Clopper & Pearson (1934),
    whose far end is the share under which as clear a result has a chance of 2.5 %.
    """
    tail = (1 - LEVEL) / 2
    if right in (0, N):
        far = tail ** (1 / N)
        return (far, 1.0) if right else (0.0, 1 - far)
    k = np.arange(N)
    steps = np.log((N - k) / (k + 1)) + np.log(right) - np.log(N - right)  # log P(k + 1) - log P(k)
    log_p = np.append(0.0, np.cumsum(steps))
    cumulative = np.cumsum(np.exp(log_p - np.max(log_p)))
    low, high = np.searchsorted(cumulative / cumulative[-1], [tail, 1 - tail])
    return float(low / N), float(high / N)


def of_counts(
    confusion: Array, figures: Mapping[str, Callable[[ClassCounts], Array]], rng: np.random.Generator
) -> dict[str, Interval]:
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
    return {name: _between(np.concatenate(each)) for name, each in values.items()}


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


def of_means(
    columns: Array, figures: Mapping[str, Callable[[Array], Array]], rng: np.random.Generator
) -> dict[str, Interval]:
    """Intervals of figures that follow from the means of columns (N, C), each a function of means (..., C), by name."""
    N, blocks = len(columns), min(len(columns), BLOCKS)
    order = rng.permutation(N) if blocks < N else np.arange(N)
    starts = np.arange(blocks) * N // blocks
    sums = np.add.reduceat(columns[order], starts, axis=0)
    sizes = np.diff(np.append(starts, N))
    weights = _drawn_again(np.ones(blocks, np.int64), RESAMPLES, rng).astype(np.float64)
    means = (weights @ sums) / (weights @ sizes)[:, None]
    return {name: _between(figure(means)) for name, figure in figures.items()}


def _between(values: Array) -> Interval:
    """The percentiles of the resamples that have the figure; NaN when none has."""
    values = values[~np.isnan(values)]
    if not values.size:
        return np.nan, np.nan
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
