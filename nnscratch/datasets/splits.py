"""Which examples go where: reproducible index arrays, never copies of the data."""

from __future__ import annotations

import numpy as np

from nnscratch.datasets.dataset import Array
from nnscratch.errors import ConfigError, DataError, Problem


def split_indices(
    targets: Array, fraction: float, rng: np.random.Generator, stratify: bool, field: str = "data.validation"
) -> tuple[Array, Array]:
    """Training and validation indices: int64, sorted, disjoint, together every example exactly once.

    Held out are round(fraction * N) examples. With `stratify` (labels only) each class gives its share of them to
    within one example, by largest remainders, and keeps at least one example for training. Fraction 0 holds out none.
    Raises ConfigError, naming `field`, for a fraction outside [0, 1) and DataError when a split would be empty.
    """
    if not 0 <= fraction < 1:
        raise ConfigError([Problem(field, f"{fraction} is not a fraction; it must be in [0, 1)")])
    count = len(targets)
    if count == 0:
        raise DataError("there are no examples to split")
    everything = np.arange(count, dtype=np.int64)
    if fraction == 0:
        return everything, everything[:0]
    wanted = _wanted(count, fraction, field)
    held_out = np.zeros(count, dtype=bool)
    if stratify and targets.ndim == 1:
        # One stable sort groups the classes: no pass over the data per class.
        order = np.argsort(targets, kind="stable")
        _, starts, sizes = np.unique(targets[order], return_index=True, return_counts=True)
        for start, size, take in zip(starts, sizes, _shares(sizes, fraction, wanted, rng), strict=True):
            members = order[start : start + size]
            held_out[rng.permutation(members)[:take]] = True
    else:
        held_out[rng.permutation(count)[:wanted]] = True
    if not held_out.any():
        raise DataError(
            f"holding out {fraction:g} of {count} examples takes none, as every class has a single example",
            "collect more examples per class, or use 0 to hold out nothing",
            field,
        )
    return everything[~held_out], everything[held_out]


def _wanted(count: int, fraction: float, field: str) -> int:
    """How many of the examples are that share, and some are not. Raises DataError when one split would be empty."""
    wanted = round(fraction * count)
    if wanted == 0 or wanted == count:
        empty = "hold-out" if wanted == 0 else "training"
        raise DataError(
            f"holding out {fraction:g} of {count} examples leaves the {empty} split empty",
            "use more data, another fraction, or 0 to hold out nothing",
            field,
        )
    return wanted


def _shares(sizes: Array, fraction: float, wanted: int, rng: np.random.Generator) -> Array:
    """How many examples each class gives: floor or ceiling of its exact share, `wanted` in all where possible."""
    exact = sizes * fraction
    take = np.floor(exact).astype(np.int64)
    remainder = exact - take
    # Random among equal remainders, or the first classes would always give the extra example.
    for index in np.lexsort((rng.random(len(sizes)), -remainder)):
        if take.sum() >= wanted:
            break
        if remainder[index] > 0 and take[index] + 1 < sizes[index]:
            take[index] += 1
    kept: Array = np.minimum(take, sizes - 1)
    return kept


def hold_out(
    targets: Array,
    fraction: float,
    rng: np.random.Generator,
    stratify: bool,
    *,
    groups: Array | None = None,
    order: Array | None = None,
    field: str = "data.validation",
) -> tuple[Array, Array]:
    """Training and held-out indices, as `split_indices`; whole groups, or the last by an order, where there is one."""
    if fraction == 0 or (groups is None and order is None):
        return split_indices(targets, fraction, rng, stratify, field)
    count = len(targets)
    if order is not None:
        inside = np.sort(np.argsort(order, kind="stable")[count - _wanted(count, fraction, field) :])
    else:
        assert groups is not None
        inside = _some_groups(groups, min(max(round(fraction * count), 1), count - 1), rng, field)
    return np.setdiff1d(np.arange(count, dtype=np.int64), inside), inside.astype(np.int64)


def _some_groups(groups: Array, wanted: int, rng: np.random.Generator, field: str) -> Array:
    """The indices of groups drawn at random, about `wanted` in all: each that brings their number nearer to it."""
    names, members, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    if len(names) < 2:
        raise DataError(
            "there is one group alone, of which no part can be held out",
            f"data.dataset.split_by names something with more groups, or {field} is 0",
            field,
        )
    taken, total = np.zeros(len(names), dtype=bool), 0
    order = rng.permutation(len(names))
    for group in order:
        if abs(total + sizes[group] - wanted) < abs(total - wanted) and taken.sum() < len(names) - 1:
            taken[group] = True
            total += sizes[group]
    if not taken.any():  # the smallest is nearest, however large
        taken[order[np.argmin(sizes[order])]] = True
    return np.flatnonzero(taken[members])


def fold_indices(
    targets: Array, number: int, of: int, rng: np.random.Generator, stratify: bool, groups: Array | None = None
) -> tuple[Array, Array]:
    """The indices outside and inside one of `of` folds, counted from 1: int64, sorted.

    With `groups` each is in one fold, the largest first into the fold that has fewest examples.
    Every example is in one fold. Folds differ by one example at most; with `stratify` (labels only), in every class.
    Raises DataError when there are fewer examples than folds.
    """
    count = len(targets)
    if count < of:
        raise DataError(f"{count} examples cannot be cut into {of} folds", "use fewer folds", "data.fold")
    everything = np.arange(count, dtype=np.int64)
    if groups is not None:
        names, members, sizes = np.unique(groups, return_inverse=True, return_counts=True)
        if len(names) < of:
            raise DataError(f"{len(names)} groups cannot be cut into {of} folds", "use fewer folds", "data.fold")
        shuffled, filled, fold = rng.permutation(len(names)), np.zeros(of), np.zeros(len(names), dtype=np.int64)
        for group in shuffled[np.argsort(-sizes[shuffled], kind="stable")]:
            fold[group] = np.argmin(filled)
            filled[fold[group]] += sizes[group]
        is_inside = fold[members] == number - 1
        return everything[~is_inside], everything[is_inside]
    order = rng.permutation(count)
    if stratify and targets.ndim == 1:
        order = order[np.argsort(targets[order], kind="stable")]
    inside = np.zeros(count, dtype=bool)
    inside[order[number - 1 :: of]] = True
    return everything[~inside], everything[inside]


def limit_indices(targets: Array, limit: int) -> Array:
    """The first `limit` examples with the classes in proportion: int64, sorted, no randomness.

    Each class gives its first examples, its share rounded by largest remainders. Regression gives the first `limit`.
    """
    count = len(targets)
    if limit < 1:
        raise ConfigError([Problem("data.limit", f"{limit} must be at least 1")])
    if limit >= count:
        return np.arange(count, dtype=np.int64)
    if targets.ndim != 1:
        return np.arange(limit, dtype=np.int64)
    order = np.argsort(targets, kind="stable")
    _, starts, sizes = np.unique(targets[order], return_index=True, return_counts=True)
    exact = sizes * (limit / count)
    take = np.floor(exact).astype(np.int64)
    by_remainder = np.argsort(take - exact, kind="stable")
    take[by_remainder[: limit - int(take.sum())]] += 1
    chosen = np.concatenate([order[start : start + size] for start, size in zip(starts, take, strict=True)])
    return np.sort(chosen)
